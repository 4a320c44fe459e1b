"""What a face expresses: our own network (`data/models`, trained by scripts/train_emotion.py) and how it is fed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from server.errors import StartError
from server.vision.alignment import square_crop
from server.vision.detector import Box
from server.vision.image import Pixels
from server.vision.runtime import Floats, Network


@dataclass(frozen=True, slots=True)
class EmotionSpec:
    """How the network in `onnx` is fed and read.

    `labels` are its outputs in order. A face is a square whose side is `side` times the longer side of the detector's
    box and whose middle lies `down` sides below the box's, as grey `input_size` x `input_size` pixels in 0..1. The
    logits of the face and its mirror image are averaged and divided by `temperature`; a confidence below `certain_at`
    is not called certain.
    """

    name: str
    onnx: Path
    labels: tuple[str, ...]
    input_size: int
    side: float
    down: float
    temperature: float
    certain_at: float

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
                temperature=float(fields["temperature"]),
                certain_at=float(fields["certain_at"]),
            )
            content = spec.onnx.read_bytes()
        except OSError as error:
            raise StartError(f"the emotion model can't be read: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise StartError(f"{path} does not describe an emotion model: {error!r}") from error
        if hashlib.sha256(content).hexdigest() != fields["onnx"]["sha256"]:
            raise StartError(f"{spec.onnx} is not the network that {path} describes: its sha256 differs")
        return spec


@dataclass(frozen=True, slots=True)
class Emotion:
    """`label` is the likeliest of `scores` (which sum to 1), `confidence` its score, `certain`: see EmotionSpec."""

    label: str
    confidence: float
    certain: bool
    scores: Mapping[str, float]


class EmotionReader:
    """Cuts faces for the network and reads its answer; as safe to share between threads as the network is."""

    def __init__(self, spec: EmotionSpec, network: Network) -> None:
        self.spec = spec
        self._network = network

    def crop(self, image: Pixels, box: Box) -> Floats:
        """The face in a detector's box of an RGB or grey picture, as the network's input: (1, size, size)."""
        x, y, width, height = box
        down = self.spec.down * max(width, height)
        return self._view(image, (x, y + down, width, height), self.spec.side)

    def whole(self, image: Pixels) -> Floats:
        """A picture that is a face and nothing else, as FER2013's and RAF-DB's are: (1, size, size)."""
        height, width = image.shape[:2]
        return self._view(image, (0.0, 0.0, float(width), float(height)), 1.0)

    def _view(self, image: Pixels, box: Box, side: float) -> Floats:
        size = self.spec.input_size
        face = square_crop(image, box, side - 1, (size, size))
        grey = face if face.ndim == 2 else cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
        return np.asarray(grey[np.newaxis], np.float32) / np.float32(255)

    def read(self, crops: Floats) -> list[Emotion]:
        """The emotions of `crops` (n, 1, size, size), in their order."""
        return [self._emotion(row) for row in self.probabilities(crops)] if len(crops) else []

    def probabilities(self, crops: Floats) -> NDArray[np.float64]:
        """(n, 7) calibrated probabilities; the mirrored view is averaged in, since faces have no handedness."""
        both = self._network(np.concatenate([crops, crops[..., ::-1]])).astype(np.float64)
        logits = (both[: len(crops)] + both[len(crops) :]) / (2 * self.spec.temperature)
        raised = np.exp(logits - logits.max(1, keepdims=True))
        return np.asarray(raised / raised.sum(1, keepdims=True), np.float64)

    def _emotion(self, row: NDArray[np.float64]) -> Emotion:
        scores = {label: float(score) for label, score in zip(self.spec.labels, row, strict=True)}
        label = max(scores, key=scores.__getitem__)
        return Emotion(label, scores[label], scores[label] >= self.spec.certain_at, scores)
