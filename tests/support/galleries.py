"""Small galleries for tests: a spec of four dimensions, unit vectors, pictures of one template."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.gallery.search.rows import Chunk, Rows
from facewire.server.spec import Crop, EmbeddingSpec


def spec(dimension: int = 4, model: str = "Test") -> EmbeddingSpec:
    return EmbeddingSpec(
        model=model,
        weights_sha256="00" * 32,
        crop=Crop("square", 0.15),
        colour="RGB",
        normalisation="none",
        input_size=(8, 8),
        dimension=dimension,
        template_views=1,
    )


def cohort_file(path: Path, dimension: int = 4) -> Path:
    """A cohort of two Gaussians for galleries of `spec(dimension)`, in train_cohort's format. With it, templates have
    scales and are searched in few dimensions."""
    half = dimension // 2
    np.savez(
        path, spec=np.array(spec(dimension).to_json()), nearest=20, seed=0, ranks=np.array([half, 2]),
        means=random_units(np.random.default_rng(3), 2, dimension), members=np.array([30, 30]),
        factors=np.random.default_rng(4).integers(-3, 4, (half + 2, dimension)).astype(np.int8),
        factor_scales=np.full(half + 2, 0.1, np.float16), residuals=np.full(2, 0.1, np.float32),
    )  # fmt: skip
    return path


def unit(*values: float) -> NDArray[np.float32]:
    vector = np.array(values, dtype=np.float64)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def template(embedding: NDArray[np.float32]) -> NewTemplate:
    return NewTemplate(embedding, box=(1.0, 2.0, 3.0, 4.0), landmarks=((1.5, 2.5), (3.5, 4.5)), detection=0.9)


def picture(path: str, *embeddings: NDArray[np.float32], content: str | None = None) -> NewPicture:
    """A picture with one template per embedding; `content`: its bytes, by default its path."""
    data = (path if content is None else content).encode()
    return NewPicture(
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        path=path,
        width=40,
        height=30,
        templates=tuple(template(embedding) for embedding in embeddings),
    )


def remove_picture(gallery: Gallery, name: str, path: str) -> None:
    """Removes the templates of a person's picture, if they have it, and with them the picture."""
    _, templates = gallery.show(name, 0, 10_000, crops=False)
    ids = [template.id for template in templates if template.image == path]
    if ids:
        gallery.remove(name, ids)


def random_units(rng: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    return _units(rng.standard_normal((count, dimension)))


def people_like(
    rng: np.random.Generator, people: int, count: int, dimension: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`count` templates of `people` and the person of each, distributed like FaceNet's: cosines of 0.72 between
    pictures of a person."""
    spectrum = np.arange(1, dimension + 1) ** -0.35
    centres = _units(rng.standard_normal((people, dimension)) * spectrum)
    owners = rng.integers(0, people, count)
    noise = _units(rng.standard_normal((count, dimension)) * spectrum)
    return _units(centres[owners] + 0.62 * noise), owners


def _units(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def without_image(rows: Rows, image_id: int) -> Rows:
    """The rows without a picture."""
    gone = rows.template_ids[rows.image_ids == image_id]
    return rows.edited(gone, Chunk(np.zeros((0, rows.embeddings.shape[1]), np.float32), (), (), ()))
