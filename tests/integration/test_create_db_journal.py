"""What create_db writes is a change like any other: with crops, in the journal, and nobody's correction undone."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage import schema
from facewire.server.maintenance.create_db import main
from tests.support.galleries import picture
from tests.support.synthetic_engine import SyntheticEngine, embedding_of, portrait


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    for name, number in (("Ann", 1), ("Ann", 2), ("Bob", 3)):
        put(folder, f"{name}/{number}.png", number)
    return folder


def put(folder: Path, path: str, number: int) -> None:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(portrait(number))


def build(folder: Path, *extra: str) -> Path:
    db = folder.parent / "people.db"
    engine = SyntheticEngine()
    assert main([str(folder), "--db", str(db), "--jobs", "2", *extra], open_engine=lambda choice: engine) == 0
    return db


def texts(gallery: SqliteGallery) -> list[str]:
    return [event.text for event in gallery.history(100)[0]]


def test_a_first_database_and_a_later_build_are_events_that_can_be_taken_back(folder: Path) -> None:
    db = build(folder)
    put(folder, "Cleo/4.png", 4)
    build(folder)
    with SqliteGallery.open(db) as gallery:
        assert texts(gallery) == ["create_db: 1 picture, 1 template", "create_db: 3 pictures, 3 templates"]
        assert gallery.counts() == Counts(3, 4, 4)
        gallery.undo()
        assert gallery.person("Cleo") is None
        gallery.undo()
        assert gallery.counts() == Counts(0, 0, 0)


def test_crops_are_kept_and_move_with_the_build(folder: Path) -> None:
    db = build(folder)
    with SqliteGallery.open(db) as gallery:
        gallery.enrol("Zoe", [picture("wire", embedding_of(9))])  # so that ids differ from those of the next build
    put(folder, "Cleo/4.png", 4)
    build(folder)
    with SqliteGallery.open(db) as gallery:
        for name, count in (("Ann", 2), ("Cleo", 1)):
            _, kept = gallery.show(name, 0, 10, crops=True)
            crops = [cv2.imdecode(np.frombuffer(one.crop or b"", np.uint8), cv2.IMREAD_COLOR) for one in kept]
            assert [crop is not None for crop in crops] == [True] * count
        # A flat patch of its own colour, so that a crop at the wrong template would show.
        (_, (cleo,)) = gallery.show("Cleo", 0, 10, crops=True)
        pixels = cv2.imdecode(np.frombuffer(cleo.crop or b"", np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        expected = SyntheticEngine().faces(portrait(4)).faces[0].crop
        assert np.abs(pixels[..., ::-1].mean(axis=(0, 1)) - expected.mean(axis=(0, 1))).max() < 6


def test_what_somebody_corrected_is_not_built_back(folder: Path) -> None:
    db = build(folder)
    with SqliteGallery.open(db) as gallery:
        _, kept = gallery.show("Ann", 0, 10, crops=False)
        gallery.split("Ann", [next(one.id for one in kept if one.image.endswith("2.png"))], "Bob")
        gallery.rename("Bob", "Robert")
        before = gallery.people()
    build(folder)
    with SqliteGallery.open(db) as gallery:
        assert gallery.people() == before
        assert gallery.search(embedding_of(2), 1)[0].name == "Robert"


def test_a_rebuild_is_an_event_that_nothing_before_survives(folder: Path) -> None:
    db = build(folder)
    with SqliteGallery.open(db) as gallery:
        gallery.rename("Ann", "Anna")
    build(folder, "--rebuild")
    with SqliteGallery.open(db) as gallery:
        assert [record.name for record in gallery.people()[0]] == ["Ann", "Bob"]
        assert [event.op for event in gallery.history(9)[0]] == ["build", "rename", "build"]
        assert not any(event.undoable for event in gallery.history(9)[0])
    with closing(sqlite3.connect(db)) as raw:
        assert raw.execute("SELECT count(*) FROM old_templates").fetchone() == (0,)
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_server_takes_a_build_in(folder: Path) -> None:
    db = build(folder)
    with SqliteGallery.open(db) as server:
        put(folder, "Cleo/4.png", 4)
        build(folder)
        assert server.refresh()
        assert server.search(embedding_of(4), 1)[0].name == "Cleo"
        assert server.counts() == Counts(3, 4, 4)
        assert not server.refresh()


def test_a_database_of_the_first_version_gets_a_journal(tmp_path: Path) -> None:
    """People enrolled before there was one stay, and what happens to them from now on can be taken back."""
    db = tmp_path / "old.db"
    with SqliteGallery.create(db, SyntheticEngine().spec) as gallery:
        gallery.enrol("Ann", [picture("a", embedding_of(1))])
    with closing(sqlite3.connect(db, isolation_level=None)) as raw:
        raw.execute("PRAGMA foreign_keys = OFF")
        names = raw.execute("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
        for kind, name in sorted(names, key=lambda row: row[0], reverse=True):  # triggers, tables, indexes
            if name.startswith(("journal_", "old_", "events", "event_people", "changes", "crops")):
                raw.execute(f"DROP {kind} IF EXISTS {name}")
        raw.execute("ALTER TABLE images DROP COLUMN fingerprint")
        raw.execute("DELETE FROM meta WHERE key = 'journal_floor'")
        raw.execute("PRAGMA user_version = 1")
    with SqliteGallery.open(db) as gallery:
        assert [match.name for match in gallery.search(embedding_of(1), 1)] == ["Ann"]
        assert gallery.history(9) == ((), 0)
        assert gallery.show("Ann", 0, 9, crops=True)[1][0].crop is None
        gallery.remove("Ann")
        gallery.undo()
        assert gallery.search(embedding_of(1), 1)[0].name == "Ann"
    with closing(sqlite3.connect(db)) as raw:
        assert schema.version_of(raw) == len(schema.MIGRATIONS)


def test_nobody_writes_past_the_journal(folder: Path) -> None:
    db = build(folder)
    for statement in (
        "DELETE FROM people",
        "UPDATE templates SET x = x + 1",
        "INSERT INTO people VALUES (99, 'X', '')",
    ):
        with closing(sqlite3.connect(db)) as raw, pytest.raises(sqlite3.IntegrityError, match="event_id"):
            raw.execute(statement)
