"""Groups the faces of one video into people, as those of an album."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facewire.server.albums import clustering
from facewire.server.albums.clustering import Scale
from facewire.server.gallery.search.cohort import Cohort

Grouping = Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.int64]]
"""(n, d) embeddings and the frames (n,) that show them -> (n,) whose each is."""


def scale_for(cohort: Cohort | None, strangers_exceed: Callable[[float], float]) -> Scale:
    """The scale of the model's similarities. With a cohort, they are already on the one that clustering was fitted on;
    without, it follows from how near strangers come: the similarity that they exceed at a rate."""
    return clustering.FITTED if cohort else clustering.scale_of(strangers_exceed)


def grouping(cohort: Cohort | None, scale: Scale) -> Grouping:
    """Groups by `clustering`: two faces in one frame are hardly ever one person."""

    def group(embeddings: NDArray[np.float32], frames: NDArray[np.int64]) -> NDArray[np.int64]:
        count = len(embeddings)
        statistics = None if cohort is None else cohort.statistics(embeddings)
        unsettled, free = np.full(count, -1, np.int64), np.zeros(count, np.bool_)
        return clustering.cluster(embeddings, frames, unsettled, free, (), statistics, scale)

    return group
