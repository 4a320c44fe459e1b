"""How close the gallery's own people come to each other, compared with what the prior expects.

Every enrolled person is a stranger to all the others, so each person's nearest other is a sample of a stranger's
nearest: a maximum over the gallery. The upper tail of these maxima is compared with the prior's. The prior's form
(straight in log rate: shape zero in extreme-value theory) extends it to rates that so few samples can't show. What is
learnt is one number, the offset: how much higher the tail lies. Few people say little, so the offset is weighed against
zero by how many there are.
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
"""The rates at which the tails are compared. At rarer ones a single mislabelled person in twenty would move the result;
more common ones are no tail (measured on LFW, docs/decisions/0011)."""

WORTH_OF_PRIOR = 100
"""The prior weighs as much as this many people's maxima."""

SEVERAL = 0.85
"""A person with n templates, and their mean, comes as close to a stranger as n ** SEVERAL people with one each.
Measured on LFW with 2, 4 and 8 templates a person in galleries of 50 to 200 (docs/decisions/0011): with people merely
counted, the prior let in two to five times as many strangers as asked, by the best template without the mean."""

LARGEST_SAMPLE = 1000
WORK = 20_000_000
"""Comparisons to spend: a few tenths of a second on a core. At a million templates that would leave 20 people, so
SMALLEST_SAMPLE are taken at least."""
SMALLEST_SAMPLE = 200
BLOCK = 2_000_000
"""Similarities computed by one matrix product, 8 MB: a product a person took the LFW half's 6,144 templates 3 s."""

NEAREST = 16
"""Templates whose people's means are compared as well."""

STALE_SHARE = 20
"""Measured again once the gallery has changed as often as a share of one in STALE_SHARE of its people."""

_log = logging.getLogger("facewire.decision")


class Calibration:
    """The offset of one gallery as it changes. Asking never waits: a stale offset is measured again by a thread."""

    def __init__(self, gallery: Gallery, prior: Prior) -> None:
        """Measures once, before it returns."""
        self._gallery = gallery
        self._prior = prior
        self._starting = threading.Lock()  # guards _thread
        self._thread: threading.Thread | None = None
        self._version, self._offset = -1, 0.0
        self._sized = (-1, 0.0)  # a version of the gallery and its effective size then; replaced as a whole
        self._measure()

    def effective_size(self) -> float:
        """The gallery's, see the function of that name."""
        version = self._gallery.version
        sized, size = self._sized
        if sized != version:
            size = effective_size(self._gallery.templates().person_ids)
            self._sized = version, size
        return size

    def offset(self) -> float:
        """How much closer than the prior expects this gallery's people come; 0 where it is too small to tell."""
        changes = self._gallery.version - self._version
        if changes * STALE_SHARE > self._gallery.counts().people:
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._measure, name="calibration", daemon=True)
                    self._thread.start()
        return self._offset

    def settle(self) -> None:
        """Wait for the measurement under way, if any; for tests and shutdown."""
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
    """How many people with one template each would come as close to a stranger as these people do. `person_ids`: (n,)
    of every template, none negative."""
    counts = np.bincount(person_ids)
    return float(np.sum(counts[counts > 0] ** SEVERAL))


def offset_of(templates: Templates, prior: Prior) -> float:
    """How much higher the gallery's maxima lie than the prior's, averaged over TAIL and weighed by their number."""
    nearest = nearest_others(templates)
    if len(nearest) < 1 / TAIL[0]:
        return 0.0
    people = len(np.unique(templates.person_ids))
    others = effective_size(templates.person_ids) * (1 - 1 / people)
    higher = [float(np.quantile(nearest, 1 - rate)) - nearest_of(prior.similarity_at, others, rate) for rate in TAIL]
    return float(np.mean(higher)) * len(nearest) / (len(nearest) + WORTH_OF_PRIOR)


def nearest_others(templates: Templates) -> NDArray[np.float64]:
    """(m,) for a template each of up to LARGEST_SAMPLE people: normalised similarity to the nearest other person."""
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
    # Nearness leaves the probe's own scale out; divided by it, plus one, it is the normalised similarity.
    return np.asarray(1 + np.array(nearest) / templates.scales[rows])


def _with_means(templates: Templates, row: int, near: NDArray[np.float32]) -> float:
    """The greatest nearness of a template to other people's templates, or to the means of the nearest of those people,
    as in a search. `near`: (n,), -inf for its own person's."""
    take = min(NEAREST, len(near))
    nearest = np.argpartition(near, -take)[-take:]
    people = np.unique(templates.person_ids[nearest[near[nearest] > -np.inf]])
    means = mean_nearness(
        templates.embeddings, templates.person_ids, templates.scales, people, templates.embeddings[row]
    )
    return max(float(near[nearest].max()), float(means.nearness.max()))
