"""An analyser without networks: a face is a patch of one colour, and the colour is the identity.

`draw` makes real picture files of such faces, so that tests use real files, decoders and threads.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.asker import WAITS_FOREVER, Asker
from facewire.server.gallery.records import Box
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision import engine
from facewire.server.vision.analyser import Features, FoundFace, Picture, fingerprint_of
from facewire.server.vision.as_deepface import DeepFaceRecipe
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.detector import Detection
from facewire.server.vision.image import ImageLimits
from facewire.server.vision.quality import FaceQuality
from tests.support.decoders import shared_decoder
from tests.support.galleries import spec

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

LEVEL = 85
"""Channels of colours are multiples of this, far enough apart to survive JPEG."""

SMALLEST_FACE = 30
"""Pixels; larger than JPEG's blur at the edge of a patch."""

PIXEL = 3
"""Pixels of a face that one pixel of a patch represents in the quality gate: patches of at least 8 pixels pass."""

SQUARE, DARK = 8, 34
"""Size in pixels and level of the squares in the background: JPEG's block size, and too dark to be a face."""

TINT = 40
"""How much shades of a face may differ in colour and still be of the same level."""

FULL_COLOUR = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
"""Full colour resolution: JPEG's usual half resolution would surround a face with a band of another colour, which
would be another face."""

DIMENSION = 16

LENGTH = np.float32(20)
"""Of embeddings by DeepFace's recipe."""

FIRST = "Synthetic"
"""The default model."""


def colour(number: int) -> Colour:
    """One of 63 colours other than black."""
    value = number % 63 + 1
    return (value % 4 * LEVEL, value // 4 % 4 * LEVEL, value // 16 * LEVEL)


def draw(*faces: tuple[int, Box], size: tuple[int, int] = (64, 48), extension: str = ".png", shade: int = 0) -> bytes:
    """A picture file. `faces`: (number of the colour, box); `size`: width, height; `shade`: selects another picture of
    the same faces.

    The background of dark squares differs in every picture, like in photographs; otherwise all would be duplicates.
    """
    rng = np.random.default_rng(zlib.crc32(repr((faces, size, shade)).encode()))
    squares = rng.integers(0, 2, (size[1] // SQUARE + 1, size[0] // SQUARE + 1), dtype=np.uint8) * DARK
    ground = squares.repeat(SQUARE, axis=0).repeat(SQUARE, axis=1)[: size[1], : size[0]]
    canvas = np.repeat(ground[:, :, None], 3, axis=2)
    for number, (x, y, w, h) in faces:
        tint = rng.integers(0, TINT, 3) if shade else np.zeros(3, dtype=np.int64)
        level = np.array(colour(number))
        canvas[int(y) : int(y + h), int(x) : int(x + w)] = np.where(level < 3 * LEVEL, level + tint, level - tint)
    done, data = cv2.imencode(extension, canvas, FULL_COLOUR if extension == ".jpg" else [])
    assert done
    return data.tobytes()


def portrait(number: int, *, extension: str = ".png", shade: int = 0) -> bytes:
    """A picture with one face in the middle, aligned with JPEG's blocks, so that no file format turns it into two."""
    return draw((number, (16.0, 16.0, 16.0, 16.0)), size=(48, 48), extension=extension, shade=shade)


def tiny(number: int) -> bytes:
    """A picture with a face too small to enrol (see PIXEL)."""
    return draw((number, (20.0, 20.0, 6.0, 6.0)), size=(48, 48))


class SyntheticEngine:
    """Counts its calls. `before_embedding` is called with the number of faces embedded so far; `grain`: how much of an
    embedding depends on the picture rather than the identity."""

    def __init__(
        self,
        *,
        model: str = FIRST,
        before_embedding: Callable[[int], object] | None = None,
        grain: float = 0.0,
        decoder: Decoder | None = None,
    ) -> None:
        self.decoder = decoder or shared_decoder()
        self.precision = "f32"
        self._grain = grain
        self.spec: EmbeddingSpec = spec(DIMENSION, model)
        self.looked_at = 0
        self.embedded = 0
        self._before_embedding = before_embedding
        self._counting = threading.Lock()  # guards looked_at, which several threads count

    def faces(self, data: bytes, *, emotion: bool = False) -> Picture:
        with self._counting:
            self.looked_at += 1
        image = self._pixels(data)
        faces = painted_faces(image)
        return Picture(image.shape[1], image.shape[0], faces)

    def cut(self, data: bytes, face: Detection) -> Pixels:
        image = self._pixels(data)
        x, y, w, h = map(round, face.box)
        return np.asarray(image[y : y + h, x : x + w, ::-1], dtype=np.uint8)

    def pointed_at(self, data: bytes, boxes: Sequence[Box]) -> list[FoundFace | None]:
        """The patch in each box; None where there is none."""
        image = self._pixels(data)
        return [_pointed_at(image, box) for box in boxes]

    def quality(self, face: engine.Face, picture: engine.Picture) -> FaceQuality:
        return painted_quality(face)

    def fingerprint(self, data: bytes) -> bytes:
        return fingerprint_of(self.decoder, data, ImageLimits())

    def _pixels(self, data: bytes) -> Pixels:
        """The pixels in BGR, as drawn."""
        return np.ascontiguousarray(self.decoder.photo(data, ImageLimits()).pixels[..., ::-1])

    def templates(self, crops: Sequence[Pixels]) -> NDArray[np.float32]:
        if self._before_embedding is not None:
            self._before_embedding(self.embedded)
        self.embedded += len(crops)
        middles = [crop[len(crop) // 2, len(crop[0]) // 2, ::-1] for crop in crops]
        return np.array([self._embedding(middle) for middle in middles], np.float32).reshape(-1, DIMENSION)

    def features(self, faces: Sequence[FoundFace], abandoned: Asker = WAITS_FOREVER) -> list[Features]:
        return [Features(embedding, None) for embedding in self.enrolments(faces)]

    def enrolments(self, faces: Sequence[engine.Face], abandoned: Asker = WAITS_FOREVER) -> NDArray[np.float32]:
        """Embeds faces found by `faces`; too fast to ever be abandoned."""
        return self.templates([face.crop for face in faces])

    def as_deepface(
        self, data: bytes, recipe: DeepFaceRecipe, abandoned: Asker = WAITS_FOREVER
    ) -> tuple[Picture, NDArray[np.float32]]:
        """The same embeddings, LENGTH long; the whole picture's is that of its middle."""
        image = self._pixels(data)
        height, width = image.shape[:2]
        whole = FoundFace((0.0, 0.0, float(width), float(height)), (), 0.0, image[..., ::-1].copy())
        faces = (whole,) if recipe == "deepface_whole" else painted_faces(image)
        return Picture(width, height, faces), LENGTH * self.templates([face.crop for face in faces])

    def _embedding(self, middle: Pixels) -> NDArray[np.float32]:
        own = np.random.default_rng(zlib.crc32(middle.tobytes())).standard_normal(DIMENSION)
        vector = identity(tuple(np.rint(middle / LEVEL)), self.spec.model) + self._grain * own
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def check(self) -> float:
        return 0.0

    def close(self) -> None:
        pass


def painted_quality(face: engine.Face) -> FaceQuality:
    """Perfect quality, except perhaps size: a patch represents a face PIXEL times as large."""
    return FaceQuality(
        side=PIXEL * max(face.box[2:]), sharpness=1, yaw=0, range=128, brightness=128, white=0, outside=0
    )


_LEVELS = np.rint(np.arange(256) / LEVEL).astype(np.uint8)


def painted_faces(image: Pixels) -> tuple[FoundFace, ...]:
    """The patches of one colour, largest first."""
    levels = _LEVELS[image]
    colours = 16 * levels[..., 0] + 4 * levels[..., 1] + levels[..., 2]
    there = np.flatnonzero(np.bincount(colours.ravel(), minlength=64))
    found = [_face(image, colours == one) for one in there if one]
    faces = [face for face in found if face is not None]
    return tuple(sorted(faces, key=lambda face: -face.box[2] * face.box[3]))


def identity(levels: tuple[float, ...], model: str = FIRST) -> NDArray[np.float32]:
    """The embedding of a colour: a distinct direction for every colour and model."""
    seed = int(levels[0] + 4 * levels[1] + 16 * levels[2]) + (64 * zlib.crc32(model.encode()) if model != FIRST else 0)
    vector = np.random.default_rng(seed).standard_normal(DIMENSION)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def embedding_of(number: int, model: str = FIRST) -> NDArray[np.float32]:
    """The engine's embedding of a colour, given by its number."""
    return identity(tuple(channel / LEVEL for channel in colour(number)), model)


def _pointed_at(image: Pixels, box: Box) -> FoundFace | None:
    left, top, right, bottom = (round(edge) for edge in (box[0], box[1], box[0] + box[2], box[1] + box[3]))
    found = painted_faces(np.ascontiguousarray(image[top:bottom, left:right]))
    if not found:
        return None
    x, y, w, h = found[0].box
    points = tuple((across + left, down + top) for across, down in found[0].landmarks)
    return FoundFace((x + left, y + top, w, h), points, found[0].detection, found[0].crop)


def _face(image: Pixels, mask: NDArray[np.bool_]) -> FoundFace | None:
    if np.count_nonzero(mask) < SMALLEST_FACE:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    box = (float(left), float(top), float(right - left), float(bottom - top))
    landmarks = ((box[0] + 1, box[1] + 1), (box[0] + box[2] - 1, box[1] + 1))
    return FoundFace(box, landmarks, 0.99, image[top:bottom, left:right, ::-1].copy())
