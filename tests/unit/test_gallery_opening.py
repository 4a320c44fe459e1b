"""Whatever happened to the database or its index file while no server ran: a start shows what the database holds."""

from __future__ import annotations

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

from facewire.server.gallery.search.index_file import FRESH_ROWS
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.backup import copies
from tests.support.galleries import cohort_file, people_like, picture, random_units, spec

DIMENSION = 16
PEOPLE, TEMPLATES = 10, FRESH_ROWS + 88
VECTORS, OWNERS = people_like(np.random.default_rng(0), PEOPLE, TEMPLATES, DIMENSION)
NEW = random_units(np.random.default_rng(5), FRESH_ROWS, DIMENSION)
ROOT = Path(__file__).resolve().parents[2]


def cohort(path: Path) -> Path:
    return path.parent / "cohort.npz"


def index_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-index")


def opened(path: Path) -> SqliteGallery:
    return SqliteGallery.open(path, cohort=cohort(path))


def elsewhere(path: Path, change: Callable[[SqliteGallery], object]) -> None:
    """A change by a process that knows no index file."""
    with SqliteGallery.open(path, cohort=path.with_name("none")) as gallery:
        change(gallery)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A gallery that was opened once since it was filled, so that it has an index file."""
    path = tmp_path / "people.db"
    cohort_file(cohort(path), DIMENSION)
    with SqliteGallery.create(path, spec(DIMENSION), cohort=cohort(path)) as gallery:
        for person in range(PEOPLE):
            mine = np.flatnonzero(person == OWNERS)
            gallery.enrol(f"P{person}", [picture(f"{number}.jpg", VECTORS[number]) for number in mine])
    opened(path).close()
    return path


def assert_shows_what_the_database_holds(path: Path) -> None:
    """Compared with a copy of the database that has no index file."""
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as ours, closing(sqlite3.connect(copy)) as theirs:
        ours.backup(theirs)
    with opened(path) as gallery, SqliteGallery.open(copy, cohort=cohort(path)) as fresh:
        found, expected = gallery.templates(), fresh.templates()
        assert np.array_equal(found.embeddings, expected.embeddings)
        assert np.array_equal(found.person_ids, expected.person_ids)
        np.testing.assert_allclose(found.scales, expected.scales, atol=1e-6)
        assert gallery.people() == fresh.people()
        for probe in (*VECTORS[::20], *NEW[:5]):
            near, nearest = gallery.search(probe, 3), fresh.search(probe, 3)
            assert [(m.name, m.similarity, m.image) for m in near] == [(m.name, m.similarity, m.image) for m in nearest]
    copy.unlink()
    index_of(copy).unlink(missing_ok=True)


def written(path: Path) -> int:
    return index_of(path).stat().st_mtime_ns


CHANGES: dict[str, Callable[[SqliteGallery], object]] = {
    "enrolled": lambda gallery: gallery.enrol("New", [picture("new.jpg", *NEW[:3])]),
    "renamed": lambda gallery: gallery.rename("P1", "Another"),
    "merged": lambda gallery: gallery.merge(["P1"], "P2"),
    "removed": lambda gallery: gallery.remove("P1"),
    "removed and undone": lambda gallery: (gallery.remove("P1"), gallery.undo()),
    "erased": lambda gallery: gallery.erase("P1"),
    "removed and enrolled": lambda gallery: (gallery.remove("P3"), gallery.enrol("P3", [picture("n.jpg", NEW[0])])),
    "many enrolled": lambda gallery: gallery.enrol("New", [picture(f"n{n}.jpg", NEW[n]) for n in range(FRESH_ROWS)]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_changes_while_no_server_ran(path: Path, change: Callable[[SqliteGallery], object]) -> None:
    elsewhere(path, change)
    assert_shows_what_the_database_holds(path)
    assert_shows_what_the_database_holds(path)


def test_the_file_is_written_again_only_where_it_lacks_much_or_shows_too_much(path: Path) -> None:
    before = written(path)
    elsewhere(path, CHANGES["enrolled"])
    elsewhere(path, CHANGES["renamed"])
    opened(path).close()
    assert written(path) == before
    elsewhere(path, lambda gallery: gallery.remove("P3"))
    opened(path).close()
    assert written(path) != before
    gone = VECTORS[np.flatnonzero(OWNERS == 3)[0]].tobytes()
    assert gone not in index_of(path).read_bytes()


def test_an_older_database_beside_a_newer_file(path: Path) -> None:
    shutil.copy(path, path.with_name("kept"))
    elsewhere(path, CHANGES["removed"])
    opened(path).close()
    path.with_name("kept").replace(path)
    assert_shows_what_the_database_holds(path)


def test_a_newer_database_beside_an_older_file(path: Path) -> None:
    shutil.copy(index_of(path), path.with_name("kept"))
    elsewhere(path, CHANGES["removed"])
    opened(path).close()
    path.with_name("kept").replace(index_of(path))
    assert_shows_what_the_database_holds(path)


def test_a_database_that_went_another_way_since_the_file_was_written(path: Path) -> None:
    """Both have events of the same numbers."""
    other = path.with_name("other.db")
    shutil.copy(path, other)
    elsewhere(path, lambda gallery: gallery.enrol("One", [picture("one.jpg", NEW[0])]))
    opened(path).close()
    elsewhere(other, lambda gallery: gallery.enrol("Two", [picture("two.jpg", NEW[1])]))
    other.replace(path)
    assert_shows_what_the_database_holds(path)


def test_a_backup_restored(path: Path) -> None:
    copies.save(path, path.with_name("saved.db"))
    elsewhere(path, CHANGES["removed"])
    opened(path).close()
    copies.restore(path.with_name("saved.db"), path, other_spec=False, keep=lambda: None)
    assert_shows_what_the_database_holds(path)


def test_a_journal_that_no_longer_goes_back_that_far(path: Path) -> None:
    elsewhere(path, CHANGES["enrolled"])
    elsewhere(path, CHANGES["renamed"])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM changes")
        connection.execute("UPDATE meta SET value = (SELECT max(id) FROM events) WHERE key = 'journal_floor'")
    before = written(path)
    assert_shows_what_the_database_holds(path)
    assert written(path) != before


def test_rows_that_are_not_the_databases_are_noticed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A program that is not ours replaced templates behind the journal's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE templates SET embedding = ?", (NEW[0].tobytes(),))
    assert_shows_what_the_database_holds(path)
    assert "other templates" in caplog.text


def test_embeddings_damaged_in_the_file(path: Path) -> None:
    content = bytearray(index_of(path).read_bytes())
    at = content.index(VECTORS[0].tobytes())
    content[at:] = bytes(len(content) - at)
    index_of(path).write_bytes(content)
    assert_shows_what_the_database_holds(path)


KILLED_BEFORE_THE_DATABASE_KNOWS = """
import os, signal, sys
from pathlib import Path
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage.store import Store
Store.keep_index_token = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
SqliteGallery.open(Path(sys.argv[1]), cohort=Path(sys.argv[2]))
"""


def test_killed_between_writing_the_file_and_telling_the_database(path: Path) -> None:
    elsewhere(path, CHANGES["removed"])
    before = written(path)
    arguments = [sys.executable, "-c", KILLED_BEFORE_THE_DATABASE_KNOWS, str(path), str(cohort(path))]
    assert subprocess.run(arguments, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert written(path) != before
    assert_shows_what_the_database_holds(path)


def test_a_database_that_another_process_is_writing_to(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere(path, CHANGES["removed"])
    with closing(Store.open(path)) as theirs, theirs.transaction():
        opened(path).close()
    assert "of no use to the next start" in caplog.text
    assert_shows_what_the_database_holds(path)


def test_changes_after_a_start_from_the_file(path: Path) -> None:
    """What is added, relabelled and removed over mapped rows, and is on the disk at once."""
    with opened(path) as gallery:
        gallery.enrol("New", [picture("new.jpg", *NEW[:3])])
        gallery.rename("New", "Newer")
        gallery.merge(["P1"], "P2")
        assert gallery.search(NEW[1], 1)[0].name == "Newer"
        gallery.remove("P3")
        gallery.enrol("New", [picture("new.jpg", *NEW[3:5])])
        assert gallery.search(NEW[4], 1)[0].name == "New"
    assert_shows_what_the_database_holds(path)
