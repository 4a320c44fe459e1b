"""How near a gallery's own people come to each other: each of them is a stranger to all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import nearness
from facewire.server.gallery.records import Templates
from facewire.server.gallery.search.means import mean_nearness
from facewire.server.gallery.search.owners import Owners

LARGEST_SAMPLE = 1000
WORK = 20_000_000
"""Budget of comparisons: a few tenths of a second on a core. At a million templates that would allow only 20 people, so
at least SMALLEST_SAMPLE are used."""
SMALLEST_SAMPLE = 200
BLOCK = 2_000_000
"""Similarities per matrix product, 8 MB: with one product per person, the LFW half's 6,144 templates took 3 s."""

NEAREST = 16
"""Nearest templates whose people's means are compared as well."""


def nearest_others(templates: Templates) -> NDArray[np.float64]:
    """(m,) the normalised similarity to the nearest other person, for one template each of up to LARGEST_SAMPLE
    people."""
    owners, first = np.unique(templates.person_ids, return_index=True)
    if len(owners) < 2:
        return np.zeros(0)
    size = max(SMALLEST_SAMPLE, min(LARGEST_SAMPLE, WORK // len(templates.person_ids)))
    rows = first if len(first) <= size else np.random.default_rng(0).choice(first, size, replace=False)
    at_once = max(1, BLOCK // len(templates.person_ids))
    sorted_by_person = Owners().covering(templates.person_ids)
    blocks = [
        _nearest_other(templates, sorted_by_person, rows[at : at + at_once]) for at in range(0, len(rows), at_once)
    ]
    return np.concatenate(blocks)


def _nearest_other(templates: Templates, owners: Owners, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    near = nearness(templates.embeddings[rows] @ templates.embeddings.T, templates.scales)
    near[templates.person_ids[rows][:, None] == templates.person_ids] = -np.inf
    nearest = [_with_means(templates, owners, row, of_row) for row, of_row in zip(rows, near, strict=True)]
    # Nearness omits the probe's own scale: normalised similarity = 1 + nearness / scale.
    return np.asarray(1 + np.array(nearest) / templates.scales[rows])


def _with_means(templates: Templates, owners: Owners, row: int, near: NDArray[np.float32]) -> float:
    """The greatest nearness of a template to other people's templates or to the means of the nearest of them, as in a
    search. `near`: (n,), -inf for its own person's templates."""
    take = min(NEAREST, len(near))
    nearest = np.argpartition(near, -take)[-take:]
    people = np.unique(templates.person_ids[nearest[near[nearest] > -np.inf]])
    theirs = owners.rows_of(people.tolist(), templates.person_ids)
    means = mean_nearness(templates.embeddings, templates.scales, theirs, templates.embeddings[row])
    return max(float(near[nearest].max()), float(means.nearness.max(initial=-np.inf)))
