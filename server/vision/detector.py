"""YuNet, the face detector. The network runs on OpenVINO; its outputs are decoded here.

Source: "YuNet: A Tiny Millisecond-level Face Detector" (Wu et al., 2023) and the 2023mar weights of OpenCV's model zoo.
OpenCV's own FaceDetectorYN is the oracle in the tests; it is not thread-safe, takes 1.3 times as long on two cores and,
in OpenCV 5, can't share them with other threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.cores import cores
from facewire.server.vision import runtime
from facewire.server.vision.image import ELONGATED, Pixels

Box = tuple[float, float, float, float]
Landmarks = tuple[tuple[float, float], ...]

MIN_SCORE = 0.6  # finds a face in each of LFW's 13,233 pictures (FACTS); YuNet's usual 0.9 misses some
NMS_OVERLAP = 0.3  # YuNet's own: boxes that overlap more are the same face
STRIDES = (8, 16, 32)
HEADS = ("cls", "obj", "bbox", "kps")  # outputs per cell of each stride: 1, 1, 4 and 10 numbers
COARSE_SIDE = 640  # every picture is first searched at this side at most; only this search finds large faces
COARSE_SEES = 96  # a face this high there is not searched again: a finer search may see faces in a large cheek or eye
SHAPE_STEP = 64  # canvas sides are rounded up to this (YuNet needs 32): fewer shapes, fewer first-time costs
SMALL_SIDE = 160  # smaller pictures are enlarged: a tiny picture usually shows one tiny face
FRAME = 0.25  # border for another search: a face that fills the picture has no outline
CLOSE_UP = 0.3  # of the longer side: if a face is this high, there is no larger one for the border to reveal
CLOSE_SIDE = 192  # longer side for finding a face that fills the picture; takes a millisecond
CLOSE_SCORE = 0.7  # minimum score for it beside smaller faces
SEAM = 256  # pixels at the search scale that two tiles share: larger faces are found at the coarse scale
TILES = 16  # default maximum per picture


@dataclass(frozen=True, slots=True)
class Detection:
    """`box` x, y, width, height and `landmarks` (right eye, left eye, nose, right and left mouth corner), in pixels."""

    box: Box
    landmarks: Landmarks
    score: float

    @property
    def area(self) -> float:
        return self.box[2] * self.box[3]

    def scaled(self, factor: float) -> Self:
        """The same face in a picture enlarged by `factor`."""
        x, y, width, height = (value * factor for value in self.box)
        points = tuple((px * factor, py * factor) for px, py in self.landmarks)
        return replace(self, box=(x, y, width, height), landmarks=points)


class Detector(Protocol):
    """Finds faces in RGB pixels, largest first; thread-safe.

    `enough`: longer side in pixels beyond which a larger picture yields no more faces (for elongated pictures, see
    `server.vision.image.decode_photo`). `sure`: score from which a face is certainly upright; below it, its landmarks
    may be wrong.
    """

    name: str
    enough: int
    sure: float

    def detect(self, image: Pixels) -> list[Detection]: ...

    def glance(self, image: Pixels) -> list[Detection]:
        """Faces in a picture of a few hundred pixels, as cheaply as possible."""
        ...


class YuNet:
    """`canvas`: longest side, in pixels, at which a picture is searched; faces of about 10 px there are found.

    A picture more than ELONGATED times as long as wide is searched at the scale of one that is as wide and ELONGATED
    times as long: in up to `tiles` tiles of size `canvas`.
    """

    name = "yunet"
    sure = 0.925  # reached by half of LFW's faces, and by none of 1,300 that were upside down or on their side

    def __init__(self, weights: Path, canvas: int, tiles: int = TILES) -> None:
        """`weights`: the ONNX file. Raises StartError if it is damaged."""
        model = runtime.reshape(runtime.read_model(weights), (1, 3, -1, -1))
        names = [[f"{head}_{stride}" for head in HEADS] for stride in STRIDES]
        model = runtime.fed_rgb_bytes(runtime.merge_heads(model, names, sigmoids=2))
        # Exact: bfloat16 shifts boxes by pixels and misses an eighth of the smallest faces. One thread per stream:
        # processing several pictures in parallel beats several threads per picture.
        self._graph = runtime.OpenVinoGraph(model, streams=cores(), threads=cores(), exact=True)
        self.enough = canvas
        self._tiles = tiles

    def detect(self, image: Pixels) -> list[Detection]:
        """Every face in (h, w, 3) RGB pixels, largest first."""
        shape = image.shape[:2]
        longest = min(max(shape), max(1, round(ELONGATED * min(shape))))
        longest = max(longest, -(-max(shape) // self._tiles))
        if (factor := longest // self.enough) > 1:
            return [face.scaled(factor) for face in self.detect(_reduced(image, factor))]
        coarse, *fine = (self._search_tiled(image, side / longest) for side in self._sides(longest))
        rows = np.concatenate([coarse, *(_too_small(found, COARSE_SIDE / longest) for found in fine)])
        if not len(rows):
            rows = self._search_framed(image, self._sides(max(shape))[0])
        elif rows[:, 2:4].max() < CLOSE_UP * max(shape):
            rows = np.concatenate([rows, _close_ups(self._search_framed(image, CLOSE_SIDE), shape)])
        faces = [_detection(row) for row in _without_overlaps(rows)]
        return sorted(faces, key=lambda face: (-face.area, face.box))

    def glance(self, image: Pixels) -> list[Detection]:
        """Faces found by a single search of (h, w, 3) pixels at their own scale, unordered: for small pictures."""
        return [_detection(row) for row in _without_overlaps(self._search(image, 1.0))]

    def _sides(self, longest: int) -> list[int]:
        """The longer sides to search at. A large picture is searched twice: at COARSE_SIDE for large faces, which the
        network misses if they are much larger than those it was trained on, and at the canvas for small ones."""
        coarse = max(SMALL_SIDE, min(longest, COARSE_SIDE, self.enough))
        fine = min(longest, self.enough)
        return [coarse, fine] if fine > coarse else [coarse]

    def _search_framed(self, image: Pixels, side: int) -> NDArray[np.float32]:
        """Searches with a border added and the longer side scaled to `side` pixels."""
        height, width = image.shape[:2]
        down, right = round(height * FRAME), round(width * FRAME)
        framed = cv2.copyMakeBorder(image, down, down, right, right, cv2.BORDER_CONSTANT)
        rows = self._search(np.asarray(framed, np.uint8), side / max(framed.shape[:2]))
        rows[:, [0, *range(4, 14, 2)]] -= right
        rows[:, [1, *range(5, 14, 2)]] -= down
        return rows

    def _search_tiled(self, image: Pixels, scale: float) -> NDArray[np.float32]:
        """As `_search`, but a picture longer than the canvas at this scale is searched in tiles along its longer side.
        A face is taken from the tile whose share of the picture contains its centre, so none is found twice."""
        axis = int(image.shape[1] > image.shape[0])
        length, tile, seam = image.shape[axis], round(self.enough / scale), round(SEAM / scale)
        if length <= tile or tile <= 2 * seam:
            return self._search(image, scale)
        count = -(-(length - seam) // (tile - seam))
        starts = [round(number * (length - tile) / (count - 1)) for number in range(count)]
        shares = [0.0, *((one + tile + other) / 2 for one, other in pairwise(starts)), float("inf")]
        found = []
        for start, share in zip(starts, pairwise(shares), strict=True):
            part = image[:, start : start + tile] if axis else image[start : start + tile]
            rows = self._search(part, scale)
            rows[:, [1 - axis, *range(5 - axis, 14, 2)]] += start
            middle = rows[:, 1 - axis] + rows[:, 3 - axis] / 2
            reaching = float("-inf") if share[0] == 0 else share[0]
            found.append(rows[(middle >= reaching) & (middle < share[1])])
        return np.concatenate(found)

    def _search(self, image: Pixels, scale: float) -> NDArray[np.float32]:
        """(n, 15) faces at this scale: box, five landmarks and score, in the picture's pixels."""
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        if (height, width) != image.shape[:2]:
            filtering = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (width, height), interpolation=filtering), np.uint8)
        canvas = np.zeros((1, _rounded_up(height), _rounded_up(width), 3), np.uint8)
        canvas[0, :height, :width] = image
        rows = _decoded(self._graph.run(canvas)[0][0], canvas.shape[1], canvas.shape[2])
        rows[:, :14] /= scale
        return rows


def _reduced(image: Pixels, factor: int) -> Pixels:
    """As a JPEG's decoder reduces: once, where each search would shrink 100 megapixels anew."""
    height, width = (side // factor for side in image.shape[:2])
    whole = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _decoded(cells: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Decodes the network's output (cells, 16) for a canvas into (n, 15) rows in canvas pixels: box, five landmarks and
    score of the cells that reach MIN_SCORE."""
    score = np.sqrt(cells[:, 0] * cells[:, 1])
    chosen = np.flatnonzero(score >= MIN_SCORE)
    if not len(chosen):
        return np.zeros((0, 15), np.float32)
    ends = np.cumsum([(height // stride) * (width // stride) for stride in STRIDES])
    level = np.searchsorted(ends, chosen, side="right")
    stride = np.array(STRIDES)[level]
    place, columns = chosen - np.concatenate([[0], ends])[level], width // stride
    corner = np.stack([place % columns, place // columns], axis=1).astype(np.float32)
    said, stride = cells[chosen], stride[:, None].astype(np.float32)
    size = np.exp(said[:, 4:6]) * stride
    middle = (corner + said[:, 2:4]) * stride
    landmarks = (said[:, 6:].reshape(-1, 5, 2) + corner[:, None]).reshape(-1, 10) * stride
    return np.hstack([middle - size / 2, size, landmarks, score[chosen, None]]).astype(np.float32)


def _rounded_up(side: int) -> int:
    return -(-side // SHAPE_STEP) * SHAPE_STEP


def _too_small(rows: NDArray[np.float32], coarse_scale: float) -> NDArray[np.float32]:
    """The faces that the coarse search is not meant to find."""
    return np.asarray(rows[rows[:, 3] * coarse_scale < COARSE_SEES], np.float32)


def _close_ups(rows: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Of the faces found with a border, those that fill the picture."""
    large = rows[:, 2:4].max(axis=1) >= min(shape) / 2 if len(rows) else np.zeros(0, np.bool_)
    return np.asarray(rows[large & (rows[:, 14] >= CLOSE_SCORE)], np.float32)


def _without_overlaps(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    if not len(rows):
        return rows
    kept = cv2.dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 14].tolist(), MIN_SCORE, NMS_OVERLAP)
    return rows[np.asarray(kept, dtype=np.intp).ravel()]


def _detection(row: NDArray[np.float32]) -> Detection:
    values = [float(value) for value in row]
    landmarks = tuple((values[at], values[at + 1]) for at in range(4, 14, 2))
    return Detection((values[0], values[1], values[2], values[3]), landmarks, values[14])
