"""Calibrates the prior to the gallery, by how close its people come to each other.

Every enrolled person is a stranger to all the others, so the similarity to the nearest other person is a sample of a
stranger's best match: a maximum over the gallery. The upper tail of these maxima is compared with the prior's. The
prior's form (linear in log rate: shape zero in extreme-value theory) extrapolates it to rates that so few samples can't
show. The result is one number, the offset: how much higher the gallery's tail lies. It is shrunk towards zero if there
are few people.
"""

from __future__ import annotations

import logging
import threading

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import nearness
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Templates
from facewire.server.gallery.search.means import mean_nearness
from facewire.server.recognition.decision import nearest_of
from facewire.server.recognition.impostors import Prior

TAIL = (0.2, 0.1, 0.05)
"""The rates at which the tails are compared. At lower ones, a single mislabelled person in twenty would move the
result; higher ones are not in the tail (measured on LFW, docs/decisions/0011)."""

WORTH_OF_PRIOR = 100
"""The weight of the prior, in people."""

SEVERAL = 0.85
"""A person with n templates, and their mean, comes as close to a stranger as n ** SEVERAL people with one template.
Measured on LFW with 2, 4 and 8 templates per person in galleries of 50 to 200 (docs/decisions/0011): when people were
simply counted, the prior admitted two to five times as many strangers as specified, by the best template without the
mean."""

LARGEST_SAMPLE = 1000
WORK = 20_000_000
"""Budget of comparisons: a few tenths of a second on a core. At a million templates that would allow only 20 people, so
at least SMALLEST_SAMPLE are used."""
SMALLEST_SAMPLE = 200
BLOCK = 2_000_000
"""Similarities per matrix product, 8 MB: with one product per person, the LFW half's 6,144 templates took 3 s."""

NEAREST = 16
"""Nearest templates whose people's means are compared as well."""

STALE_SHARE = 20
"""The offset is stale once the number of changes exceeds the number of people divided by STALE_SHARE."""

_log = logging.getLogger("facewire.decision")


class Calibration:
    """The offset of a gallery as it changes. Reading never blocks: a thread remeasures a stale offset."""

    def __init__(self, gallery: Gallery, prior: Prior) -> None:
        """Measures once, before it returns."""
        self._gallery = gallery
        self._prior = prior
        self._starting = threading.Lock()  # guards _thread
        self._thread: threading.Thread | None = None
        self._version, self._offset = -1, 0.0
        self._sized = (-1, 0.0)  # gallery version and its effective size; replaced as a whole
        self._measure()

    def effective_size(self) -> float:
        """The gallery's effective size; see the function of that name."""
        version = self._gallery.version
        sized, size = self._sized
        if sized != version:
            size = effective_size(self._gallery.templates().person_ids)
            self._sized = version, size
        return size

    def offset(self) -> float:
        """How much closer this gallery's people come than the prior expects; 0 if it is too small to tell."""
        changes = self._gallery.version - self._version
        if changes * STALE_SHARE > self._gallery.counts().people:
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._measure, name="calibration", daemon=True)
                    self._thread.start()
        return self._offset

    def settle(self) -> None:
        """Waits for a measurement under way, if any. For tests and shutdown."""
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _measure(self) -> None:
        version = self._gallery.version
        self._offset = offset_of(self._gallery.templates(), self._prior)
        self._version = version
        _log.debug("this gallery's people come %.3f nearer than the prior's", self._offset)


def effective_size(person_ids: NDArray[np.int64]) -> float:
    """How many people with one template each would come as close to a stranger as these do. `person_ids`: (n,) the
    person of every template, none negative."""
    counts = np.bincount(person_ids)
    return float(np.sum(counts[counts > 0] ** SEVERAL))


def offset_of(templates: Templates, prior: Prior) -> float:
    """How much higher the gallery's maxima lie than the prior's, averaged over TAIL and shrunk by their number."""
    nearest = nearest_others(templates)
    if len(nearest) < 1 / TAIL[0]:
        return 0.0
    people = len(np.unique(templates.person_ids))
    others = effective_size(templates.person_ids) * (1 - 1 / people)
    higher = [float(np.quantile(nearest, 1 - rate)) - nearest_of(prior.similarity_at, others, rate) for rate in TAIL]
    return float(np.mean(higher)) * len(nearest) / (len(nearest) + WORTH_OF_PRIOR)


def nearest_others(templates: Templates) -> NDArray[np.float64]:
    """(m,) the normalised similarity to the nearest other person, for one template each of up to LARGEST_SAMPLE
    people."""
    owners, first = np.unique(templates.person_ids, return_index=True)
    if len(owners) < 2:
        return np.zeros(0)
    size = max(SMALLEST_SAMPLE, min(LARGEST_SAMPLE, WORK // len(templates.person_ids)))
    rows = first if len(first) <= size else np.random.default_rng(0).choice(first, size, replace=False)
    at_once = max(1, BLOCK // len(templates.person_ids))
    blocks = [_nearest_other(templates, rows[at : at + at_once]) for at in range(0, len(rows), at_once)]
    return np.concatenate(blocks)


def _nearest_other(templates: Templates, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    near = nearness(templates.embeddings[rows] @ templates.embeddings.T, templates.scales)
    near[templates.person_ids[rows][:, None] == templates.person_ids] = -np.inf
    nearest = [_with_means(templates, row, of_row) for row, of_row in zip(rows, near, strict=True)]
    # Nearness omits the probe's own scale: normalised similarity = 1 + nearness / scale.
    return np.asarray(1 + np.array(nearest) / templates.scales[rows])


def _with_means(templates: Templates, row: int, near: NDArray[np.float32]) -> float:
    """The greatest nearness of a template to other people's templates or to the means of the nearest of them, as in a
    search. `near`: (n,), -inf for its own person's templates."""
    take = min(NEAREST, len(near))
    nearest = np.argpartition(near, -take)[-take:]
    people = np.unique(templates.person_ids[nearest[near[nearest] > -np.inf]])
    means = mean_nearness(
        templates.embeddings, templates.person_ids, templates.scales, people, templates.embeddings[row]
    )
    return max(float(near[nearest].max()), float(means.nearness.max()))
