"""evaluate.py: its numbers against slow, obvious ones, and what it says of files that are none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facewire.server.albums.clarity import clarity
from facewire.server.errors import StartError
from facewire.server.gallery.search.cohort import Cohort
from facewire.server.vision.embedder import unit_rows
from lab import evaluate
from lab.evaluation import strangers
from lab.evaluation.album import answers
from lab.evaluation.crowds import crowd
from lab.evaluation.curves import accepted_at, best_threshold, equal_error_rate, roc, save_curves
from lab.evaluation.lfw import read_pairs

similarity = st.floats(-1, 1, allow_nan=False, width=32)
some = st.lists(similarity, min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(some, some)
def test_the_best_threshold_is_as_right_as_any(genuine: list[float], impostor: list[float]) -> None:
    similarities = np.array(genuine + impostor)
    same = np.array([True] * len(genuine) + [False] * len(impostor))

    def right(threshold: float) -> int:
        return sum((value >= threshold) == truth for value, truth in zip(similarities, same, strict=True))

    candidates = [*similarities, similarities.max() + 1, similarities.min() - 1]
    ordered = np.unique(similarities)
    candidates += list((ordered[1:] + ordered[:-1]) / 2)
    assert right(best_threshold(similarities, same)) == max(map(right, candidates))


def test_of_equal_similarities_the_best_threshold_takes_all_or_none() -> None:
    similarities = np.array([0.5, 0.5, 0.5, 0.2])
    assert 0.2 < best_threshold(similarities, np.array([True, True, False, False])) < 0.5
    assert best_threshold(similarities, np.array([True, False, False, False])) > 0.5


@settings(max_examples=100, deadline=None)
@given(some, some)
def test_roc_counts(genuine: list[float], impostor: list[float]) -> None:
    false_accept, true_accept = roc(np.array(genuine), np.array(impostor))
    for threshold, false, true in zip(
        sorted(set(genuine + impostor), reverse=True), false_accept, true_accept, strict=True
    ):
        assert false == pytest.approx(np.mean([value >= threshold for value in impostor]))
        assert true == pytest.approx(np.mean([value >= threshold for value in genuine]))


def test_tar_and_eer_of_distributions_that_are_known() -> None:
    """Two normal distributions two deviations apart: EER = P(z > 1), and TAR at FAR 1 % = P(z > 2.326 - 2)."""
    draw = np.random.default_rng(1)
    impostor, genuine = draw.normal(0, 1, 200_000), draw.normal(2, 1, 200_000)
    assert equal_error_rate(genuine, impostor) == pytest.approx(0.1587, abs=0.003)
    assert accepted_at(genuine, impostor, 0.01) == pytest.approx(0.3721, abs=0.006)


def test_pairs_are_read_fold_by_fold(tmp_path: Path) -> None:
    for name, number in (("Ann_Lee", 1), ("Ann_Lee", 2), ("Bo", 1)):
        picture = tmp_path / name / f"{name}_{number:04d}.jpg"
        picture.parent.mkdir(exist_ok=True)
        picture.write_bytes(b"x")
    file = tmp_path / "pairs.txt"
    file.write_text("2\t1\nAnn_Lee\t1\t2\nAnn_Lee\t1\tBo\t1\nAnn_Lee\t2\t1\nBo\t1\tAnn_Lee\t2\n")
    pairs = read_pairs(file, tmp_path)
    assert [(pair.same, pair.fold) for pair in pairs] == [(True, 0), (False, 0), (True, 1), (False, 1)]
    assert pairs[3].second == tmp_path / "Ann_Lee" / "Ann_Lee_0002.jpg"


@pytest.mark.parametrize(
    "text", ["", "hello", "1\t1\nAnn\t1\t2\n", "1\t1\nAnn\t1\t2\nAnn\tx\tBo\t1\n", "1 1\nA\t1\t2\nA\t1\tB\t1"]
)
def test_a_file_that_is_no_pairs_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pairs.txt"
    file.write_text(text)
    with pytest.raises(StartError):
        read_pairs(file, tmp_path)


def test_the_picture_of_a_curve_shows_a_curve(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    rates = np.geomspace(1e-4, 1, 50)
    save_curves(tmp_path / "deep" / "det.png", "title", rates, rates[::-1], "x", "y")
    image = cv2.imread(str(tmp_path / "deep" / "det.png"))
    assert image.shape[2] == 3
    assert (np.abs(image.astype(int) - (160, 80, 20)).sum(axis=2) < 30).sum() > 300


def test_a_crowd_of_nobody_is_spread_as_faces_are() -> None:
    embeddings, people = crowd(3000, 5)
    assert embeddings.shape == (3000, 512)
    assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)
    again, same_people = crowd(3000, 5)
    assert (again == embeddings).all()
    assert (same_people == people).all()
    similarities = embeddings @ embeddings.T
    strangers = similarities[people[:, None] != people]
    assert abs(strangers.mean()) < 0.01
    assert 0.13 < strangers.std() < 0.17
    others = (people[:, None] == people) & ~np.eye(3000, dtype=bool)
    assert 0.75 < similarities[others].mean() < 0.81


def test_clusters_of_a_crowd_end_in_one_line_of_json(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "clusters", "--synthetic", "400", "--seed", "3", "--json"])
    assert evaluate.main() == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    measured = {
        "bcubed_precision",
        "bcubed_recall",
        "bcubed_f",
        "pairwise_f",
        "clusters",
        "faces",
        "seconds",
        "peak_mb",
    }
    assert measured <= report.keys()
    assert (report["faces"], report["bcubed_precision"]) == (400, 1.0)


def test_strangers_are_weighed_by_groups_and_not_by_numbers() -> None:
    """Nine of ten people are in one group, all alike: their pairs are a ninth of what counts, not four fifths."""
    choice = np.random.default_rng(0)
    faces = unit_rows(choice.standard_normal((100, 16)).astype(np.float32))
    faces[:90] = unit_rows(faces[:90] * 0.1 + faces[0])
    groups = np.array(["a_men"] * 90 + ["a_women"] * 5 + ["b_men"] * 5)
    cohort = Cohort(unit_rows(choice.standard_normal((50, 16)).astype(np.float32)), 10)
    scores, weights = strangers._scores(cohort, faces, faces, groups)
    alike = scores > 0.5
    assert np.mean(alike) > 0.75
    assert weights[alike].sum() / weights.sum() == pytest.approx(1 / 9, abs=0.02)
    at_one_in_ten, at_one_in_thirty, *_ = strangers._exceeded([(scores, weights)])
    assert at_one_in_thirty > at_one_in_ten > 0.5


def test_answers_a_user_must_give() -> None:
    """Ann in two clusters, with one of Ben's faces in the larger; Cy, a stranger, in Ben's."""
    people = np.array([0, 0, 0, 1, 0, 1, 1, 2])
    found = np.array([5, 5, 5, 5, 7, 9, 9, 9])
    assert answers(found, people) == {"names": 2, "merges": 1, "moves": 2, "answers": 5}
    assert answers(people, people) == {"names": 2, "merges": 0, "moves": 0, "answers": 2}
    apart = answers(np.arange(8), people)
    assert (apart["merges"], apart["moves"]) == (5, 0)


def test_clarity_is_lost_by_blur_doubt_and_smallness() -> None:
    sizes, scores = np.array([80.0, 80, 80, 20, 80, 80, 8]), np.array([0.93, 0.93, 0.8, 0.93, 0.93, 0.7, 0.6])
    sharpness = np.array([0.05, 0.01, 0.05, 0.05, np.nan, np.nan, 1e-9])
    shown = clarity(sizes, scores, sharpness)
    assert shown[[0, 4]].tolist() == [1, 1]
    assert (shown[[1, 2, 3, 5]] < 1).all() and shown[6] == shown.min() > 0
