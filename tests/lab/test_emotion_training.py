"""How the emotion network is trained: its data, its schedule, and the numbers that are fitted afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from lab.emotion_training.calibrate import fit_certainty, fit_temperature, fit_weight, probabilities
from lab.emotion_training.data import draw_by_content, group_twins
from lab.emotion_training.schedule import Schedule
from lab.emotion_training.scores import Answers, calibrated, chances


def test_the_weight_is_that_of_the_likelier_truth() -> None:
    """Two sources that each know half of it are best in the middle; one that knows nothing is left out."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, 4000)
    signal = 2 * np.eye(3)[truth]
    first, second, noise = (signal * know + rng.normal(size=(4000, 3)) for know in (1, 1, 0))
    weights = np.arange(0, 1.01, 0.1)
    assert fit_weight([((truth, first), second)], weights) == pytest.approx(0.5, abs=0.11)
    assert fit_weight([((truth, first), noise)], weights) <= 0.1


def test_twins_and_mirrored_twins_are_one_group_and_strangers_are_not() -> None:
    random = np.random.default_rng(0)
    first, second = (np.kron(random.integers(0, 256, (12, 12)), np.ones((4, 4))).astype(np.uint8) for _ in range(2))
    brighter = np.clip(first.astype(int) // 2 + 60, 0, 255).astype(np.uint8)
    groups = group_twins(np.stack([second, first, first[:, ::-1], brighter, second]), block=2)
    assert groups.tolist() == [0, 1, 1, 1, 0]


def test_a_group_is_drawn_whole_and_by_content_alone() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 48, 48), np.uint8)
    drawn = draw_by_content(pixels, np.array([0, 1, 0, 3]))
    assert drawn[0] == drawn[2]
    assert len(set(drawn)) == 3
    assert draw_by_content(pixels[::-1], np.arange(4))[::-1].tolist()[1] == drawn[1]
    assert ((drawn >= 0) & (drawn < 1)).all()


def test_the_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(0, 1.5, (4000, 7))
    labels = np.array([random.choice(7, p=row) for row in probabilities(logits, 1.0)])
    assert fit_temperature(logits * 2, labels) == pytest.approx(2, rel=0.1)


def test_certain_answers_are_right_often_enough() -> None:
    confidence = np.linspace(0.3, 1, 701)
    right = np.random.default_rng(3).random(701) < confidence
    bound = fit_certainty(confidence, right)
    assert right[confidence >= bound].mean() >= 0.9
    assert 0.6 < bound < 0.95
    assert fit_certainty(confidence, np.zeros(701, bool)) == 1


def test_the_learning_rate_warms_up_and_falls_to_zero() -> None:
    assert Schedule(peak=0.1, warmup=1, epochs=1).rate_at(1) == 0.1
    whole = Schedule(peak=0.1, warmup=1, epochs=10)
    assert [whole.rate_at(0), whole.rate_at(1), whole.rate_at(10)] == pytest.approx([0, 0.1, 0])


def test_parts_of_one_size_share_a_temperature_and_all_share_the_limit_of_certainty() -> None:
    random = np.random.default_rng(5)

    def answered(pictures: int, sharper: float) -> Answers:
        logits = random.normal(0, 1.5, (pictures, 7))
        return np.array([random.choice(7, p=row) for row in probabilities(logits, 1.0)]), logits * sharper

    answers = {"fer2013 one": answered(3000, 1.5), "fer2013 other": answered(1000, 1.5), "rafdb": answered(4000, 0.5)}
    found = calibrated(answers)
    assert dict(found.temperatures) == pytest.approx({48.0: 1.5, 100.0: 0.5}, rel=0.1)
    rows = np.concatenate([chances(name, logits, found) for name, (_, logits) in answers.items()])
    right = rows.argmax(1) == np.concatenate([truth for truth, _ in answers.values()])
    assert right[rows.max(1) >= found.certain_at].mean() >= 0.9
