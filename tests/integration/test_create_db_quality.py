"""create_db's quality gate: the same limits and reasons as over the wire, its report, and how it is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.maintenance.create_db import main
from tests.support.synthetic_engine import SyntheticEngine, draw, portrait, tiny

MODEL = "Facenet512"
"""In name only: of this one it is known how near strangers come, so there are mislabels."""

SMALL = "too_small: the face is too small (18 px, at least 24): send a better picture"


class Folder:
    """A folder of people, and the database built from it."""

    def __init__(self, root: Path) -> None:
        self.root, self.db = root / "faces", root / "people.db"

    def put(self, path: str, data: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)

    def build(self, *extra: str) -> int:
        return main([str(self.root), "--db", str(self.db), *extra], open_engine=lambda _: SyntheticEngine(model=MODEL))

    def enrolled(self) -> dict[str, list[str]]:
        with SqliteGallery.open(self.db) as gallery:
            return {
                person.name: [template.image for template in gallery.show(person.name, 0, 100, crops=False)[1]]
                for person in gallery.people()[0]
            }

    def said(self) -> dict[str, str]:
        log = self.db.with_name("people.db.skipped.txt")
        return dict(line.split("\t") for line in log.read_text("utf-8").splitlines()) if log.exists() else {}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_poor_picture_is_skipped_with_its_number_and_looked_at_again(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.put("Ann/good.png", portrait(1))
    folder.put("Ann/small.png", tiny(1))
    assert folder.build() == 0
    assert folder.enrolled() == {"Ann": ["Ann/good.png"]}
    assert folder.said() == {"Ann/small.png": SMALL}
    shown = capsys.readouterr().out
    assert "skipped 1: too_small" in shown
    assert "1 new, 0 changed, 0 unchanged, 1 skipped" in shown
    assert folder.build("--accept", "blurred") == 0
    assert folder.said() == {"Ann/small.png": SMALL}
    assert folder.build("--accept", "blurred", "--accept", "too_small") == 0
    assert (folder.enrolled(), folder.said()) == ({"Ann": ["Ann/good.png", "Ann/small.png"]}, {})
    assert folder.build() == 0  # what is enrolled stays
    assert folder.enrolled() == {"Ann": ["Ann/good.png", "Ann/small.png"]}


def test_the_gate_can_be_opened(folder: Folder) -> None:
    folder.put("Ann/small.png", tiny(1))
    assert folder.build() == 3
    assert folder.build("--no-quality-gate") == 0
    assert folder.enrolled() == {"Ann": ["Ann/small.png"]}


def test_of_several_faces_the_main_one_is_judged(folder: Folder) -> None:
    folder.put("Ann/1.png", draw((1, (16, 16, 18, 18)), (2, (40, 0, 6, 6))))
    assert folder.build() == 0
    assert (folder.enrolled(), folder.said()) == ({"Ann": ["Ann/1.png"]}, {})


def mislabelled(folder: Folder) -> None:
    """A picture of Bob (12) among Ann's (1)."""
    for number in range(2):
        folder.put(f"Ann/{number}.png", portrait(1, shade=number))
        folder.put(f"Bob/{number}.png", portrait(12, shade=number))
    folder.put("Ann/wrong.png", portrait(12, shade=5))


def test_a_likely_mislabel_is_left_out(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    mislabelled(folder)
    assert folder.build() == 0
    assert folder.enrolled() == {"Ann": ["Ann/0.png", "Ann/1.png"], "Bob": ["Bob/0.png", "Bob/1.png"]}
    (line,) = folder.said().values()
    assert line.startswith("nearer_to_another: it matches Bob (similarity 1.000, a match from 0.")
    shown = capsys.readouterr().out
    assert "4 new, 0 changed, 0 unchanged, 1 skipped" in shown
    assert "skipped 1: nearer_to_another" in shown


def test_a_likely_mislabel_is_seen_against_the_database_too(folder: Folder) -> None:
    mislabelled(folder)
    wrong = (folder.root / "Ann/wrong.png").read_bytes()
    (folder.root / "Ann/wrong.png").unlink()
    assert folder.build() == 0
    folder.put("Ann/wrong.png", wrong)
    assert folder.build() == 0
    assert list(folder.said()) == ["Ann/wrong.png"]
    assert len(folder.enrolled()["Ann"]) == 2
    assert folder.build("--accept", "nearer_to_another") == 0
    assert folder.enrolled()["Ann"] == ["Ann/0.png", "Ann/1.png", "Ann/wrong.png"]
    assert folder.said()["Ann/wrong.png"].startswith("enrolled, but it matches Bob (")


def test_a_mislabel_and_its_copy_are_nobody_of_the_folder(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    mislabelled(folder)
    wrong = (folder.root / "Ann/wrong.png").read_bytes()
    assert folder.build() == 0
    folder.root = folder.root.with_name("more")
    for name in ("wrong", "copy"):
        folder.put(f"Ann/{name}.png", wrong)
    assert folder.build() == 3
    assert "could be enrolled" in capsys.readouterr().err


def test_somebody_with_one_picture_is_only_doubted(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    folder.put("Bob/1.png", portrait(12))
    folder.put("Robert/1.png", portrait(12, shade=1))
    assert folder.build() == 0
    assert list(folder.enrolled()) == ["Bob", "Robert"]
    assert sorted(folder.said()) == ["Bob/1.png", "Robert/1.png"]
    assert "is that one person under two names?" in folder.said()["Robert/1.png"]
    assert "2 pictures match another person, too" in capsys.readouterr().out
