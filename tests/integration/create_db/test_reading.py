"""What create_db finds in a folder, and what it skips."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from tests.support.project import Project
from tests.support.synthetic_engine import draw, embedding_of, portrait


def test_any_nesting_and_any_case_of_extension(project: Project) -> None:
    project.put("Ann_Lee/Ann_Lee_0001.jpg", portrait(1, extension=".jpg"))
    project.put("Ann_Lee/2019/summer/beach.PNG", portrait(2))
    project.put("Bob/b.WebP", portrait(3, extension=".webp"))
    project.put("Bob/c.bmp", portrait(4, extension=".bmp"))
    project.put("Bob/d.JPEG", portrait(5, extension=".jpg"))
    assert project.build() == 0
    assert [project.who(number) for number in (1, 2, 3, 4, 5, 6)] == [
        "Ann Lee",
        "Ann Lee",
        "Bob",
        "Bob",
        "Bob",
        "nobody",
    ]
    assert project.counts() == Counts(2, 5, 5)
    assert not project.log.exists()
    with SqliteGallery.open(project.db) as gallery:
        assert gallery.search(embedding_of(2), 1)[0].image == "Ann_Lee/2019/summer/beach.PNG"


def test_folders_that_give_one_name_are_one_person(project: Project) -> None:
    project.put("Ann_Lee/1.png", portrait(1))
    project.put("Ann Lee/1.png", portrait(2))
    project.put("_Ann__Lee_/1.png", portrait(3))
    project.put("Jose\u0301/1.png", portrait(4))
    project.put("Jos\u00e9/1.png", portrait(5))
    project.put("Łukasz_Żółć/1.png", portrait(6))
    project.put("张伟/1.png", portrait(7))
    assert project.build() == 0
    assert project.names() == ["Ann Lee", "José", "Łukasz Żółć", "张伟"]


def test_nothing_odd_stops_it_and_every_reason_is_logged(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Ann/good.png", portrait(1))
    project.put("readme.txt", b"hello")
    project.put("stray.png", portrait(2))
    (project.folder / "Empty").mkdir()
    project.put("___/a.png", portrait(3))
    project.put("Ann/notes.txt", b"hello")
    project.put("Ann/text.jpg", b"hello")
    project.put("Ann/empty.jpg", b"")
    project.put("Ann/cut.png", portrait(4)[:40])
    project.put("Ann/nobody.png", draw())
    project.put("Ann/copy.png", portrait(1))
    os.mkfifo(project.folder / "Ann" / "pipe.jpg")
    (project.folder / "Ann" / "dangling.jpg").symlink_to("nowhere.jpg")
    project.put("Ann/tab\there.png", b"hello")
    project.put("Ann/.hidden.png", portrait(5))
    project.put("Ann/._x.jpg", b"hello")
    project.put(".DS_Store", b"hello")
    assert project.build() == 0
    assert project.counts() == Counts(1, 1, 1)
    skipped = project.skipped()
    broken = {path for path, reason in skipped.items() if reason.startswith("broken picture: ")}
    assert broken == {"Ann/text.jpg", "Ann/empty.jpg", "Ann/cut.png", "Ann/tab\\there.png"}
    assert {path: reason for path, reason in skipped.items() if path not in broken} == {
        "readme.txt": "beside the people's folders, not in one",
        "stray.png": "beside the people's folders, not in one",
        "___": "name that can't be used: a person needs a name",
        "Ann/notes.txt": "not a picture, by its name or by its first bytes",
        "Ann/nobody.png": "no face found",
        "Ann/good.png": "same bytes as another picture of the person: Ann/copy.png",
        "Ann/pipe.jpg": "not a regular file",
        "Ann/dangling.jpg": "can't be read: No such file or directory",
    }
    shown = capsys.readouterr()
    assert "1 person, 1 picture, 1 template in" in shown.out
    assert "3 service files left out" in shown.out
    assert "1 new, 0 changed, 0 unchanged, 12 skipped" in shown.out
    assert "skipped 4: broken picture" in shown.out
    assert str(project.log) in shown.out
    assert "pictures/s" in shown.err


def test_the_log_goes_when_there_is_nothing_to_say(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    bad = project.put("Ann/2.png", b"hello")
    project.build()
    assert project.log.exists()
    bad.unlink()
    project.build()
    assert not project.log.exists()


def test_what_may_not_be_read_is_skipped(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    closed = project.put("Ann/2.png", portrait(2))
    closed.chmod(0)
    if os.access(closed, os.R_OK):
        pytest.skip("this user (root) may read everything")
    project.put("Bob/sub/1.png", portrait(3)).parent.chmod(0)
    try:
        assert project.build() == 0
    finally:
        (project.folder / "Bob" / "sub").chmod(0o700)
    assert project.skipped() == {
        "Ann/2.png": "can't be read: Permission denied",
        "Bob/sub": "can't be read: Permission denied",
    }


def test_names_that_are_no_utf8_are_skipped(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    odd = os.fsencode(project.folder / "Ann") + b"/\xff.png"
    with open(odd, "wb") as file:  # noqa: PTH123 - a pathlib.Path holds no bytes
        file.write(portrait(2))
    assert project.build() == 0
    assert project.skipped() == {"Ann/\\xff.png": "name that can't be used: not UTF-8"}


def test_links_are_followed_but_never_round(project: Project, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.png").write_bytes(portrait(2))
    project.put("Ann/1.png", portrait(1))
    (project.folder / "Ann" / "far").symlink_to(tmp_path / "elsewhere")
    (project.folder / "Ann" / "again").symlink_to(tmp_path / "elsewhere")
    (project.folder / "Ann" / "round").symlink_to(project.folder / "Ann")
    (project.folder / "Ann" / "self").symlink_to("self")
    (project.folder / "Up").symlink_to(project.folder)
    (project.folder / "Above").symlink_to(tmp_path)
    assert project.build() == 0
    assert project.names() == ["Ann"]
    assert project.counts().templates == 2


def test_of_several_faces_the_largest_central_one(project: Project) -> None:
    project.put("Ann/1.png", draw((1, (0, 0, 20, 20)), (2, (25, 16, 18, 18))))
    assert project.build() == 0
    assert (project.who(1), project.who(2)) == ("nobody", "Ann")
