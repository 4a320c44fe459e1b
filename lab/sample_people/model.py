"""`FaceModel`: a generative model of faces, as a mixture of Gaussians over principal components.

Textures and shapes are split into a part that equals its mirror image (even) and a part that is its negative (odd). The
even part is identity, the odd part is pose and sidelight. Drawing them separately keeps faces symmetrical; a single PCA
over both gives crooked faces. Each part's PCA is computed exactly from the n x n Gram matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lab.sample_people.geometry import SIDE, Points, mirrored
from lab.sample_people.learn import AlignedFaces

Rows = NDArray[np.float64]

EVEN_COMPONENTS, ODD_COMPONENTS = 240, 60
SHAPE_WEIGHT = 900.0
"""One pixel of a landmark counts as much as this many grey values: shape is then a tenth of the faces' variance."""
BORDER_WEIGHT = 0.25
"""What a pixel at the canvas's border counts, beside 1 in the face: backgrounds vary most and matter least."""
CLUSTER_COMPONENTS = 40
FEWEST_IN_CLUSTER = 25
"""A cluster's mean is the mean of at least this many faces, or nobody is drawn around it."""
ROWS_AT_A_TIME = 8
"""Canvas rows turned to floats at a time, to bound memory."""


@dataclass(frozen=True, slots=True)
class Part:
    """Components of one symmetry: (k, SIDE, SIDE, 3) `textures` and (k, 5, 2) `shapes` for coefficients of variance 1;
    `coefficients` (n, k) of the faces learned from."""

    textures: NDArray[np.float32]
    shapes: Points
    coefficients: Rows


@dataclass(frozen=True, slots=True)
class FaceModel:
    """`centres` and `spreads` (clusters, EVEN_COMPONENTS): means and deviations of the even coefficients.

    `smile`: the unit direction of even coefficients along which mouths grow wide.
    """

    mean_texture: NDArray[np.float32]
    mean_shape: Points
    even: Part
    odd: Part
    centres: Rows
    spreads: Rows
    smile: NDArray[np.float64]

    def shape(self, even: NDArray[np.float64], odd: NDArray[np.float64]) -> Points:
        """(5, 2) landmarks on the canvas for (k,) coefficients of either part."""
        shifts = np.tensordot(even, self.even.shapes, 1) + np.tensordot(odd, self.odd.shapes, 1)
        return np.asarray(self.mean_shape + shifts, np.float64)

    def texture(self, even: NDArray[np.float64], odd: NDArray[np.float64]) -> NDArray[np.float32]:
        """(SIDE, SIDE, 3) on the canvas, not clipped to 0..255."""
        shifts = np.tensordot(even.astype(np.float32), self.even.textures[: len(even)], 1)
        shifts += np.tensordot(odd.astype(np.float32), self.odd.textures[: len(odd)], 1)
        return np.asarray(self.mean_texture + shifts, np.float32)


def fit_model(faces: AlignedFaces, clusters: int, rng: np.random.Generator) -> FaceModel:
    """Fits the model to `faces`; `rng` only initialises the clustering."""
    flipped = mirrored(faces.shapes)
    mean_shape = (faces.shapes.mean(axis=0) + flipped.mean(axis=0)) / 2
    mean = faces.textures.mean(axis=0, dtype=np.float64)
    mean_texture = np.asarray((mean + mean[:, ::-1]) / 2, np.float32)
    with tqdm(total=4 * SIDE // ROWS_AT_A_TIME, desc="learning components", unit="strip") as progress:
        shapes = faces.shapes - mean_shape, flipped - mean_shape
        even = _part(faces.textures, mean_texture, (shapes[0] + shapes[1]) / 2, EVEN_COMPONENTS, 1, progress.update)
        odd = _part(faces.textures, mean_texture, (shapes[0] - shapes[1]) / 2, ODD_COMPONENTS, -1, progress.update)
    members = _clusters(even, clusters, rng)
    centres = np.stack([even.coefficients[rows].mean(axis=0) for rows in members])
    spreads = np.stack([even.coefficients[rows].std(axis=0) for rows in members])
    return FaceModel(mean_texture, mean_shape, even, odd, centres, spreads, _smile(even))


def _part(
    textures: NDArray[np.uint8],
    mean: NDArray[np.float32],
    shapes: Points,
    k: int,
    sign: int,
    advance: Callable[[], object],
) -> Part:
    n = len(textures)
    weights = _pixel_weights()
    flat_shapes = SHAPE_WEIGHT * shapes.reshape(n, -1)
    gram = flat_shapes @ flat_shapes.T
    for top in range(0, SIDE, ROWS_AT_A_TIME):
        strip = _strip(textures, mean, top, sign) * weights[top : top + ROWS_AT_A_TIME, :, None]
        gram += strip.reshape(n, -1) @ strip.reshape(n, -1).T
        advance()
    k = min(k, n)
    vectors = np.linalg.eigh(gram)[1][:, ::-1][:, :k]
    # An eigenvector's sign is arbitrary; it is fixed here, so that a seed gives the same people everywhere.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(k)])
    coefficients = np.asarray(vectors * np.sqrt(n), np.float64)
    components = np.empty((k, SIDE, SIDE, 3), np.float32)
    for top in range(0, SIDE, ROWS_AT_A_TIME):
        strip = _strip(textures, mean, top, sign).reshape(n, -1)
        rows = coefficients.T.astype(np.float32) @ strip / n
        components[:, top : top + ROWS_AT_A_TIME] = rows.reshape(k, -1, SIDE, 3)
        advance()
    return Part(components, np.tensordot(coefficients.T, shapes, 1) / n, coefficients)


def _strip(textures: NDArray[np.uint8], mean: NDArray[np.float32], top: int, sign: int) -> NDArray[np.float32]:
    """(n, ROWS_AT_A_TIME, SIDE, 3): the even (`sign` 1) or odd (-1) part of every face's deviation from the mean."""
    rows = slice(top, top + ROWS_AT_A_TIME)
    deviation = textures[:, rows].astype(np.float32) - mean[rows]
    return np.asarray((deviation + sign * deviation[:, :, ::-1]) / 2, np.float32)


def _pixel_weights() -> NDArray[np.float32]:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    middle = SIDE / 2 - 0.5
    radius = np.hypot((columns - middle) / (SIDE * 0.36), (rows - middle) / (SIDE * 0.48))
    return np.asarray(BORDER_WEIGHT + (1 - BORDER_WEIGHT) * np.clip(1.6 - radius, 0, 1), np.float32)


def _clusters(even: Part, count: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """k-means over the leading components, each in grey values: indices of the faces in every cluster large enough."""
    sizes = np.sqrt((even.textures[:CLUSTER_COMPONENTS] ** 2).mean(axis=(1, 2, 3), dtype=np.float64))
    points = even.coefficients[:, :CLUSTER_COMPONENTS] * sizes
    centres = points[rng.choice(len(points), count, replace=False)]
    for _ in range(30):
        nearest = ((centres**2).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)
        filled = [index for index in range(len(centres)) if (nearest == index).any()]
        centres = np.stack([points[nearest == index].mean(axis=0) for index in filled])
    nearest = ((centres**2).sum(axis=1) - 2 * points @ centres.T).argmin(axis=1)
    members = [np.flatnonzero(nearest == index) for index in range(len(centres))]
    return [rows for rows in members if len(rows) >= FEWEST_IN_CLUSTER]


def _smile(even: Part) -> NDArray[np.float64]:
    """Coefficients have variance 1 and are uncorrelated, so regressing on them the mouth's width, which smiles widen,
    is reading each component's own width."""
    widths = even.shapes[:, 4, 0] - even.shapes[:, 3, 0]
    return np.asarray(widths / np.linalg.norm(widths), np.float64)
