"""`evaluate.py precisions`: which pairs are compared, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.server.vision.embedder import unit_rows
from lab.evaluation import precisions
from lab.evaluation.precisions import compared, error_over_people, measured, numbered

DIMENSION = 16


def test_every_picture_meets_every_other_once_as_a_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precisions, "BLOCK_ROWS", 2)
    owners = np.array([0, 0, 1, 0, 2])
    probes, templates = (
        unit_rows(np.random.default_rng(seed).normal(size=(5, 4)).astype(np.float32)) for seed in (1, 2)
    )
    found = compared(probes, templates, owners)
    pairs = [(one, other) for one in range(5) for other in range(5) if one != other]
    expected = {
        same: [probes[a] @ templates[b] for a, b in pairs if (owners[a] == owners[b]) == same] for same in (1, 0)
    }
    assert sorted(found.genuine) == pytest.approx(sorted(expected[True]))
    assert sorted(found.impostor) == pytest.approx(sorted(expected[False]))
    assert found.people.tolist() == [0] * 6


def test_what_is_lost_is_said_beside_its_error() -> None:
    choice = np.random.default_rng(0)
    owners = np.repeat(np.arange(150), 4)
    people = choice.normal(size=(150, DIMENSION))[owners]
    faces = unit_rows((people + 0.45 * choice.normal(size=people.shape)).astype(np.float32))
    noisy = unit_rows((faces + 0.15 * choice.normal(size=faces.shape)).astype(np.float32))
    exact = compared(faces, faces, owners)
    same = measured(exact, exact)
    assert same["change"] == same["change_error"] == {"0.01": 0, "0.001": 0, "0.0001": 0}
    assert same["far_at_thresholds_of_f32"] == pytest.approx({"0.01": 0.01, "0.001": 0.001, "0.0001": 1e-4}, rel=0.05)
    worse = measured(compared(noisy, noisy, owners), exact)
    lost, error = worse["change"]["0.001"], worse["change_error"]["0.001"]
    assert lost == pytest.approx(worse["tar_at_far"]["0.001"] - same["tar_at_far"]["0.001"], abs=2e-5)
    assert lost < -4 * error < 0


def test_pairs_of_one_person_count_as_one_observation() -> None:
    values, people = np.array([1.0, 1, 1, 1, 0, 0, 0, 0]), np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert error_over_people(values, people) == pytest.approx(np.sqrt(2 * 2**2) / 8)


def test_pictures_are_numbered_within_their_person() -> None:
    assert numbered(np.array([0, 2, 0, 2, 0, 1])).tolist() == [0, 0, 1, 1, 2, 0]
