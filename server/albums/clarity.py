"""How much of its person a face shows, from what is known of it without comparing it with others.

Fitted to the mean similarity of faces to clear faces of the same person, relative to that of clear ones, on half of the
people of made group photographs: docs/decisions/0084. Sharpness says most; a low score of the detector comes with faces
that are turned away or covered.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

SHARP, SURE, LARGE = 0.033, 0.915, 40.0
"""The sharpness (`FaceQuality.sharpness`), score and size (the shorter side, in pixels) of a clear face. Nine in ten of
LFW's faces have all three."""

UNSHARP, UNSURE, SMALL = 0.22, 1.3, 0.08
"""What a face loses: by the logarithm of its sharpness and of its size, and by its score, below a clear one's."""

UNSURE_ALONE, SMALL_ALONE = 2.7, 0.4
"""The same where the sharpness was not measured."""

LEAST = 0.2

POOR = 0.75
"""Below it a face is poor: no cover of a person who has a better one. Two thirds of the background faces in made
photographs are, and one in 3,000 of LFW's."""


def clarity(sizes: Numbers, scores: Numbers, sharpness: Numbers) -> Numbers:
    """(n,), from LEAST to 1 for a clear face. `sizes`: the shorter side of each box, in pixels; `scores`: the
    detector's; `sharpness`: NaN where it was not measured."""
    unsure = np.minimum(scores - SURE, 0)
    small = np.minimum(np.log(np.maximum(sizes, 1) / LARGE), 0)
    unsharp = np.minimum(np.log(np.maximum(sharpness, 1e-6) / SHARP), 0)
    lost = np.where(
        np.isnan(sharpness),
        UNSURE_ALONE * unsure + SMALL_ALONE * small,
        UNSURE * unsure + SMALL * small + UNSHARP * unsharp,
    )
    shown: Numbers = np.clip(1 + lost, LEAST, 1)
    return shown
