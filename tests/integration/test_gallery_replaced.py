"""The database's file is deleted, replaced or overwritten, under a server or between two starts."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facewire.client import StorageFailed as RefusedStorage
from facewire.server.errors import StartError, StorageFailed
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.backup.copies import restore, save
from tests.support.galleries import picture, random_units, spec
from tests.support.living_server import living_server
from tests.support.synthetic_engine import portrait
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
DIMENSION = 64
VECTORS = random_units(np.random.default_rng(11), 200, DIMENSION)

WRITER = """
import os, signal, sys
from pathlib import Path
import tests.integration.test_gallery_replaced as here
gallery = here.SqliteGallery.open(Path(sys.argv[1]))
for name in sys.argv[2:]:
    here.enrol(gallery, name)
    print(name, flush=True)
if "--stay" in os.environ.get("HERE", ""):
    sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def enrol(gallery: SqliteGallery, *names: str) -> None:
    for name in names:
        gallery.enrol(name, [picture(f"{name}.jpg", VECTORS[sum(name.encode()) % len(VECTORS)])])


def made(path: Path, *names: str) -> Path:
    with SqliteGallery.create(path, spec(DIMENSION)) as gallery:
        enrol(gallery, *names)
    return path


def killed_after(path: Path, *names: str) -> None:
    """Another process enrols these and is killed, so that its log stays."""
    ended = subprocess.run([sys.executable, "-c", WRITER, str(path), *names], cwd=ROOT, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert log_of(path).stat().st_size


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def names_in(path: Path) -> list[str]:
    with SqliteGallery.open(path) as gallery:
        found = [person.name for person in gallery.people()[0]]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return found


def set_aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}-set-aside-*"))


def moved(source: Path, target: Path) -> None:
    source.replace(target)


def copied(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


PUT = (moved, copied)


# ---------------------------------------------------------------------------------------------- between two starts


def test_the_log_of_a_killed_server_is_replayed(tmp_path: Path) -> None:
    path = made(tmp_path / "a.db", "Ann")
    killed_after(path, "Bob")
    killed_after(path, "Cid", "Dan")
    assert names_in(path) == ["Ann", "Bob", "Cid", "Dan"]
    assert set_aside(path) == []


def test_also_where_some_of_it_is_in_the_file_already(tmp_path: Path) -> None:
    path = made(tmp_path / "a.db", "Ann")
    killed_after(path, "Bob")
    with closing(sqlite3.connect(path)) as reader:
        reader.execute("SELECT count(*) FROM people").fetchone()
        with SqliteGallery.open(path) as gallery:
            enrol(gallery, "Cid")
            gallery._writer._store.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            enrol(gallery, "Dan")
            for suffix in ("", "-wal"):  # as a crash leaves them
                copied(path.with_name(path.name + suffix), tmp_path / f"crashed.db{suffix}")
    assert names_in(tmp_path / "crashed.db") == ["Ann", "Bob", "Cid", "Dan"]
    assert set_aside(tmp_path / "crashed.db") == []


@pytest.mark.parametrize("torn", ["page", "mark"])
def test_a_file_torn_while_its_log_was_folded_in_is_mended_by_it(tmp_path: Path, torn: str) -> None:
    """As a power failure in the middle of a write leaves it."""
    path = made(tmp_path / "a.db", "Ann")
    killed_after(path, "Bob")
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'meta'").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        content = file.read(4096)
        mark = content.index(b"\x00FWLOG")
        file.seek((page - 1) * 4096 + (mark + 10 if torn == "mark" else 0))
        file.write(b"\xaa" * (10 if torn == "mark" else 2048))
    assert names_in(path) == ["Ann", "Bob"]
    assert set_aside(path) == []


def test_a_folder_that_was_copied_after_a_crash_is_whole(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    path = made(here / "a.db", "Ann")
    killed_after(path, "Bob")
    for file in path.parent.iterdir():
        copied(file, there / file.name)
    assert names_in(there / "a.db") == ["Ann", "Bob"]


@pytest.mark.parametrize("put", PUT)
def test_the_log_of_another_gallery_is_set_aside(
    tmp_path: Path, put: Callable[[Path, Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    path, other = made(tmp_path / "a.db", "Ann"), made(tmp_path / "b.db", "Zoe")
    killed_after(path, "Bob")
    log = log_of(path).read_bytes()
    put(other, path)
    with caplog.at_level(logging.WARNING):
        save(path, tmp_path / "saved.db")  # who opens it first is no matter
        assert names_in(path) == names_in(tmp_path / "saved.db") == ["Zoe"]
    assert "belongs to another database than a.db" in caplog.text
    assert log in [file.read_bytes() for file in set_aside(path)]


def test_an_older_copy_is_not_overwritten_by_what_came_later(tmp_path: Path) -> None:
    path = made(tmp_path / "a.db", "Ann")
    copied(path, tmp_path / "plain.db")
    save(path, tmp_path / "saved.db")
    with SqliteGallery.open(path) as gallery:
        enrol(gallery, "Bob")
    killed_after(path, "Cid")
    copied(tmp_path / "plain.db", path)
    assert names_in(path) == ["Ann"]
    killed_after(path, "Dan")
    copied(tmp_path / "saved.db", path)
    assert names_in(path) == ["Ann"]
    assert len([file for file in set_aside(path) if file.name.endswith("-wal")]) == 2


def test_a_copy_of_the_last_moment_stays_what_it_is(tmp_path: Path) -> None:
    path = made(tmp_path / "a.db", "Ann")
    killed_after(path, "Bob")
    save(path, tmp_path / "saved.db")
    killed_after(path, "Cid")
    copied(tmp_path / "saved.db", path)
    assert names_in(path) == ["Ann", "Bob"]


def test_a_new_gallery_does_not_inherit_the_log_of_a_deleted_one(tmp_path: Path) -> None:
    path = made(tmp_path / "a.db", "Ann")
    killed_after(path, "Bob")
    path.unlink()
    made(path, "Zoe")
    assert names_in(path) == ["Zoe"]
    assert any(file.name.endswith("-wal") for file in set_aside(path))
    path.unlink()
    killed = tmp_path / "c.db"
    made(killed, "Cid")
    killed_after(killed, "Dan")
    copied(log_of(killed), log_of(path))
    save(killed, tmp_path / "copy.db")
    restore(tmp_path / "copy.db", path, other_spec=False, keep=lambda: None)
    assert names_in(path) == ["Cid", "Dan"]


def test_a_gallery_of_before_there_were_marks_keeps_its_log(tmp_path: Path) -> None:
    path = made(tmp_path / "a.db", "Ann")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM meta WHERE key = 'lineage'")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("INSERT INTO meta VALUES ('probe', 1)")
        for suffix in ("", "-wal"):
            copied(path.with_name(path.name + suffix), tmp_path / f"old.db{suffix}")
    assert names_in(tmp_path / "old.db") == ["Ann"]
    with closing(sqlite3.connect(tmp_path / "old.db")) as db:
        assert db.execute("SELECT value FROM meta WHERE key = 'probe'").fetchone() == (1,)
    killed_after(tmp_path / "old.db", "Bob")
    assert names_in(tmp_path / "old.db") == ["Ann", "Bob"]


def test_a_journal_beside_a_database_that_uses_none_is_set_aside(tmp_path: Path) -> None:
    """SQLite would roll another database's old pages into this one."""
    plain = tmp_path / "plain.db"
    with closing(sqlite3.connect(plain, isolation_level=None)) as db:
        db.execute("PRAGMA cache_spill = 1")
        db.execute("CREATE TABLE t (x)")
        db.execute("INSERT INTO t VALUES (zeroblob(100000))")
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE t SET x = randomblob(100000)")
        path = made(tmp_path / "a.db", "Ann")
        copied(plain.with_name("plain.db-journal"), tmp_path / "a.db-journal")
    assert names_in(path) == ["Ann"]
    assert [file.name.endswith("-journal") for file in set_aside(path)] == [True]


# ---------------------------------------------------------------------------------------------- under a server


def deleted(path: Path, aside: Path) -> None:
    path.rename(aside)


def replaced(path: Path, aside: Path) -> None:
    path.rename(aside)
    made(path.with_name("other.db"), "Zoe").replace(path)


def without_log(path: Path, aside: Path) -> None:
    log_of(path).rename(aside)


@pytest.mark.parametrize(
    ("harm", "said"), [(deleted, "deleted"), (replaced, "not the file that"), (without_log, "-wal was deleted")]
)
def test_no_change_is_acknowledged_that_would_be_lost(
    tmp_path: Path, harm: Callable[[Path, Path], None], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, aside = made(tmp_path / "a.db", "Ann"), tmp_path / "aside"
    with SqliteGallery.open(path) as gallery:
        enrol(gallery, "Bob")
        assert gallery.trouble() == ""
        harm(path, aside)
        for change in (lambda: enrol(gallery, "Cid"), lambda: gallery.rename("Ann", "Anna"), gallery.undo):
            with pytest.raises(StorageFailed, match=said):
                change()
        with pytest.raises(StorageFailed, match=said):
            gallery.show("Ann", 0, 1, crops=False)
        assert said in gallery.trouble()
        assert [record.levelname for record in caplog.records].count("ERROR") == 1
        assert len(gallery.search(VECTORS[0], 5)) == 2  # what is in memory is still right
        aside.replace(log_of(path) if harm is without_log else path)
        assert gallery.trouble() == ""
        enrol(gallery, "Cid")
    assert names_in(path) == ["Ann", "Bob", "Cid"]


def test_a_file_copied_over_the_open_one_is_noticed_and_left_as_it_is(tmp_path: Path) -> None:
    path, other = made(tmp_path / "a.db", "Ann"), made(tmp_path / "b.db", "Zoe")
    with SqliteGallery.open(path) as gallery:
        enrol(gallery, "Bob")
        # By another process: closing the file here would drop this process's locks on it.
        subprocess.run(["cp", str(other), str(path)], check=True)
        with pytest.raises(StorageFailed, match="overwritten"):
            enrol(gallery, "Cid")
        with pytest.raises(StartError, match="overwritten while another process"):
            Store.open(path)
    assert names_in(path) == ["Zoe"]


def test_writing_and_folding_the_log_is_no_trouble(tmp_path: Path) -> None:
    with SqliteGallery.create(tmp_path / "a.db", spec(DIMENSION)) as gallery:
        for number in range(20):
            enrol(gallery, f"P{number}")
            with closing(Store.open(tmp_path / "a.db", another=True)) as other:
                other.execute("PRAGMA wal_checkpoint").fetchall()
            assert gallery.trouble() == ""
        gallery.erase("P3")
        assert gallery.trouble() == ""


def test_health_says_it_and_the_next_start_has_the_new_gallery(tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    with living_server(path) as server, server.client() as client:
        client.enrol("Ann", portrait(1))
        assert client.health().healthy
        replaced(path, tmp_path / "aside")
        report = client.health()
        assert not report.healthy
        assert "not the file that" in report.reason
        with pytest.raises(RefusedStorage, match="start"):
            client.enrol("Bob", portrait(2))
        assert client.identify(portrait(1, shade=9)).faces[0].name == "Ann"
    assert names_in(path) == ["Zoe"]


def test_another_process_may_open_what_took_the_place_meanwhile(tmp_path: Path) -> None:
    path, other = made(tmp_path / "a.db", "Ann"), made(tmp_path / "b.db", "Zoe")
    environment = {**os.environ, "HERE": "--stay"}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "Bob"],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stdout.readline() == b"Bob\n"
        other.replace(path)
        with SqliteGallery.open(path) as gallery:
            enrol(gallery, "Yan")
        server.stdin.close()
    assert names_in(path) == ["Yan", "Zoe"]


def test_a_link_to_the_database_is_followed(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    path, link = made(there / "a.db", "Ann"), here / "link.db"
    other = made(there / "b.db", "Zoe")
    link.symlink_to(path)
    with SqliteGallery.open(link) as gallery:
        enrol(gallery, "Bob")
        assert gallery.trouble() == ""
        link.unlink()
        link.symlink_to(other)
        with pytest.raises(StorageFailed, match="not the file that"):
            enrol(gallery, "Cid")
    killed_after(path, "Dan")
    copied(other, path)
    link.unlink()
    link.symlink_to(path)
    assert names_in(link) == ["Zoe"]


def test_what_other_programs_write_is_no_trouble(tmp_path: Path) -> None:
    """They leave no marks."""
    path = made(tmp_path / "a.db", "Ann")
    with SqliteGallery.open(path) as gallery:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            db.execute("CREATE TABLE notes (text)")
            db.execute("PRAGMA wal_checkpoint").fetchall()
            db.execute("INSERT INTO notes VALUES ('hello')")
        assert gallery.trouble() == ""
        Store.open(path).close()
        enrol(gallery, "Bob")
    assert names_in(path) == ["Ann", "Bob"]


def test_restoring_under_a_server_outlives_a_crash(tmp_path: Path) -> None:
    path = made(tmp_path / "a.db", "Ann")
    save(path, tmp_path / "copy.db")
    environment = {**os.environ, "HERE": "--stay"}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), "Bob"],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        assert server.stdout.readline() == b"Bob\n"
        restore(tmp_path / "copy.db", path, other_spec=False, keep=lambda: None)
        server.kill()
    assert names_in(path) == ["Ann"]
    assert set_aside(path) == []


def test_the_watch_sees_it_within_a_second_or_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = made(tmp_path / "a.db", "Ann")
    with SqliteGallery.open(path) as gallery:
        gallery.watch(0.01)
        deleted(path, tmp_path / "aside")
        assert eventually(lambda: "a.db was deleted or moved while" in caplog.text)
        (tmp_path / "aside").rename(path)
        assert eventually(lambda: "a.db is back" in caplog.text)
