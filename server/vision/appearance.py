"""Does what was cut out look like a face, and is the face covered? Of a crop, two linear discriminants and dark eyes.

`data/models/appearance.npz` has them; scripts/train_appearance.py makes it, and data/models/README.md says from what.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.models import FOLDER as MODELS
from facewire.server.vision.image import Pixels

MODEL = MODELS / "appearance.npz"

SIDE, GRID = 64, 8
"""Pixels a side at which a crop is looked at, and cells a side of its colours."""

EYES_SIDE = 160
EYES = (np.s_[50:78, 46:76], np.s_[50:78, 84:114])
CHEEKS = np.s_[80:112, 48:112]
"""Pixels a side at which eyes are looked at, and where they lie in a crop: YuNet's boxes put them within a tenth."""

DARK = 0.5
"""Of the cheeks' median. LFW's eyes, brows and shadows reach it in a third of those places at most."""

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Discriminant:
    """`mean` and `deviation` of the features, `weights` of what deviates, and the value (`origin`) of an average plain
    face. Values are in units of the way from there to the average of the others: 0 is a plain face, 1 is not."""

    mean: Vector
    deviation: Vector
    weights: Vector
    origin: float

    def value(self, features: Vector) -> float:
        return float((features - self.mean) / self.deviation @ self.weights) - self.origin


@dataclass(frozen=True, slots=True)
class Appearance:
    """`unlike`: 0 as faces are, 1 as drawings and patterns; `cloth`: 0 plain, 1 with something over mouth and nose;
    `dark_eyes`: the share of the lesser eye's surroundings that is darker than half the cheeks, 0 to 1."""

    unlike: float
    cloth: float
    dark_eyes: float


def appearance_of(crop: Pixels) -> Appearance:
    """Of a face's square crop with 15 % margin, upright, (h, w, 3) RGB; half a millisecond."""
    unlike, cloth = _discriminants()
    seen = features(crop)
    return Appearance(unlike.value(seen), cloth.value(seen), dark_eyes(crop))


def dark_eyes(crop: Pixels) -> float:
    """See Appearance. By the face's own cheeks, so that dark skin is no dark glass."""
    small = cv2.resize(crop, (EYES_SIDE, EYES_SIDE), interpolation=cv2.INTER_AREA)
    light = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 2)
    half = DARK * float(np.median(light[CHEEKS]))
    return min(float(np.mean(light[eye] < half)) for eye in EYES)


def features(crop: Pixels) -> Vector:
    """Histograms of oriented gradients (Dalal and Triggs, 2005) and the colours of a grid."""
    small = cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    gradients = np.asarray(_hog().compute(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))).ravel()
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float32)
    colours = cv2.resize(lab, (GRID, GRID), interpolation=cv2.INTER_AREA)
    light = colours[..., 0]
    colours[..., 0] = (light - light.mean()) / (light.std() + 4)
    colours[..., 1:] = (colours[..., 1:] - 128) / 12
    return np.concatenate([gradients, colours.ravel()]).astype(np.float32)


def _hog() -> cv2.HOGDescriptor:
    return cv2.HOGDescriptor((SIDE, SIDE), (16, 16), (8, 8), (8, 8), 9)


@cache
def _discriminants() -> tuple[Discriminant, Discriminant]:
    with np.load(MODEL, allow_pickle=False) as stored:
        unlike, cloth = (
            Discriminant(
                stored["mean"], stored["deviation"], stored[name].astype(np.float32), float(stored[f"{name}_origin"])
            )
            for name in ("unlike", "cloth")
        )
    return unlike, cloth
