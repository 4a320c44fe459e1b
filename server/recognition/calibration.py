"""How near the gallery's own people come to each other, beyond what the prior expects.

Every enrolled person is a stranger to all the others, so the nearest other person of each is a sample of what a
stranger's nearest is: a maximum over the gallery. The upper tail of these maxima is compared with the prior's, whose
form (straight in log rate: extreme-value theory's shape zero) carries it on to rates that so few samples can't show;
what is learnt is one number, by how much the tail lies higher. Few people say little: their number weighs it against
zero.
"""

from __future__ import annotations

import logging
import threading

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import nearness
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Templates
from facewire.server.gallery.search.index import Hit
from facewire.server.gallery.search.means import with_means
from facewire.server.recognition.decision import nearest_of
from facewire.server.recognition.impostors import Prior

TAIL = (0.2, 0.1, 0.05)
"""Where the tails are compared: rarer, and one mislabelled person in twenty would move it; more common, and it is no
tail (measured on LFW, docs/decisions/0011)."""

WORTH_OF_PRIOR = 100
"""The prior weighs as much as so many people's maxima."""

SEVERAL = 0.85
"""A person with n templates, and their mean, comes as near to a stranger as n to this power people with one each.
Measured on LFW with 2, 4 and 8 templates a person in galleries of 50 to 200 (docs/decisions/0011): counting people
alone, the prior let two to five times as many strangers in as asked, by the best template without the mean."""

LARGEST_SAMPLE = 1000
WORK = 20_000_000
"""Comparisons at most: a few tenths of a second on a core. At a million templates that leaves 20 people, so
at least SMALLEST_SAMPLE are taken all the same."""
SMALLEST_SAMPLE = 200
BLOCK = 2_000_000
"""Similarities computed by one matrix product, 8 MB: a product a person took the LFW half's 6,144 templates 3 s."""

NEAREST = 16
"""Templates whose people's means are looked at."""

STALE_SHARE = 20
"""Measured again when the gallery has changed as often as it has people, divided by this."""

_log = logging.getLogger("facewire.decision")


class Calibration:
    """Follows one gallery. Asking never waits; what is stale is measured on a thread of its own."""

    def __init__(self, gallery: Gallery, prior: Prior) -> None:
        """Measures once, before it returns."""
        self._gallery = gallery
        self._prior = prior
        self._starting = threading.Lock()  # guards _thread
        self._thread: threading.Thread | None = None
        self._version, self._shift = -1, 0.0
        self._counted = (-1, 0.0)  # the gallery's version and its crowd then; replaced as a whole
        self._measure()

    def crowd(self) -> float:
        """How many people with one template each the gallery is worth, see `crowd_of`."""
        version = self._gallery.version
        counted, crowd = self._counted
        if counted != version:
            crowd = crowd_of(self._gallery.templates().person_ids)
            self._counted = version, crowd
        return crowd

    def shift(self) -> float:
        """By how much nearer than the prior's people this gallery's come; 0 where it is too small to say."""
        changes = self._gallery.version - self._version
        if changes * STALE_SHARE > self._gallery.counts().people:
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._measure, name="calibration", daemon=True)
                    self._thread.start()
        return self._shift

    def settle(self) -> None:
        """Wait for a measurement under way; for tests and shutdown."""
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _measure(self) -> None:
        version = self._gallery.version
        self._shift = shift_of(self._gallery.templates(), self._prior)
        self._version = version
        _log.debug("this gallery's people come %.3f nearer than the prior's", self._shift)


def crowd_of(person_ids: NDArray[np.int64]) -> float:
    """How many people with one template each come as near to a stranger as these do. `person_ids`: (n,), positive or 0,
    whose each template is."""
    counts = np.bincount(person_ids)
    return float(np.sum(counts[counts > 0] ** SEVERAL))


def shift_of(templates: Templates, prior: Prior) -> float:
    """The mean over TAIL of how much higher the gallery's maxima lie than the prior's, weighed by their number."""
    nearest = nearest_others(templates)
    if len(nearest) < 1 / TAIL[0]:
        return 0.0
    people = len(np.unique(templates.person_ids))
    others = crowd_of(templates.person_ids) * (1 - 1 / people)
    higher = [float(np.quantile(nearest, 1 - rate)) - nearest_of(prior.similarity_at, others, rate) for rate in TAIL]
    return float(np.mean(higher)) * len(nearest) / (len(nearest) + WORTH_OF_PRIOR)


def nearest_others(templates: Templates) -> NDArray[np.float64]:
    """(m,) for up to LARGEST_SAMPLE people, one template of each: the nearest of all other people's, normalised."""
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
    # Nearness leaves the probe's own scale out; divided by it, and one more, it is the normalised similarity.
    return np.asarray(1 + np.array(nearest) / templates.scales[rows])


def _with_means(templates: Templates, row: int, nearness: NDArray[np.float32]) -> float:
    """The greatest of a template's nearness to others, or to the means of those who are nearest, as search has it."""
    take = min(NEAREST, len(nearness))
    nearest = np.argpartition(nearness, -take)[-take:]
    nearest = nearest[np.argsort(-nearness[nearest], kind="stable")]
    owners = templates.person_ids[nearest]
    hits = [
        Hit(int(at), int(owner), np.nan, np.nan, float(nearness[at]))
        for number, (at, owner) in enumerate(zip(nearest, owners, strict=True))
        if owner not in owners[:number] and nearness[at] > -np.inf
    ]
    columns = templates.embeddings, templates.person_ids, templates.scales
    return with_means(*columns, hits, templates.embeddings[row])[0].nearness
