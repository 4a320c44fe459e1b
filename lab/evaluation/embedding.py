"""Embeds pictures with the server's own code, and caches the embeddings on disk by content and spec."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facewire.server.cores import cores
from facewire.server.errors import InvalidImage
from facewire.server.recognition.enrolment import main_face
from facewire.server.settings import add_vision_arguments, vision_settings
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.image import Pixels
from facewire.server.vision.opening import open_analyser
from facewire.server.vision.runtime import Floats

CHUNK = 64  # pictures decoded ahead of the networks: eight batches

Digest = str


@dataclass(frozen=True, slots=True)
class Embedded:
    """`paths` that show a face, with (n, d) embeddings as probes and as templates; `without_face`: the other paths."""

    paths: tuple[Path, ...]
    probes: Floats
    templates: Floats
    without_face: tuple[Path, ...]
    spec: EmbeddingSpec

    def rows(self) -> dict[Path, int]:
        """The row of each path's embedding."""
        return {path: row for row, path in enumerate(self.paths)}


def add_arguments(parser: argparse.ArgumentParser, *, plot: bool = True) -> None:
    """Adds the arguments of all evaluations of embeddings; `plot`: it can draw curves."""
    add_image_arguments(parser)
    if plot:
        parser.add_argument("--plot", type=Path, metavar="FILE", help="write the curves as a picture")


def add_image_arguments(parser: argparse.ArgumentParser, *, precision: bool = True) -> None:
    """Adds the arguments of all commands that embed a folder; `precision`: in one precision, which can be chosen."""
    parser.add_argument("--images", type=Path, required=True, help="a folder of sub-folders of pictures")
    without = () if precision else ("precision",)
    add_vision_arguments(parser, model_help="by default Facenet512", emotions=False, without=without)


def embed(paths: Sequence[Path], arguments: argparse.Namespace) -> Embedded:
    """Embeds the main face of every picture. Raises StartError if the networks can't be opened."""
    settings = vision_settings(arguments)
    analyser = open_analyser(settings)
    try:
        known = _Known(
            settings.cache_dir / f"evaluation-{analyser.spec.fingerprint}-{analyser.precision}.npz",
            analyser.spec.dimension,
        )
        digests = [_digest(path) for path in tqdm(paths, desc="reading", unit=" pictures", file=sys.stderr)]
        missing = {digest: path for digest, path in zip(digests, paths, strict=True) if digest not in known.rows}
        _embed_missing(list(missing.items()), analyser, known)
    finally:
        analyser.close()
    seen = [known.rows[digest] for digest in digests]
    kept = [index for index, row in enumerate(seen) if row is not None]
    blank = np.zeros((0, 2, analyser.spec.dimension), np.float32)
    pairs = np.stack([row for row in seen if row is not None]) if kept else blank
    return Embedded(
        tuple(paths[index] for index in kept),
        np.ascontiguousarray(pairs[:, 0]),
        np.ascontiguousarray(pairs[:, 1]),
        tuple(path for path, row in zip(paths, seen, strict=True) if row is None),
        analyser.spec,
    )


class _Known:
    """The cache: digest -> (2, d) probe and template, or None for a picture without a face."""

    def __init__(self, path: Path, dimension: int) -> None:
        self._path = path
        self._dimension = dimension
        self.rows: dict[Digest, NDArray[np.float32] | None] = {}
        if path.exists():
            with np.load(path, allow_pickle=False) as stored:
                self.rows.update(zip(stored["digests"].tolist(), stored["pairs"], strict=True))
                self.rows.update(dict.fromkeys(stored["faceless"].tolist()))

    def save(self) -> None:
        """Saves atomically."""
        found = {digest: row for digest, row in self.rows.items() if row is not None}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(f".{os.getpid()}.npz")
        np.savez(
            partial,
            digests=np.array(list(found), "U64"),
            pairs=np.stack(list(found.values())) if found else np.zeros((0, 2, self._dimension), np.float32),
            faceless=np.array([digest for digest, row in self.rows.items() if row is None], "U64"),
        )
        partial.replace(self._path)


def _embed_missing(missing: Sequence[tuple[Digest, Path]], analyser: Analyser, known: _Known) -> None:
    if not missing:
        return
    with (
        ThreadPoolExecutor(cores()) as pool,
        tqdm(total=len(missing), desc="embedding", unit=" pictures", file=sys.stderr) as bar,
    ):
        for start in range(0, len(missing), CHUNK):
            chunk = missing[start : start + CHUNK]
            crops = list(pool.map(lambda item: main_crop(analyser, item[1]), chunk))
            shown = [crop for crop in crops if crop is not None]
            probes = analyser.probes(shown)
            pairs = iter(np.stack([probes, analyser.templates(shown, probes)], axis=1))
            for (digest, _), crop in zip(chunk, crops, strict=True):
                known.rows[digest] = None if crop is None else next(pairs)
            bar.update(len(chunk))
            if start % (16 * CHUNK) == 0:
                known.save()
    known.save()


def main_crop(analyser: Analyser, path: Path) -> Pixels | None:
    """The crop of a picture's main face; None, and a line on stderr if the file is at fault, if there is none."""
    try:
        picture = analyser.faces(path.read_bytes())
    except InvalidImage as error:
        print(f"{path}: {error}", file=sys.stderr)
        return None
    if not picture.faces:
        return None
    return picture.faces[main_face([face.box for face in picture.faces], picture.width, picture.height)].crop


def _digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
