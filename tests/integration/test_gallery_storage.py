"""A full disk, a read-only file, a damaged one, other processes: clear errors, nothing lost, nobody waits to read."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facewire.client import StorageFailed as RefusedStorage
from facewire.server.errors import Busy, StorageFailed
from facewire.server.gallery.sqlite import SqliteGallery
from tests.support.galleries import picture, random_units, spec
from tests.support.living_server import living_server
from tests.support.synthetic_engine import portrait

ROOT = Path(__file__).parents[2]
DIMENSION = 64
VECTORS = random_units(np.random.default_rng(5), 400, DIMENSION)
PATIENCE_S = 30


def enrol(gallery: SqliteGallery, name: str, first: int, count: int) -> None:
    gallery.enrol(name, [picture(f"{name}/{n}", VECTORS[n]) for n in range(first, first + count)])


def pragma(gallery: SqliteGallery, text: str) -> object:
    """On the connection that writes."""
    return gallery._writer._store.execute(f"PRAGMA {text}").fetchone()


def fill_disk(gallery: SqliteGallery) -> None:
    pages = gallery._writer._store.execute("PRAGMA page_count").fetchone()[0]
    pragma(gallery, f"max_page_count = {pages + 2}")


def state(gallery: SqliteGallery) -> object:
    return gallery.people(), gallery.history(100), gallery.search(VECTORS[0], 5)


CHANGES: tuple[Callable[[SqliteGallery], object], ...] = (
    lambda gallery: enrol(gallery, "New", 100, 200),
    lambda gallery: enrol(gallery, "Ann", 100, 200),
    lambda gallery: gallery.remove("Ann"),
    lambda gallery: gallery.merge(["Ann"], "Bob"),
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_full_disk_is_said_and_changes_nothing(tmp_path: Path, change: Callable[[SqliteGallery], object]) -> None:
    path = tmp_path / "g.db"
    with SqliteGallery.create(path, spec(DIMENSION)) as gallery:
        enrol(gallery, "Ann", 0, 50)
        enrol(gallery, "Bob", 50, 50)
        before = state(gallery)
        fill_disk(gallery)
        with pytest.raises(StorageFailed, match="full: make room"):
            change(gallery)
        assert state(gallery) == before
        pragma(gallery, "max_page_count = 1000000")
        change(gallery)  # room was made
        after = state(gallery)
        assert after != before
    with SqliteGallery.open(path) as gallery:
        assert state(gallery) == after


def test_a_read_only_database_is_said_and_still_searched(tmp_path: Path) -> None:
    with SqliteGallery.create(tmp_path / "g.db", spec(DIMENSION)) as gallery:
        enrol(gallery, "Ann", 0, 3)
        before = state(gallery)
        pragma(gallery, "query_only = ON")  # root may write to any file, so SQLite is told to refuse
        for change in CHANGES[:3]:
            with pytest.raises(StorageFailed, match="read-only"):
                change(gallery)
        assert state(gallery) == before


def test_a_client_is_told_too(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        client.enrol("Ann", portrait(1))
        pragma(server.gallery, "query_only = ON")
        with pytest.raises(RefusedStorage, match="nothing was changed"):
            client.enrol("Bob", portrait(2))
        assert client.identify(portrait(1, shade=9)).faces[0].name == "Ann"
        assert [person.name for person in client.all_people()] == ["Ann"]


def test_a_database_damaged_under_the_server_is_said(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with SqliteGallery.create(path, spec(DIMENSION)) as gallery:
        enrol(gallery, "Ann", 0, 100)
        gallery._writer._store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xaa" * (len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(StorageFailed, match=r"damaged|can't be opened"):
            gallery.show("Ann", 0, 10, crops=True)
        assert gallery.search(VECTORS[0], 1)[0].name == "Ann"  # what is in memory is right


def test_readers_do_not_wait_for_a_writer_and_writers_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with (
        SqliteGallery.create(path, spec(DIMENSION)) as gallery,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        enrol(gallery, "Ann", 0, 3)
        before = state(gallery)
        other.execute("BEGIN IMMEDIATE")
        writer = threading.Thread(target=enrol, args=(gallery, "Bob", 10, 1))
        writer.start()
        assert state(gallery) == before  # all three kinds of reading, while one process writes and a thread waits to
        assert gallery.show("Ann", 0, 10, crops=True)[0].templates == 3
        assert writer.is_alive()
        other.execute("COMMIT")
        writer.join(PATIENCE_S)
        assert gallery.person("Bob") is not None


def test_who_waited_too_long_is_told_to_come_back(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with (
        SqliteGallery.create(path, spec(DIMENSION)) as gallery,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        pragma(gallery, "busy_timeout = 20")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="another process") as refused:
            enrol(gallery, "Ann", 0, 1)
        assert refused.value.retry_after_ms > 0
        other.execute("ROLLBACK")
        enrol(gallery, "Ann", 0, 1)


WRITER = """
import sys
from pathlib import Path
import tests.integration.test_gallery_storage as here
number = int(sys.argv[2])
with here.SqliteGallery.open(Path(sys.argv[1])) as gallery:
    for step in range(15):
        here.enrol(gallery, f"P{number}", number * 50 + step, 1)
        here.enrol(gallery, "Everybody", number * 50 + step, 1)
        assert gallery.person(f"P{number}").templates == step + 1
    gallery.rename(f"P{number}", f"Q{number}")
    gallery.remove(f"Q{number}", [gallery.show(f"Q{number}", 0, 1, crops=False)[1][0].id])
"""


def test_processes_that_write_at_once_wait_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with SqliteGallery.create(path, spec(DIMENSION)) as gallery:
        processes = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(number)], cwd=ROOT, stderr=subprocess.PIPE)
            for number in range(4)
        ]
        ends = [(process.communicate(timeout=120)[1].decode(), process.returncode) for process in processes]
        assert [code for _, code in ends] == [0] * 4, ends
        assert gallery.refresh()
        expected = {"Everybody": 60, **{f"Q{number}": 14 for number in range(4)}}
        assert {person.name: person.templates for person in gallery.people()[0]} == expected
        here = state(gallery)
    with SqliteGallery.open(path) as gallery:
        assert state(gallery) == here
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
