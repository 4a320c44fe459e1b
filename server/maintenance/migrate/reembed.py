"""Embeds all faces that lack a template of another model, committing as it goes, so that a crash loses little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facewire.server.maintenance.migrate.respec import EnrolledFace, Respec
from facewire.server.maintenance.migrate.sight import Seen, Unseen, see
from facewire.server.maintenance.pipeline import Batches, in_parallel, progress_bar
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.engine import Engine

PAGE = 512
"""Faces read at once; with their crops about 5 MB."""


@dataclass(slots=True)
class Report:
    """The results of one run. `unseen`: faces that the new model can't embed."""

    originals: int = 0
    crops: int = 0
    unseen: list[Unseen] = field(default_factory=list)

    @property
    def embedded(self) -> int:
        """The number of faces embedded."""
        return self.originals + self.crops


def reembed(respec: Respec, old: EmbeddingSpec, engine: Engine, jobs: int) -> Report:
    """Embed every face that has no template of the new spec, including those enrolled meanwhile.

    Commits every two seconds: a run interrupted at any instant can be resumed.
    """
    report = Report()

    def embed(batch: Sequence[Seen]) -> Iterable[tuple[int, NDArray[np.float32]]]:
        embeddings = engine.templates([seen.crop for seen in batch])
        return zip((seen.face.template_id for seen in batch), embeddings, strict=True)

    batches = Batches(embed, respec.add)
    look = partial(see, old=old, engine=engine)
    with progress_bar(respec.lacking(), "faces") as bar:
        with closing(in_parallel(look, _lacking(respec), jobs)) as outcomes:
            for outcome in outcomes:
                match outcome:
                    case Unseen():
                        report.unseen.append(outcome)
                    case Seen(original=original):
                        batches.add(outcome)
                        report.originals += original
                        report.crops += not original
                bar.update()
        batches.finish()
    return report


def _lacking(respec: Respec) -> Iterator[EnrolledFace]:
    last = 0
    while faces := respec.faces(last, PAGE):
        yield from faces
        last = faces[-1].template_id
