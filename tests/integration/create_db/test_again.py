"""create_db run again: only what is new or changed, `--prune` and `--dry-run`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage.store import Store
from tests.support.galleries import picture
from tests.support.project import Project, content
from tests.support.synthetic_engine import embedding_of, portrait


def test_run_again_it_embeds_only_what_is_new_or_changed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(1, 6):
        project.put(f"Ann/{number}.png", portrait(number))
    assert project.build() == 0
    assert project.engine.embedded == 5
    assert project.build() == 0
    assert (project.engine.looked_at, project.engine.embedded) == (0, 0)

    os.utime(project.folder / "Ann" / "1.png", ns=(1, 1))  # touched: read again, nothing more
    project.put("Ann/2.png", portrait(20))  # changed
    project.put("Bob/1.png", portrait(30))  # new
    (project.folder / "Ann" / "3.png").rename(project.folder / "Ann" / "moved.png")
    (project.folder / "Ann" / "4.png").unlink()
    capsys.readouterr()
    assert project.build() == 0
    assert (project.engine.looked_at, project.engine.embedded) == (2, 2)
    assert "1 new, 1 changed, 3 unchanged, 0 skipped, 1 gone from the folder" in capsys.readouterr().out
    assert [project.who(number) for number in (1, 2, 20, 3, 4, 30)] == ["Ann", "nobody", "Ann", "Ann", "Ann", "Bob"]
    with SqliteGallery.open(project.db) as gallery:
        assert gallery.search(embedding_of(3), 1)[0].image == "Ann/moved.png"

    assert project.build() == 0
    assert (project.engine.looked_at, project.engine.embedded) == (0, 0)
    assert project.skipped() == {"Ann/4.png": "gone from the folder; stays enrolled"}


def test_a_copy_of_a_folder_holds_only_what_is_enrolled(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Ann/1.png", portrait(1))
    assert project.build() == 0
    copy = project.folder.with_name("copy")
    shutil.copytree(project.folder, copy)
    project.folder = copy
    capsys.readouterr()
    assert project.build() == 0
    printed = capsys.readouterr()
    assert "0 new, 0 changed, 0 unchanged, 1 skipped" in printed.out
    assert "no face" not in printed.err
    assert project.counts() == Counts(1, 1, 1)


def test_a_database_is_opened_before_a_build_and_for_its_end_and_never_else(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    project.put("Bob/1.png", portrait(2))
    opened: list[Path] = []
    really = Store.open

    def counted(path: Path) -> Store:
        opened.append(path)
        return really(path)

    monkeypatch.setattr(Store, "open", counted)
    assert project.build() == 0
    assert opened == [project.db, project.db]
    opened.clear()
    assert project.build("--dry-run") == 0
    assert opened == [project.db]


def test_files_that_changed_places(project: Project) -> None:
    one, two = project.put("Ann/1.png", portrait(1)), project.put("Ann/2.png", portrait(2))
    project.build()
    one.write_bytes(portrait(2))
    two.write_bytes(portrait(1))
    for file in (one, two):
        os.utime(file, ns=(1, 1))
    assert project.build() == 0
    assert project.engine.embedded == 0
    with SqliteGallery.open(project.db) as gallery:
        assert [gallery.search(embedding_of(n), 1)[0].image for n in (1, 2)] == ["Ann/2.png", "Ann/1.png"]


def test_a_changed_picture_that_is_broken_keeps_its_old_template(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    project.put("Ann/1.png", b"half a copy")
    assert project.build() == 3
    assert project.who(1) == "Ann"


# What is gone from the folder


def four_of_ann(project: Project) -> None:
    for number in range(1, 5):
        project.put(f"Ann/{number}.png", portrait(number))
    project.put("Bob/1.png", portrait(9))
    project.put("Bob/2.png", portrait(10))
    assert project.build() == 0


def test_prune_removes_what_is_gone_and_who_has_nothing_left(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    four_of_ann(project)
    with SqliteGallery.open(project.db) as gallery:
        gallery.enrol("Zoe", [picture("wire", embedding_of(20))])
    shutil.rmtree(project.folder / "Bob")
    (project.folder / "Ann" / "1.png").rename(project.folder / "Ann" / "moved.png")
    capsys.readouterr()
    assert project.build() == 0
    assert "gone from the folder 2: stays enrolled (--prune removes what is gone)" in capsys.readouterr().out
    assert project.names() == ["Ann", "Bob", "Zoe"]
    assert project.build("--prune") == 0
    assert "gone from the folder 2: removed" in capsys.readouterr().out
    assert project.names() == ["Ann", "Zoe"]
    assert project.counts() == Counts(2, 5, 5)
    content(project.db)


def test_prune_leaves_another_folders_pictures_alone(project: Project) -> None:
    four_of_ann(project)
    project.folder = project.folder.with_name("more")
    project.put("Cleo/1.png", portrait(30))
    assert project.build("--prune") == 0
    assert project.names() == ["Ann", "Bob", "Cleo"]


def test_prune_of_somebody_whose_folder_got_a_new_picture(project: Project) -> None:
    four_of_ann(project)
    for number in (1, 2):
        (project.folder / "Bob" / f"{number}.png").unlink()
    project.put("Bob/3.png", portrait(11))
    assert project.build("--prune") == 0
    assert [project.who(number) for number in (9, 10, 11)] == ["nobody", "nobody", "Bob"]


def test_prune_does_not_take_a_missing_disk_for_an_order(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    four_of_ann(project)
    before = content(project.db)
    aside = project.folder.with_name("aside")
    project.folder.rename(aside)
    assert project.build("--prune") == 2  # no folder
    project.folder.mkdir()
    assert project.build("--prune") == 3  # an empty one
    shutil.copytree(aside / "Bob", project.folder / "Bob")
    shutil.copystat(aside / "Bob" / "1.png", project.folder / "Bob" / "1.png")
    capsys.readouterr()
    assert project.build("--prune") == 2  # most of it gone
    assert "4 of 6 pictures are gone from the folder: is it the right one?" in capsys.readouterr().err
    assert content(project.db) == before
    assert project.build("--prune", "--force") == 0
    assert project.names() == ["Bob"]


def test_an_emptied_folder_is_pruned_by_force_only(project: Project) -> None:
    four_of_ann(project)
    shutil.rmtree(project.folder)
    project.folder.mkdir()
    assert project.build("--prune") == 3
    assert project.build("--prune", "--force") == 0
    assert project.counts() == Counts(0, 0, 0)


def test_prune_waits_where_something_can_not_be_read(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    four_of_ann(project)
    (project.folder / "Ann" / "1.png").unlink()
    (project.folder / "Bob" / "1.png").unlink()
    (project.folder / "Bob" / "1.png").symlink_to("nowhere.png")  # like a folder on a disk that is not there
    assert project.build("--prune") == 2
    assert "Bob/1.png can't be read: nothing is removed without --force" in capsys.readouterr().err
    assert project.counts().images == 6
    assert project.build("--prune", "--force") == 0
    assert [project.who(number) for number in (1, 9)] == ["nobody", "Bob"]  # what can't be read isn't gone


def test_a_dry_run_says_what_would_happen_and_writes_nothing(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    four_of_ann(project)
    before = project.db.read_bytes()
    (project.folder / "Ann" / "1.png").unlink()
    (project.folder / "Ann" / "2.png").rename(project.folder / "Ann" / "moved.png")
    project.put("Ann/3.png", portrait(40))
    project.put("Cleo/1.png", portrait(41))
    capsys.readouterr()
    assert project.build("--dry-run", "--prune") == 0
    assert capsys.readouterr().out.splitlines() == [
        "Cleo/1.png\twould be read: new",
        "Ann/3.png\twould be read: changed",
        "Ann/2.png\tmoved to Ann/moved.png",
        "Ann/1.png\twould be removed",
        "1 new, 1 changed, 1 moved, 3 unchanged, 1 gone; nothing was written",
    ]
    assert project.engine.looked_at == 0
    assert project.db.read_bytes() == before
    project.build("--dry-run")
    assert "Ann/1.png\tgone from the folder; stays enrolled without --prune" in capsys.readouterr().out


# The same picture in another format or size
