"""Opening: what is refused and how, migrations, and durability's settings."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facewire.server.errors import StartError
from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage import schema
from facewire.server.gallery.storage.store import Store
from tests.support.galleries import picture, spec, unit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


def connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def test_a_missing_database_is_not_created(path: Path) -> None:
    with pytest.raises(StartError, match=r"no database.*create_db") as refused:
        SqliteGallery.open(path)
    assert refused.value.exit_code == 2
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"hello, I am a text", b"\x89PNG\r\n" + bytes(5000)])
def test_a_file_that_is_no_gallery_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StartError, match="is not a") as refused:
        SqliteGallery.open(path)
    assert refused.value.exit_code == 2
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_somebody_elses_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(connect(path)) as other:
        other.execute("CREATE TABLE people (name)")
    content = path.read_bytes()
    with pytest.raises(StartError, match="not a facewire gallery"):
        SqliteGallery.open(path)
    assert path.read_bytes() == content


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no database"):
        SqliteGallery.open(tmp_path)


def test_a_newer_schema_is_refused(path: Path) -> None:
    Store.create(path, spec()).close()
    with closing(connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(StartError, match="newer"):
        SqliteGallery.open(path)


def test_a_database_without_a_spec_is_refused(path: Path) -> None:
    Store.create(path, spec()).close()
    with closing(connect(path)) as db:
        db.execute("DELETE FROM meta")
    with pytest.raises(StartError, match="names no model"):
        SqliteGallery.open(path)


@pytest.mark.parametrize("text", ["", "{}", '{"model": 1}', "[]"])
def test_an_unreadable_spec_is_refused(path: Path, text: str) -> None:
    Store.create(path, spec()).close()
    with closing(connect(path)) as db:
        db.execute("UPDATE specs SET json = ?", (text,))
    with pytest.raises(StartError, match="can't read"):
        SqliteGallery.open(path)


@pytest.mark.parametrize("blob", [b"short", np.full(4, np.nan, dtype="<f4").tobytes(), bytes(16)])
def test_damaged_templates_are_refused(path: Path, blob: bytes) -> None:
    with SqliteGallery.create(path, spec()) as gallery:
        gallery.enrol("Ann", [picture("a", unit(1, 0, 0, 0))])
    with closing(connect(path)) as db:
        db.execute("DROP TRIGGER journal_templates_update")  # which lets nobody in past the journal
        db.execute("UPDATE templates SET embedding = ?", (blob,))
    with pytest.raises(StartError, match="damaged"):
        SqliteGallery.open(path)


def test_damaged_pages_are_refused(path: Path) -> None:
    with SqliteGallery.create(path, spec()) as gallery:
        gallery.enrol("Ann", [picture(f"{n}", unit(1, n, 0, 0)) for n in range(300)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StartError):
        SqliteGallery.open(path)


def test_acknowledged_means_on_disk(path: Path) -> None:
    with closing(Store.create(path, spec())) as store:
        assert store.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert store.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert store.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_a_strangers_log_is_not_replayed_into_a_new_database(path: Path) -> None:
    """The database was deleted while its write-ahead log stayed, as after kill -9 and rm."""
    wal = path.with_name(path.name + "-wal")
    with SqliteGallery.create(path, spec()) as gallery:
        gallery.enrol("Ann", [picture("a", unit(1, 0, 0, 0))])
        log = wal.read_bytes()
    assert log
    path.unlink()
    wal.write_bytes(log)
    with SqliteGallery.create(path, spec()) as fresh:
        assert fresh.counts() == Counts(0, 0, 0)


def test_a_process_killed_inside_a_transaction_leaves_what_was_committed(path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from facewire.server.gallery.storage import journal
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage.store import Store
from tests.support.galleries import picture, spec, unit
gallery = SqliteGallery.create(Path({str(path)!r}), spec())
gallery.enrol("Ann", [picture("a", unit(1, 0, 0, 0))])
store = Store.open(Path({str(path)!r}))
with store.transaction():
    journal.begin(store, "enrol")
    store.add_picture(store.ensure_person("Bob").id, picture("b", unit(0, 1, 0, 0)))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -9
    with SqliteGallery.open(path) as gallery:
        assert [record.name for record in gallery.people()[0]] == ["Ann"]
    with closing(connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_migrations_run_once_each_and_in_order(path: Path) -> None:
    seen: list[str] = []

    def first(db: sqlite3.Connection) -> None:
        seen.append("first")
        db.execute("CREATE TABLE a (x)")

    def second(db: sqlite3.Connection) -> None:
        seen.append("second")
        db.execute("ALTER TABLE a ADD COLUMN y")

    with closing(connect(path)) as db:
        schema.migrate(db, (first,))
        db.execute("INSERT INTO a VALUES (1)")
        schema.migrate(db, (first, second))
        schema.migrate(db, (first, second))
        assert seen == ["first", "second"]
        assert schema.version_of(db) == 2
        assert db.execute("SELECT * FROM a").fetchall() == [(1, None)]


def test_a_failing_migration_leaves_the_version_before_it(path: Path) -> None:
    def first(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE a (x)")

    def broken(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE b (x)")
        db.execute("CREATE TABLE a (x)")

    with closing(connect(path)) as db:
        with pytest.raises(sqlite3.OperationalError, match="already exists"):
            schema.migrate(db, (first, broken))
        assert schema.version_of(db) == 1
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]


def test_an_unmigrated_database_of_ours_is_migrated_on_opening(path: Path) -> None:
    """Version 0: created and marked, but its process died before the tables were there. It names no model yet."""
    with closing(connect(path)) as db:
        db.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    with pytest.raises(StartError, match="names no model"):
        Store.open(path)
    with closing(connect(path)) as db:
        assert schema.version_of(db) == len(schema.MIGRATIONS)
