"""Reads facial expressions with our own network (`data/models`, trained by scripts/train_emotion.py)."""

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
    """Converts logits to calibrated probabilities.

    `temperatures`: ascending (side in pixels of the square a face was cut from, divisor of its logits); interpolated in
    logarithms between two points, constant beyond the first and last. An answer with a confidence below `certain_at` is
    not called certain.
    """

    temperatures: tuple[tuple[float, float], ...]
    certain_at: float

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """From `temperature` and `certain_at` in emotion.json. Raises ValueError, KeyError or TypeError."""
        points = sorted((float(side), float(temperature)) for side, temperature in fields["temperature"].items())
        return cls(tuple(points), float(fields["certain_at"]))

    def temperature(self, sides: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) sides in pixels -> (n,) temperatures."""
        points = np.log(np.array(self.temperatures))
        return np.asarray(np.exp(np.interp(np.log(sides), points[:, 0], points[:, 1])), np.float64)


@dataclass(frozen=True, slots=True)
class HeadSpec:
    """How to use the emotion head in `onnx`, which is attached to a recognition network, together with the emotion
    network.

    It reads layer `maps` of `model`. The head's logits have weight `weight`, the network's the rest; their sum has its
    own calibration. A picture that shows nothing but a face is given to the model on a square of `whole` times its
    side, with its edges repeated.
    """

    onnx: Path
    model: str
    maps: str
    weight: float
    whole: float
    calibration: Calibration


@dataclass(frozen=True, slots=True)
class EmotionSpec:
    """The input and output of the network in `onnx`.

    `labels`: its outputs in order. A face is a square with a side of `side` times the longer side of the detector's
    box, centred `down` of that longer side below the box's centre, as `input_size` x `input_size` grey pixels in 0..1.
    The logits of the face and its mirror image are averaged. With a `head`, which only some recognition models support,
    the head's calibration applies instead.
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
        """Read the JSON file beside the network. Raises StartError if either is missing or they don't belong
        together."""
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
    """`label` is the likeliest of `scores` (which sum to 1), `confidence` its score; `certain`: see Calibration."""

    label: str
    confidence: float
    certain: bool
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """The network's input for a face: (1, size, size) grey `pixels` in 0..1, cut from a square of `side` pixels."""

    pixels: Floats
    side: float


class EmotionReader:
    """Crops faces for the network and interprets its output; thread-safe if the network is."""

    def __init__(self, spec: EmotionSpec, network: Network) -> None:
        self.spec = spec
        self._network = network

    def crop(self, image: Pixels, box: Box) -> FaceCrop:
        """The crop for a detector's box, from an RGB or grey picture."""
        x, y, width, height = box
        down = self.spec.down * max(width, height)
        return self._view(image, (x, y + down, width, height), self.spec.side)

    def whole(self, image: Pixels) -> FaceCrop:
        """The crop of a picture that shows nothing but a face, like those of FER2013 and RAF-DB."""
        return self._view(image, whole_box(image), 1.0)

    def _view(self, image: Pixels, box: Box, side: float) -> FaceCrop:
        size = self.spec.input_size
        face = square_crop(image, box, side - 1, (size, size))
        grey = face if face.ndim == 2 else cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
        pixels = np.asarray(grey[np.newaxis], np.float32) / np.float32(255)
        return FaceCrop(pixels, max(1.0, side * max(box[2:])))

    def read(self, faces: Sequence[FaceCrop], head_logits: Floats | None = None) -> list[Emotion]:
        """The emotions of `faces`, in order; `head_logits` as in `probabilities`."""
        if not faces:
            return []
        certain_at = self.calibration(with_head=self._head_of(head_logits) is not None).certain_at
        return [self._emotion(row, certain_at) for row in self.probabilities(faces, head_logits)]

    def probabilities(self, faces: Sequence[FaceCrop], head_logits: Floats | None = None) -> NDArray[np.float64]:
        """(n, 7) calibrated probabilities, averaged with the mirrored view, as expressions are independent of left and
        right.

        `head_logits`: (n, 7) logits of the head attached to the recognition network; (n, 0) if there is none.
        """
        crops = np.stack([face.pixels for face in faces])
        both = self._network(np.concatenate([crops, crops[..., ::-1]])).astype(np.float64)
        logits = (both[: len(crops)] + both[len(crops) :]) / 2
        if head_logits is not None and (head := self._head_of(head_logits)):
            logits = head.weight * head_logits + (1 - head.weight) * logits
        calibration = self.calibration(with_head=self._head_of(head_logits) is not None)
        temperatures = calibration.temperature(np.array([face.side for face in faces]))
        raised = np.exp((logits - logits.max(1, keepdims=True)) / temperatures[:, None])
        return np.asarray(raised / raised.sum(1, keepdims=True), np.float64)

    def calibration(self, *, with_head: bool) -> Calibration:
        """The calibration with a head attached to the recognition network, or without one."""
        return (self.spec.head if with_head and self.spec.head else self.spec).calibration

    def _head_of(self, head_logits: Floats | None) -> HeadSpec | None:
        """The head that `head_logits` come from, if any."""
        return self.spec.head if head_logits is not None and head_logits.shape[1] else None

    def _emotion(self, row: NDArray[np.float64], certain_at: float) -> Emotion:
        scores = {label: float(score) for label, score in zip(self.spec.labels, row, strict=True)}
        label = max(scores, key=scores.__getitem__)
        return Emotion(label, scores[label], scores[label] >= certain_at, scores)
