"""A synthetic person, and their look in one picture, as coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.sample_people.model import FaceModel

Coefficients = NDArray[np.float64]

GAIN = 0.65
"""Deviations drawn, of those faces have: 1 draws monsters as often as faces, 0 always the same (FACTS: 0.6-0.75)."""
ODD_GAIN = 0.3
"""The same for pose and side light, which look wrong sooner."""
KEPT, FRESH = 0.93, 0.36
"""Of a person's coefficients in each picture, and of fresh noise; their squares add up to 1 (FACTS)."""
SMILES = (-0.4, 1.6, 0.3, 2.2)
"""How much somebody smiles in their first, second, ... picture, in deviations of all faces' smiles."""


@dataclass(frozen=True, slots=True)
class Person:
    """`even` (k,) and `odd` (m,): standard normal draws that define the person; `cluster`: the kind of face."""

    cluster: int
    even: Coefficients
    odd: Coefficients


@dataclass(frozen=True, slots=True)
class Look:
    """The model's coefficients of one person in one picture."""

    even: Coefficients
    odd: Coefficients


def draw_person(model: FaceModel, cluster: int, rng: np.random.Generator) -> Person:
    """A person from the given cluster."""
    even, odd = len(model.even.textures), len(model.odd.textures)
    return Person(cluster, rng.standard_normal((even,)), rng.standard_normal((odd,)))


def draw_look(model: FaceModel, person: Person, smile: float, rng: np.random.Generator) -> Look:
    """A new look of the person: mostly their identity, some random variation, and the given amount of smile."""
    even = KEPT * person.even + FRESH * rng.standard_normal(len(person.even))
    odd = KEPT * person.odd + FRESH * rng.standard_normal(len(person.odd))
    coefficients = model.centres[person.cluster] + GAIN * model.spreads[person.cluster] * even
    unsmiling = coefficients - (coefficients @ model.smile) * model.smile
    return Look(unsmiling + smile * model.smile, ODD_GAIN * odd)
