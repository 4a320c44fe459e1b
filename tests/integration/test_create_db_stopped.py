"""create_db stopped in the middle: Ctrl-C, kill -9, a full disk's error; and two of them at once."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.maintenance.build.staging import SUFFIX, Staging
from facewire.server.maintenance.command import TRANSACTION
from facewire.server.maintenance.create_db import main
from tests.support.galleries import picture, spec, unit
from tests.support.synthetic_engine import SyntheticEngine, portrait

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    (folder / "Ann").mkdir(parents=True)
    (folder / "Ann" / "1.png").write_bytes(portrait(1))
    return folder


@pytest.fixture
def db(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "people.db"


def build(folder: Path, db: Path, engine: SyntheticEngine | None = None) -> int:
    return main([str(folder), "--db", str(db)], open_engine=lambda choice: engine or SyntheticEngine())


def grow(folder: Path, count: int) -> None:
    """`count` more pictures."""
    (folder / "Bob").mkdir()
    for number in range(count):
        (folder / "Bob" / f"{number}.png").write_bytes(portrait(number, shade=1 + number // 63))


@contextmanager
def stopped_at(number: int, folder: Path, db: Path) -> Iterator[subprocess.Popen[str]]:
    """A create_db that waits, with `number` faces embedded, to be stopped."""
    command = [sys.executable, "-m", "tests.support.stopping_create_db", str(number), str(folder), "--db", str(db)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("at ")
        try:
            yield process
        finally:
            process.kill()


def content(db: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        query = "SELECT t.id, p.name, i.path, t.embedding FROM templates t JOIN images i ON i.id = t.image_id"
        return connection.execute(query + " JOIN people p ON p.id = t.person_id ORDER BY t.id").fetchall()


def beside(db: Path) -> list[str]:
    """What lies beside the database, but the lock that always stays."""
    return sorted(path.name for path in db.parent.iterdir() if path not in (db, db.with_name(db.name + "-lock")))


def test_ctrl_c_leaves_the_old_database(folder: Path, db: Path) -> None:
    build(folder, db)
    before = content(db)
    grow(folder, TRANSACTION + 64)  # so that something is staged already
    with stopped_at(TRANSACTION + 8, folder, db) as process:
        assert db.with_name(db.name + SUFFIX).exists()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == f"stopped: {db} is unchanged; run it again to continue"
    assert "Traceback" not in out + err
    assert content(db) == before
    assert f"{db.name}{SUFFIX}" in beside(db)


def test_ctrl_c_in_a_first_build_leaves_nothing(folder: Path, db: Path) -> None:
    with stopped_at(0, folder, db) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert not db.exists()
    assert beside(db) == []


def test_kill_9_leaves_the_old_database_and_the_next_run_cleans_up(folder: Path, db: Path) -> None:
    build(folder, db)
    before = content(db)
    grow(folder, TRANSACTION + 64)
    with stopped_at(TRANSACTION + 8, folder, db) as process:
        process.kill()
    assert content(db) == before
    assert f"{db.name}{SUFFIX}" in beside(db)
    engine = SyntheticEngine()
    assert build(folder, db, engine) == 0
    assert engine.embedded < TRANSACTION  # and not again what was staged
    assert beside(db) == []
    assert len(content(db)) == TRANSACTION + 65


def test_what_changed_since_the_interruption_is_not_taken_from_it(folder: Path, db: Path) -> None:
    grow(folder, TRANSACTION)
    with stopped_at(TRANSACTION, folder, db) as process:
        process.kill()
    changed, gone, renamed = folder / "Bob" / "0.png", folder / "Bob" / "1.png", folder / "Cleo"
    changed.write_bytes(portrait(7, shade=99))
    gone.unlink()
    renamed.mkdir()
    (folder / "Bob" / "2.png").rename(renamed / "2.png")
    assert build(folder, db) == 0
    resumed = content(db)
    db.unlink()
    assert build(folder, db) == 0
    assert sorted(row[1:] for row in resumed) == sorted(row[1:] for row in content(db))
    assert len(resumed) == TRANSACTION


def test_what_was_staged_for_another_model_is_embedded_anew(folder: Path, db: Path) -> None:
    grow(folder, TRANSACTION + 8)
    with stopped_at(TRANSACTION, folder, db) as process:
        process.kill()
    other = SyntheticEngine(model="Other")
    assert build(folder, db, other) == 0
    assert other.embedded == TRANSACTION + 9


@pytest.mark.parametrize("made", [b"", b"half a datab"])
def test_killed_while_the_staging_database_was_made(folder: Path, db: Path, made: bytes) -> None:
    db.with_name(db.name + SUFFIX).write_bytes(made)
    assert build(folder, db) == 0
    assert beside(db) == []


def test_killed_after_the_last_step_and_before_cleaning_up(folder: Path, db: Path) -> None:
    """The staging database has what the database has; the next run neither embeds nor stores anything twice."""
    grow(folder, TRANSACTION)
    with stopped_at(TRANSACTION, folder, db) as process:
        process.kill()
    left = db.with_name(db.name + SUFFIX)
    kept = {path.name: path.read_bytes() for path in db.parent.iterdir() if path.name.startswith(left.name)}
    assert build(folder, db) == 0
    before = content(db)
    for name, data in kept.items():
        (db.parent / name).write_bytes(data)
    engine = SyntheticEngine()
    assert build(folder, db, engine) == 0
    assert (engine.embedded, content(db), beside(db)) == (0, before, [])


def test_kill_9_in_a_first_build(folder: Path, db: Path) -> None:
    with stopped_at(0, folder, db) as process:
        process.kill()
    assert not db.exists()
    assert build(folder, db) == 0
    assert len(content(db)) == 1


def test_a_second_run_at_the_same_time_is_refused(folder: Path, db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stopped_at(0, folder, db) as process:
        assert build(folder, db) == 3
        assert f"process {process.pid} is already building {db}" in capsys.readouterr().err
        out, err = process.communicate("\n", timeout=60)  # and the first one comes to its end
    assert process.returncode == 0, out + err
    assert len(content(db)) == 1


def test_an_error_inside_the_last_step_undoes_all_of_it(
    folder: Path, db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trigger stands for whatever makes SQLite fail half way, a full disk for one."""
    build(folder, db)
    with closing(sqlite3.connect(db)) as connection:
        connection.execute(
            "CREATE TRIGGER fail BEFORE INSERT ON templates WHEN (SELECT count(*) FROM templates) = 20"
            " BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    before = content(db)
    grow(folder, 40)
    (folder / "Ann" / "1.png").write_bytes(portrait(5))
    assert build(folder, db) == 3
    assert capsys.readouterr().err.splitlines()[-1] == f"create_db: disk is full; {db} is unchanged"
    assert content(db) == before
    assert beside(db) == [db.name + SUFFIX]
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("DROP TRIGGER fail")
    assert build(folder, db) == 0
    assert "continuing after 41 pictures" in capsys.readouterr().err
    assert len(content(db)) == 41
    assert beside(db) == []


def test_a_database_removed_while_its_log_stayed(folder: Path, db: Path) -> None:
    """After kill -9 of a server and rm of the database, its write-ahead log would be replayed into the new one."""
    wal = db.with_name(db.name + "-wal")
    with SqliteGallery.create(db, spec(16, "Synthetic")) as gallery:
        gallery.enrol("Old", [picture("old", unit(1, *[0] * 15))])
        log = wal.read_bytes()
    db.unlink()
    wal.write_bytes(log)
    assert build(folder, db) == 0
    assert [name for _, name, _, _ in content(db)] == ["Ann"]


def test_what_was_not_moved_is_lost_and_what_was_stays(db: Path) -> None:
    for name, move in (("Ann", True), ("Bob", False), ("Cleo", True)):
        staging = Staging(db, spec())
        staging.add([(name, picture(f"{name}.png", unit(1, 0, 0, 0)))])
        if move:
            staging.move()
        staging.discard()
    with SqliteGallery.open(db) as gallery:
        assert [record.name for record in gallery.people()[0]] == ["Ann", "Cleo"]
        assert gallery.counts() == Counts(2, 2, 2)
