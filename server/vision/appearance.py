"""Does a crop look like a face, and is the face covered? Two linear discriminants, and a test for dark eyes.

The discriminants are in `data/models/appearance.npz`, made by scripts/train_appearance.py; data/models/README.md names
the training data.
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
"""Side in pixels at which a crop is examined, and number of colour cells per side."""

EYES_SIDE = 160
EYES = (np.s_[50:78, 46:76], np.s_[50:78, 84:114])
CHEEKS = np.s_[80:112, 48:112]
"""Side in pixels at which eyes are examined, and where eyes and cheeks are: YuNet's boxes are accurate to a tenth."""

DARK = 0.5
"""Share of the cheeks' median luminance below which a pixel is dark. In LFW, eyes, brows and shadows take up at most a
third of the eye regions."""

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Discriminant:
    """`mean` and `deviation` of the features, `weights` of the standardised features, and `origin`: the value of an
    average plain face. Values are scaled so that 0 is the average plain face and 1 the average of the other class."""

    mean: Vector
    deviation: Vector
    weights: Vector
    origin: float

    def value(self, features: Vector) -> float:
        return float((features - self.mean) / self.deviation @ self.weights) - self.origin


@dataclass(frozen=True, slots=True)
class Appearance:
    """`unlike`: 0 for a face, 1 for a drawing or pattern; `cloth`: 0 for a plain face, 1 with something over mouth and
    nose; `dark_eyes`: the share of an eye's surroundings that is darker than half the cheeks, 0 to 1, the lower of both
    eyes' values."""

    unlike: float
    cloth: float
    dark_eyes: float


def appearance_of(crop: Pixels) -> Appearance:
    """For an upright, square crop of a face with 15 % margin, (h, w, 3) RGB; takes half a millisecond."""
    unlike, cloth = _discriminants()
    seen = features(crop)
    return Appearance(unlike.value(seen), cloth.value(seen), dark_eyes(crop))


def dark_eyes(crop: Pixels) -> float:
    """See Appearance. Relative to the face's own cheeks, so that dark skin is not mistaken for dark glasses."""
    small = cv2.resize(crop, (EYES_SIDE, EYES_SIDE), interpolation=cv2.INTER_AREA)
    light = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 2)
    half = DARK * float(np.median(light[CHEEKS]))
    return min(float(np.mean(light[eye] < half)) for eye in EYES)


def features(crop: Pixels) -> Vector:
    """Histograms of oriented gradients (Dalal and Triggs, 2005) and the colours of a grid of cells."""
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
