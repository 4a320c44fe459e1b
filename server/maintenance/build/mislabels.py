"""Finds new pictures that match another person, in the database or the folder, before they are moved to the database.

Uses the threshold that a server of the finished gallery would use, at its default error rate.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from facewire.server.gallery.records import Templates
from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort, measure_by
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.build.inventory import Held, held
from facewire.server.maintenance.build.staging import Staging
from facewire.server.recognition.calibration import effective_size, offset_of
from facewire.server.recognition.decision import Decider
from facewire.server.recognition.impostors import has_prior
from facewire.server.recognition.mislabels import Elsewhere, elsewhere_among
from facewire.server.settings import DEFAULT_FPIR
from facewire.server.spec import EmbeddingSpec

MOST = 5_000_000_000
"""Comparisons: a minute or two. Larger builds are not checked."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A new picture that matches another person. `image_id`: in the staging database."""

    image_id: int
    path: str
    elsewhere: Elsewhere


def suspects(staging: Staging, spec: EmbeddingSpec, target: Store | None) -> Iterator[Suspect]:
    """The staged pictures that match somebody else and nobody of their own name, sorted by path. `target`: the database
    they will move to; None if nothing in it stays."""
    new = staging.held()
    if not new.names or not has_prior(spec.model):
        return
    old = Held(np.zeros((0, spec.dimension), np.float32), np.zeros(0, np.int64), ()) if target is None else held(target)
    comparisons = len(new.names) * (len(new.names) + len(old.names))
    if comparisons > MOST:
        print(f"mislabels were not looked for: {comparisons:.1e} comparisons are too many", file=sys.stderr)
        return
    names, people = np.unique(np.array(new.names + old.names), return_inverse=True)
    cohort = Cohort.load(DEFAULT_PATH, spec)
    embeddings = np.concatenate([new.embeddings, old.embeddings])
    templates = Templates(embeddings, np.asarray(people, np.int64), measure_by(cohort)(embeddings))
    decider = Decider(spec, DEFAULT_FPIR, normalised=cohort is not None)
    threshold = decider.threshold(effective_size(templates.person_ids), offset_of(templates, decider.prior))
    found = elsewhere_among(templates, [str(name) for name in names], np.arange(len(new.names)), threshold)
    paths = {picture.image_id: picture.path for picture in staging.pictures()}
    for row in sorted(found, key=lambda row: paths[int(new.image_ids[row])]):
        image_id = int(new.image_ids[row])
        yield Suspect(image_id, paths[image_id], found[row])
