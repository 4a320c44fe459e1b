"""What a face expresses: our own network (`data/models`, trained by scripts/train_emotion.py) and how it is fed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import StartError
from facewire.server.vision.alignment import square_crop, whole_box
from facewire.server.vision.detector import Box
from facewire.server.vision.image import Pixels
from facewire.server.vision.runtime import Floats, Network


@dataclass(frozen=True, slots=True)
class Calibration:
    """From logits to chances that are right as often as they say.

    `temperatures`: (pixels a side of the square that a face was cut from, what its logits are divided by), rising;
    between two of them the logarithms are interpolated, beyond the first and the last nothing changes. Below a
    confidence of `certain_at` an answer is not called certain.
    """

    temperatures: tuple[tuple[float, float], ...]
    certain_at: float

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """As emotion.json has it, under `temperature` and `certain_at`. Raises ValueError, KeyError or TypeError."""
        points = sorted((float(side), float(temperature)) for side, temperature in fields["temperature"].items())
        return cls(tuple(points), float(fields["certain_at"]))

    def temperature(self, sides: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) sides in pixels -> (n,) temperatures."""
        points = np.log(np.array(self.temperatures))
        return np.asarray(np.exp(np.interp(np.log(sides), points[:, 0], points[:, 1])), np.float64)


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """How the head in `onnx`, which rides on a recognition network, is read beside the network of its own.

    It reads `maps` (a layer's name) of `model`. Of the logits, those of the head count by `weight` and the network's by
    the rest; their sum has a calibration of its own. A picture that is a face and nothing else is shown to the model on
    `whole` times its side, its edge going on beyond it.
    """

    onnx: Path
    model: str
    maps: str
    weight: float
    whole: float
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class EmotionSpec:
    """How the network in `onnx` is fed and read.

    `labels` are its outputs in order. A face is a square whose side is `side` times the longer side of the detector's
    box and whose middle lies `down` sides below the box's, as grey `input_size` x `input_size` pixels in 0..1. The
    logits of the face and its mirror image are averaged. With a `head`, which only some recognition models can carry,
    its calibration holds instead.
    """

    name: str
    onnx: Path
    labels: tuple[str, ...]
    input_size: int
    side: float
    down: float
    calibration: Calibration
    head: HeadSpec | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the JSON file beside the network. Raises StartError where one is missing or not the other's."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            spec = cls(
                name=f"{fields['name']} {fields['version']}",
                onnx=path.parent / fields["onnx"]["file"],
                labels=tuple(fields["labels"]),
                input_size=int(fields["input"]["size"]),
                side=float(fields["crop"]["side"]),
                down=float(fields["crop"]["down"]),
                calibration=Calibration.of(fields),
                head=_head(path.parent, fields["head"]) if "head" in fields else None,
            )
            _check(spec.onnx, fields["onnx"]["sha256"], path)
            if spec.head:
                _check(spec.head.onnx, fields["head"]["onnx"]["sha256"], path)
        except OSError as error:
            raise StartError(f"the emotion model can't be read: {error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StartError(f"{path} does not describe an emotion model: {error!r}") from error
        return spec


def _head(folder: Path, fields: Mapping[str, Any]) -> HeadSpec:
    return HeadSpec(
        onnx=folder / fields["onnx"]["file"],
        model=str(fields["model"]),
        maps=str(fields["maps"]),
        weight=float(fields["weight"]),
        whole=float(fields["whole"]),
        calibration=Calibration.of(fields),
    )


def _check(network: Path, sha256: str, described_by: Path) -> None:
    if hashlib.sha256(network.read_bytes()).hexdigest() != sha256:
        raise StartError(f"{network} is not the network that {described_by} describes: its sha256 differs")


@dataclass(frozen=True, slots=True)
class Emotion:
    """`label` is the likeliest of `scores` (which sum to 1), `confidence` its score, `certain`: see EmotionSpec."""

    label: str
    confidence: float
    certain: bool
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """What the network is shown of a face: (1, size, size) grey `pixels` in 0..1, cut from `side` pixels a side."""

    pixels: Floats
    side: float


class EmotionReader:
    """Cuts faces for the network and reads its answer; as safe to share between threads as the network is."""

    def __init__(self, spec: EmotionSpec, network: Network) -> None:
        self.spec = spec
        self._network = network

    def crop(self, image: Pixels, box: Box) -> FaceCrop:
        """The face in a detector's box of an RGB or grey picture."""
        x, y, width, height = box
        down = self.spec.down * max(width, height)
        return self._view(image, (x, y + down, width, height), self.spec.side)

    def whole(self, image: Pixels) -> FaceCrop:
        """A picture that is a face and nothing else, as FER2013's and RAF-DB's are."""
        return self._view(image, whole_box(image), 1.0)

    def _view(self, image: Pixels, box: Box, side: float) -> FaceCrop:
        size = self.spec.input_size
        face = square_crop(image, box, side - 1, (size, size))
        grey = face if face.ndim == 2 else cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
        pixels = np.asarray(grey[np.newaxis], np.float32) / np.float32(255)
        return FaceCrop(pixels, max(1.0, side * max(box[2:])))

    def read(self, faces: Sequence[FaceCrop], hints: Floats | None = None) -> list[Emotion]:
        """The emotions of `faces`, in their order; `hints` as in `probabilities`."""
        if not faces:
            return []
        certain_at = self.calibration(self._head_of(hints) is not None).certain_at
        return [self._emotion(row, certain_at) for row in self.probabilities(faces, hints)]

    def probabilities(self, faces: Sequence[FaceCrop], hints: Floats | None = None) -> NDArray[np.float64]:
        """(n, 7) calibrated probabilities; the mirrored view is averaged in, since faces have no handedness.

        `hints`: the logits (n, 7) of the head that rode on the recognition network; of no columns where none did.
        """
        crops = np.stack([face.pixels for face in faces])
        both = self._network(np.concatenate([crops, crops[..., ::-1]])).astype(np.float64)
        logits = (both[: len(crops)] + both[len(crops) :]) / 2
        if hints is not None and (head := self._head_of(hints)):
            logits = head.weight * hints + (1 - head.weight) * logits
        calibration = self.calibration(self._head_of(hints) is not None)
        temperatures = calibration.temperature(np.array([face.side for face in faces]))
        raised = np.exp((logits - logits.max(1, keepdims=True)) / temperatures[:, None])
        return np.asarray(raised / raised.sum(1, keepdims=True), np.float64)

    def calibration(self, riding: bool) -> Calibration:
        """Of the answers, where a head rides on the recognition network and where none does."""
        return (self.spec.head if riding and self.spec.head else self.spec).calibration

    def _head_of(self, hints: Floats | None) -> HeadSpec | None:
        """The head whose logits `hints` are, if any."""
        return self.spec.head if hints is not None and hints.shape[1] else None

    def _emotion(self, row: NDArray[np.float64], certain_at: float) -> Emotion:
        scores = {label: float(score) for label, score in zip(self.spec.labels, row, strict=True)}
        label = max(scores, key=scores.__getitem__)
        return Emotion(label, scores[label], scores[label] >= certain_at, scores)
