"""YuNet, the face detector. The network runs on OpenVINO; its outputs are decoded here.

Source: "YuNet: A Tiny Millisecond-level Face Detector" (Wu et al., 2023) and the 2023mar weights of OpenCV's model zoo.
OpenCV's own FaceDetectorYN is the oracle in the tests; it is not thread-safe, takes 1.3 times as long on two cores and,
in OpenCV 5, can't share them with other threads.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Any, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.cache import cache_key
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
SHAPES = 16  # of canvases whose code a core keeps: 2 MB each, made in 6 to 15 ms
CONVOLUTIONS = 35  # of the network, once its heads are merged
SMALL_SIDE = 160  # smaller pictures are enlarged: a tiny picture usually shows one tiny face
FRAME = 0.25  # border for another search: a face that fills the picture has no outline
CLOSE_UP = 0.3  # of the longer side: if a face is this high, there is no larger one for the border to reveal
CLOSE_SIDE = 192  # longer side for finding a face that fills the picture; takes a millisecond
FRAMED_SIDE = 320  # the most at which a picture with a border is searched: it is for faces that fill the picture
CLOSE_SCORE = 0.7  # minimum score for it beside smaller faces
SEAM = 256  # pixels at the search scale that two tiles share: larger faces are found at the coarse scale
LARGEST = 1_638_400  # pixels of a canvas: a search takes 40 bytes of each, kept on every core (0060)
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


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / max(1e-9, one[2] * one[3] + other[2] * other[3] - shared)


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

    def __init__(self, weights: Path, canvas: int, tiles: int = TILES, cache_dir: Path | None = None) -> None:
        """`weights`: the ONNX file; `cache_dir`: where the network is kept as it is compiled. Raises StartError if
        the file is damaged, or nothing can be written there."""
        model: Any = _network(weights) if cache_dir is None else _kept(weights, cache_dir)
        # Exact: bfloat16 shifts boxes by pixels and misses an eighth of the smallest faces. One thread per stream:
        # processing several pictures in parallel beats several threads per picture.
        self._graph = runtime.OpenVinoGraph(
            model, streams=cores(), threads=cores(), exact=True, generated=SHAPES * CONVOLUTIONS
        )
        self.enough = canvas
        self._tiles = tiles

    def detect(self, image: Pixels) -> list[Detection]:
        """Every face in (h, w, 3) RGB pixels, largest first."""
        shape = image.shape[:2]
        longest = min(max(shape), max(1, round(ELONGATED * min(shape))))
        longest = max(longest, -(-max(shape) // self._tiles))
        if (factor := longest // self.enough) > 1:
            return [face.scaled(factor) for face in self.detect(_reduced(image, factor))]
        coarse, *fine = self._search_tiled(image, [side / longest for side in self._sides(longest)])
        rows = np.concatenate([coarse, *(_too_small(found, COARSE_SIDE / longest) for found in fine)])
        if not len(rows):
            rows = self._search_framed(image, min(FRAMED_SIDE, self._sides(max(shape))[0]))
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

    def _search_tiled(self, image: Pixels, scales: Sequence[float]) -> list[NDArray[np.float32]]:
        """As `_search` at each scale, all side by side; but a picture that is longer than the canvas at a scale, or
        larger than LARGEST, is searched in tiles along its longer side. A face is taken from the tile whose share of
        the picture contains its centre, so none is found twice."""
        axis = int(image.shape[1] > image.shape[0])
        tilings = [self._tiling(image.shape[axis], image.shape[1 - axis], scale) for scale in scales]
        searches = [
            (image[:, start : start + tile] if axis else image[start : start + tile], scale)
            for (tile, starts), scale in zip(tilings, scales, strict=True)
            for start in starts
        ]
        found = iter(self._searches(searches))
        return [_joined(list(islice(found, len(starts))), tile, starts, axis) for tile, starts in tilings]

    def _tiling(self, length: int, width: int, scale: float) -> tuple[int, list[int]]:
        """The length of a tile and where each begins, in pixels, for a picture that is `length` long."""
        seam = round(SEAM / scale)
        most = min(self.enough, LARGEST / (width * scale)) / scale
        if length <= most or self.enough <= 2 * SEAM:
            return length, [0]
        count = math.ceil((length - seam) / (most - seam))
        tile = -(-(length + (count - 1) * seam) // count)
        return tile, [round(number * (length - tile) / (count - 1)) for number in range(count)]

    def _search(self, image: Pixels, scale: float) -> NDArray[np.float32]:
        """(n, 15) faces at this scale: box, five landmarks and score, in the picture's pixels."""
        return self._searches([(image, scale)])[0]

    def _searches(self, searches: Sequence[tuple[Pixels, float]]) -> list[NDArray[np.float32]]:
        """`_search` of each picture at its scale, side by side."""
        canvases = [_canvas(image, scale) for image, scale in searches]
        found = []
        for (_, scale), canvas, outputs in zip(searches, canvases, self._graph.run_all(canvases), strict=True):
            rows = _decoded(outputs[0][0], canvas.shape[1], canvas.shape[2])
            rows[:, :14] /= scale
            found.append(rows)
        return found


def _joined(found: Sequence[NDArray[np.float32]], tile: int, starts: Sequence[int], axis: int) -> NDArray[np.float32]:
    """What was found in tiles that begin at `starts` along `axis` (1: from left to right), as of one picture."""
    if len(starts) == 1:
        return found[0]
    shares = [float("-inf"), *((one + tile + other) / 2 for one, other in pairwise(starts)), float("inf")]
    kept = []
    for rows, start, (reaching, below) in zip(found, starts, pairwise(shares), strict=True):
        rows[:, [1 - axis, *range(5 - axis, 14, 2)]] += start
        middle = rows[:, 1 - axis] + rows[:, 3 - axis] / 2
        kept.append(rows[(middle >= reaching) & (middle < below)])
    return np.concatenate(kept)


def _network(weights: Path) -> Any:
    """The ONNX file's network, with its heads merged, taking (1, h, w, 3) bytes of RGB."""
    model = runtime.reshape(runtime.read_model(weights), (1, 3, -1, -1))
    names = [[f"{head}_{stride}" for head in HEADS] for stride in STRIDES]
    return runtime.fed_rgb_bytes(runtime.merge_heads(model, names, sigmoids=2))


def _kept(weights: Path, cache_dir: Path) -> Path:
    """The same as a file that is compiled once."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    key = cache_key("yunet, heads merged, RGB bytes", digest, runtime.version())
    return runtime.prepared(cache_dir, key, lambda: _network(weights))


def _canvas(image: Pixels, scale: float) -> Pixels:
    """(1, h, w, 3): the picture at this scale, with sides that the network takes."""
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    if (height, width) != image.shape[:2]:
        filtering = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (width, height), interpolation=filtering), np.uint8)
    canvas = np.zeros((1, _rounded_up(height), _rounded_up(width), 3), np.uint8)
    canvas[0, :height, :width] = image
    return canvas


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
