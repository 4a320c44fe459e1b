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

from facewire.server.errors import RequestError
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Templates
from facewire.server.gallery.search.strangers import nearest_others
from facewire.server.recognition.impostors import Prior, nearest_of

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

STALE_SHARE = 20
"""The offset is stale once the number of changes exceeds the number of people divided by STALE_SHARE."""

_log = logging.getLogger("facewire.decision")


class Calibration:
    """The offset of a gallery as it changes. Reading never blocks: a thread remeasures a stale offset."""

    def __init__(self, gallery: Gallery, prior: Prior) -> None:
        """Measures once, before it returns. Raises Busy and StorageFailed where the gallery can't be read."""
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
            size = size_of(self._gallery.sizes(), self._gallery.counts().people)
            self._sized = version, size
        return size

    def offset(self) -> float:
        """How much closer this gallery's people come than the prior expects; 0 if it is too small to tell."""
        changes = self._gallery.version - self._version
        if changes * STALE_SHARE > self._gallery.counts().people:
            with self._starting:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._measure_again, name="calibration", daemon=True)
                    self._thread.start()
        return self._offset

    def settle(self) -> None:
        """Waits for a measurement under way, if any. For tests and shutdown."""
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _measure_again(self) -> None:
        try:
            self._measure()
        except RequestError as error:  # the next question tries again
            _log.warning("the gallery can't be measured at the moment, so the last offset holds: %s", error)

    def _measure(self) -> None:
        version = self._gallery.version
        sizes = self._gallery.sizes()
        people = self._gallery.counts().people * float(np.mean(sizes > 0)) if len(sizes) else 0
        effective = size_of(sizes, self._gallery.counts().people)
        self._offset = offset_among(self._gallery.nearest_others(), people, effective, self._prior)
        self._version = version
        _log.debug("people of this gallery are %.3f nearer to strangers than the prior expects", self._offset)


def effective_size(person_ids: NDArray[np.int64]) -> float:
    """How many people with one template each would come as close to a stranger as these do. `person_ids`: (n,) the
    person of every template, none negative."""
    sizes = np.unique(person_ids, return_counts=True)[1]
    return size_of(sizes, len(sizes))


def size_of(sizes: NDArray[np.int64], people: int) -> float:
    """The same for `people` people, of whom all or a sample have these numbers of templates."""
    return float(np.sum(sizes[sizes > 0] ** SEVERAL)) * (people / max(1, len(sizes)))


def offset_of(templates: Templates, prior: Prior) -> float:
    """How much higher the maxima of these templates lie than the prior's."""
    people = len(np.unique(templates.person_ids))
    return offset_among(nearest_others(templates), people, effective_size(templates.person_ids), prior)


def offset_among(nearest: NDArray[np.float64], people: float, effective: float, prior: Prior) -> float:
    """How much higher these maxima lie than the prior's, averaged over TAIL and shrunk by their number. `people`: who
    have templates; `effective`: their effective size."""
    if len(nearest) < 1 / TAIL[0]:
        return 0.0
    others = effective * (1 - 1 / people)
    higher = [float(np.quantile(nearest, 1 - rate)) - nearest_of(prior.similarity_at, others, rate) for rate in TAIL]
    return float(np.mean(higher)) * len(nearest) / (len(nearest) + WORTH_OF_PRIOR)
