"""What create_db does to the database: rebuilding, refusing, and a server that reads it meanwhile."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.maintenance.create_db import main
from tests.support.galleries import picture
from tests.support.project import Project, content
from tests.support.synthetic_engine import SyntheticEngine, draw, embedding_of, portrait


def test_another_model_is_refused_without_rebuild(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    before = content(project.db)
    assert project.build("--model", "Other", model="Other") == 2
    assert "holds embeddings of Synthetic, not Other: choose another --db, or --rebuild" in capsys.readouterr().err
    assert project.build(model="Other") == 2  # the same name by chance, another spec
    assert "choose another --db, or --rebuild" in capsys.readouterr().err
    assert content(project.db) == before


def test_rebuild_forgets_everything(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    with SqliteGallery.open(project.db) as gallery:
        gallery.enrol("Zoe", [picture("wire", embedding_of(9))])
    assert project.build("--rebuild", "--model", "Other", model="Other") == 0
    assert project.names() == ["Ann"]
    with SqliteGallery.open(project.db) as gallery:
        assert gallery.spec.model == "Other"


def test_a_rebuild_that_finds_nobody_changes_nothing(project: Project) -> None:
    file = project.put("Ann/1.png", portrait(1))
    project.build()
    file.write_bytes(b"hello")
    assert project.build("--rebuild") == 3
    assert project.who(1) == "Ann"


def test_a_file_that_is_no_database_is_never_overwritten(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Ann/1.png", portrait(1))
    project.db.parent.mkdir()
    project.db.write_bytes(b"my diary")
    for extra in ((), ("--rebuild",)):
        assert project.build(*extra) == 2
        assert "is not a database" in capsys.readouterr().err
    assert project.db.read_bytes() == b"my diary"


@pytest.mark.parametrize(("folder", "code"), [("missing", 2), ("faces", 3)])
def test_nothing_to_build_from(project: Project, tmp_path: Path, folder: str, code: int) -> None:
    assert main([str(tmp_path / folder), "--db", str(project.db)], open_engine=lambda choice: SyntheticEngine()) == code
    assert not project.db.exists()


def test_nobody_to_enrol_makes_no_database(project: Project) -> None:
    project.put("Ann/1.png", draw())
    assert project.build() == 3
    assert not project.db.exists()
    assert project.skipped() == {"Ann/1.png": "no face found"}


def test_a_linked_database_stays_a_link(project: Project, tmp_path: Path) -> None:
    project.put("Ann/1.png", portrait(1))
    real = tmp_path / "real.db"
    project.db.parent.mkdir()
    project.db.symlink_to(real)
    assert project.build() == 0
    assert project.db.is_symlink()
    assert real.is_file()


# Somebody else has it open


def test_a_server_on_the_old_database_sees_all_of_it_and_loses_nothing(project: Project) -> None:
    for number in range(1, 5):
        project.put(f"Old/{number}.png", portrait(number))
    project.build()
    for number in range(10, 60):
        project.put(f"New {number}/{number}.png", portrait(number))
    server = SqliteGallery.open(project.db)
    reader = sqlite3.connect(project.db, isolation_level=None)
    reader.execute("BEGIN")
    count = "SELECT count(*) FROM templates"
    assert reader.execute(count).fetchone() == (4,)

    def meanwhile(embedded: int) -> None:
        if embedded == 0:
            server.enrol("Zoe", [picture("wire", embedding_of(9))])
        assert server.search(embedding_of(2), 1)[0].name == "Old"

    assert project.build(before_embedding=meanwhile) == 0
    assert reader.execute(count).fetchone() == (4,)
    assert server.counts() == Counts(2, 5, 5)
    assert server.search(embedding_of(2), 1)[0].name == "Old"
    server.enrol("Yan", [picture("wire too", embedding_of(8))])  # after the move, through the old connection
    reader.execute("ROLLBACK")
    assert reader.execute(count).fetchone() == (56,)
    server.close()
    assert [project.who(number) for number in (2, 9, 8, 10, 59)] == ["Old", "Zoe", "Yan", "New 10", "New 59"]


def test_the_same_picture_enrolled_meanwhile_is_kept_once(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    data = portrait(2)
    project.put("Ann/2.png", data)
    server = SqliteGallery.open(project.db)
    wired = replace(picture("wire", embedding_of(2)), sha256=hashlib.sha256(data).hexdigest())

    assert project.build(before_embedding=lambda embedded: server.enrol("Ann", [wired])) == 0
    server.close()
    assert project.counts() == Counts(1, 2, 2)


def test_two_folders_of_nearly_one_name_are_remarked_on(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Mats/1.png", portrait(1))
    project.put("mats/1.png", portrait(2))
    project.put("Zoe/1.png", portrait(3))
    assert project.build() == 0
    assert project.names() == ["Mats", "mats", "Zoe"]
    assert "Mats and mats: the same person? Then merge them" in capsys.readouterr().out


def test_what_a_build_writes_is_for_its_user_alone(project: Project) -> None:
    project.put("Ann/1.png", portrait(1))
    project.put("Ann/broken.png", b"no picture")
    before = os.umask(0)
    try:
        assert project.build() == 0
    finally:
        os.umask(before)
    assert project.log.exists()
    assert {path.name: path.stat().st_mode & 0o777 for path in project.db.parent.iterdir()} == {
        path.name: 0o600 for path in project.db.parent.iterdir()
    }
