"""An analyser without a network: a face is a patch of one colour, and the colour is the identity.

`draw` makes real picture files of such faces, so that what reads them is tested with files, decoders and threads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from server.errors import InvalidImage
from server.gallery.records import Box, Landmarks
from server.spec import EmbeddingSpec
from tests.support.galleries import spec

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

LEVEL = 85
"""Colours are multiples of this in each channel, far enough apart to survive JPEG."""

SMALLEST_FACE = 30
"""Pixels; what JPEG blurs at the edge of a patch is less."""

DIMENSION = 16


def colour(number: int) -> Colour:
    """One of 63 colours that aren't black."""
    value = number % 63 + 1
    return (value % 4 * LEVEL, value // 4 % 4 * LEVEL, value // 16 * LEVEL)


def draw(*faces: tuple[int, Box], size: tuple[int, int] = (64, 48), extension: str = ".png", shade: int = 0) -> bytes:
    """A picture file. `faces`: (number of the colour, box); `size`: width, height; `shade`: other bytes, same faces."""
    canvas = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    canvas[0, 0] = shade
    for number, (x, y, w, h) in faces:
        canvas[int(y) : int(y + h), int(x) : int(x + w)] = colour(number)
    done, data = cv2.imencode(extension, canvas)
    assert done
    return data.tobytes()


def portrait(number: int, *, extension: str = ".png", shade: int = 0) -> bytes:
    """A picture of one face in the middle."""
    return draw((number, (20.0, 12.0, 24.0, 24.0)), extension=extension, shade=shade)


@dataclass(frozen=True)
class PaintedFace:
    box: Box
    landmarks: Landmarks
    detection: float
    crop: Pixels


@dataclass(frozen=True)
class PaintedPicture:
    width: int
    height: int
    faces: tuple[PaintedFace, ...]


class SyntheticEngine:
    """Counts what it is asked. `before_embedding` is called with the number of faces embedded so far."""

    def __init__(self, *, model: str = "Synthetic", before_embedding: Callable[[int], object] | None = None) -> None:
        self.spec: EmbeddingSpec = spec(DIMENSION, model)
        self.looked_at = 0
        self.embedded = 0
        self._before_embedding = before_embedding
        self._counting = threading.Lock()  # guards looked_at, which several threads count

    def faces(self, data: bytes) -> PaintedPicture:
        with self._counting:
            self.looked_at += 1
        decoded = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR) if data else None
        if decoded is None:
            raise InvalidImage("not a picture")
        image = np.asarray(decoded, dtype=np.uint8)
        faces = painted_faces(image)
        return PaintedPicture(image.shape[1], image.shape[0], faces)

    def templates(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
        if self._before_embedding is not None:
            self._before_embedding(self.embedded)
        self.embedded += len(crops)
        return np.stack([identity(tuple(np.rint(crop[len(crop) // 2, len(crop[0]) // 2] / LEVEL))) for crop in crops])

    def close(self) -> None:
        pass


def painted_faces(image: Pixels) -> tuple[PaintedFace, ...]:
    """The patches of one colour, largest first."""
    levels = np.rint(image / LEVEL).astype(np.uint8)
    found = [
        _face(image, np.all(levels == one, axis=2)) for one in np.unique(levels.reshape(-1, 3), axis=0) if one.any()
    ]
    faces = [face for face in found if face is not None]
    return tuple(sorted(faces, key=lambda face: -face.box[2] * face.box[3]))


def identity(levels: tuple[float, ...]) -> NDArray[np.float32]:
    """The embedding of a colour: a direction of its own."""
    seed = int(levels[0] + 4 * levels[1] + 16 * levels[2])
    vector = np.random.default_rng(seed).standard_normal(DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def embedding_of(number: int) -> NDArray[np.float32]:
    """What the engine makes of the colour of that number."""
    return identity(tuple(channel / LEVEL for channel in colour(number)))


def _face(image: Pixels, mask: NDArray[np.bool_]) -> PaintedFace | None:
    if np.count_nonzero(mask) < SMALLEST_FACE:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    box = (float(left), float(top), float(right - left), float(bottom - top))
    landmarks = ((box[0] + 1, box[1] + 1), (box[0] + box[2] - 1, box[1] + 1))
    return PaintedFace(box, landmarks, 0.99, image[top:bottom, left:right].copy())
