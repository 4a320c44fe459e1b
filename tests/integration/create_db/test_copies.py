"""Copies, other formats, other folders: what is one picture and what is two."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from tests.support.galleries import picture
from tests.support.project import Project, content
from tests.support.synthetic_engine import embedding_of, portrait


def resaved(data: bytes, extension: str, scale: float = 1.0) -> bytes:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.imencode(extension, cv2.resize(image, None, fx=scale, fy=scale))[1].tobytes()


def test_copies_of_a_picture_are_stored_once(project: Project) -> None:
    project.put("Ann/a.png", portrait(1))
    project.put("Ann/b.jpg", resaved(portrait(1), ".jpg"))
    project.put("Ann/c.png", portrait(1, shade=5))  # another picture of the same face
    assert project.build() == 0
    assert project.counts() == Counts(1, 2, 2)
    project.put("Ann/d.png", resaved(portrait(1), ".png", 1.5))
    project.put("Bob/e.jpg", resaved(portrait(1), ".jpg"))  # somebody else's: a mislabel perhaps, but not ours to drop
    assert project.build() == 0
    assert project.counts() == Counts(2, 3, 3)
    assert project.skipped() == {
        "Ann/b.jpg": "another picture of the person, re-encoded or resized: Ann/a.png",
        "Ann/d.png": "another picture of the person, re-encoded or resized: Ann/a.png",
    }


def test_a_picture_saved_anew_in_its_place_replaces_itself(project: Project) -> None:
    project.put("Ann/a.png", portrait(1))
    project.build()
    project.put("Ann/a.png", resaved(portrait(1), ".png", 2))
    assert project.build() == 0
    assert project.counts() == Counts(1, 1, 1)
    assert project.skipped() == {}
    assert project.build() == 0
    assert project.engine.looked_at == 0


def test_a_folder_converted_to_another_format_takes_the_place_of_the_old(project: Project) -> None:
    for number in (1, 2, 3):
        project.put(f"Ann/{number}.png", portrait(number))
    project.build()
    for number in (1, 2, 3):
        (project.folder / "Ann" / f"{number}.png").unlink()
        project.put(f"Ann/{number}.jpg", resaved(portrait(number), ".jpg"))
    assert project.build() == 0
    assert project.counts() == Counts(1, 3, 3)
    assert project.skipped() == {}
    with SqliteGallery.open(project.db) as gallery:
        assert gallery.search(embedding_of(2), 1)[0].image == "Ann/2.jpg"


def test_what_came_over_the_wire_is_recognised_in_the_folder(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    data = portrait(2)
    wired = replace(picture("wire", embedding_of(2)), fingerprint=project.engine.fingerprint(data))
    with SqliteGallery.open(project.db) as gallery:
        assert gallery.enrol("Ann", [wired]).person.images == 2
        again = replace(
            picture("again", embedding_of(2)), fingerprint=project.engine.fingerprint(resaved(data, ".jpg"))
        )
        assert gallery.enrol("Ann", [again]).person.images == 2
    project.put("Ann/2.jpg", resaved(data, ".jpg"))
    assert project.build() == 0
    assert project.counts() == Counts(1, 2, 2)


# What is there already, continued


def test_a_folder_that_moved_is_not_embedded_again(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    project.folder = Path(shutil.move(project.folder, project.folder.with_name("moved")))
    assert project.build() == 0
    assert project.engine.embedded == 0
    assert project.counts() == Counts(1, 1, 1)


def test_a_second_folder_adds_to_the_first(project: Project) -> None:
    """The same relative name in another folder is another picture."""
    project.put("Ann/1.png", portrait(1))
    project.build()
    project.folder = project.folder.with_name("more")
    project.put("Ann/1.png", portrait(2))
    assert project.build() == 0
    assert project.counts() == Counts(1, 2, 2)


def test_the_same_bytes_under_two_people_are_kept_and_pointed_out(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.put("Bob/1.png", portrait(1))
    assert project.build() == 0
    assert project.counts() == Counts(2, 2, 2)
    assert project.skipped() == {
        "Ann/1.png": "also under Bob (a likely mislabel)",
        "Bob/1.png": "also under Ann (a likely mislabel)",
    }


def test_two_builds_of_one_folder_are_equal(project: Project, tmp_path: Path) -> None:
    for number in range(1, 41):
        project.put(f"P{number % 9}/{number}.png", portrait(number))
    project.build()
    first = content(project.db)
    project.db = tmp_path / "second.db"
    project.build("--jobs", "4")
    assert content(project.db) == first


# What is there already
