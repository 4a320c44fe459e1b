"""All faces that another model lacks, seen again and embedded, in steps that a crash can't undo."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facewire.server.maintenance.build.build import WRITE_EVERY_S
from facewire.server.maintenance.build.pipeline import BATCH, in_parallel
from facewire.server.maintenance.migrate.respec import EnrolledFace, Respec
from facewire.server.maintenance.migrate.sight import Seen, SightEngine, Unseen, see
from facewire.server.spec import EmbeddingSpec

PAGE = 512
"""Faces read at once; with their crops some 5 MB."""


@dataclass(slots=True)
class Report:
    """What one run did. `unseen`: faces that can't be embedded by the new model."""

    originals: int = 0
    crops: int = 0
    unseen: list[Unseen] = field(default_factory=list)

    @property
    def embedded(self) -> int:
        """Faces."""
        return self.originals + self.crops


def reembed(respec: Respec, old: EmbeddingSpec, engine: SightEngine, jobs: int) -> Report:
    """Embed every face that has no template of the new spec, those enrolled meanwhile too.

    Every two seconds what is done is committed: interrupted at any instant, the next run goes on from there.
    """
    report = Report()
    keeping = _Keeping(respec, engine)
    look = partial(see, old=old, engine=engine)
    interval = 0.1 if sys.stderr.isatty() else 10
    with tqdm(total=respec.lacking(), unit=" faces", mininterval=interval, file=sys.stderr) as bar:
        with closing(in_parallel(look, _lacking(respec), jobs)) as outcomes:
            for outcome in outcomes:
                match outcome:
                    case Unseen():
                        report.unseen.append(outcome)
                    case Seen(original=original):
                        keeping.add(outcome)
                        report.originals += original
                        report.crops += not original
                bar.update()
        keeping.finish()
    return report


def _lacking(respec: Respec) -> Iterator[EnrolledFace]:
    last = 0
    while faces := respec.faces(last, PAGE):
        yield from faces
        last = faces[-1].template_id


class _Keeping:
    """Gathers faces into batches for the engine, and embeddings into transactions."""

    def __init__(self, respec: Respec, engine: SightEngine) -> None:
        self._respec, self._engine = respec, engine
        self._seen: list[Seen] = []
        self._embedded: list[tuple[int, NDArray[np.float32]]] = []
        self._written = time.monotonic()

    def add(self, seen: Seen) -> None:
        self._seen.append(seen)
        if len(self._seen) == BATCH:
            self._embed()
            if time.monotonic() > self._written + WRITE_EVERY_S:
                self._write()

    def finish(self) -> None:
        if self._seen:
            self._embed()
        if self._embedded:
            self._write()

    def _embed(self) -> None:
        embeddings = self._engine.templates([seen.crop for seen in self._seen])
        self._embedded += zip((seen.face.template_id for seen in self._seen), embeddings, strict=True)
        self._seen.clear()

    def _write(self) -> None:
        self._respec.add(self._embedded)
        self._embedded.clear()
        self._written = time.monotonic()
