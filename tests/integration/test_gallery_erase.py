"""Erased means gone: from every file, at once, while the gallery is in use."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facewire.server.errors import Conflict, UnknownPerson
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage import erasing, journal
from tests.support.galleries import random_units, spec

ROOT = Path(__file__).parents[2]
DIMENSION = 64
VECTORS = random_units(np.random.default_rng(3), 60, DIMENSION)
NAME = "Annunziata Quattrocchi"


def crop_of(number: int) -> bytes:
    return b"\xff\xd8" + hashlib.sha512(f"crop {number}".encode()).digest() * 40


def picture_of(number: int, path: str, source: str | None = None) -> NewPicture:
    template = NewTemplate(VECTORS[number], (1.0, 2.0, 3.0, 4.0), ((1.5, 2.5),), 0.9, crop_of(number))
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    return NewPicture(sha256, 10, path, 40, 30, (template,), source=source)


def traces(folder: Path, numbers: list[int], *texts: str) -> list[str]:
    """Where anything of these templates is left, in any file of the folder."""
    wanted = {f"embedding {n}": VECTORS[n].astype("<f4").tobytes()[:64] for n in numbers}
    wanted |= {f"crop {n}": crop_of(n)[:64] for n in numbers}
    wanted |= {f"sha256 {n}": hashlib.sha256(str(n).encode()).hexdigest().encode() for n in numbers}
    wanted |= {text: text.encode() for text in texts}
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return [f"{what} in {name}" for what, data in wanted.items() for name, content in files.items() if data in content]


@pytest.fixture
def gallery(tmp_path: Path) -> SqliteGallery:
    """Somebody with a past: renamed, merged with, split from, removed from, brought back."""
    gallery = SqliteGallery.create(tmp_path / "g.db", spec(DIMENSION))
    gallery.enrol("Anna", [picture_of(n, f"first-{n}") for n in range(4)])
    gallery.enrol("Bob", [picture_of(n, f"bob-{n}") for n in range(20, 50)])
    gallery.rename("Anna", NAME)
    gallery.enrol("Nunzia", [picture_of(n, f"second-{n}", "/a/folder") for n in range(4, 8)])
    gallery.merge(["Nunzia"], NAME)
    gallery.remove(NAME, [2])
    gallery.enrol(NAME, [picture_of(8, "third")])
    gallery.remove(NAME)
    gallery.undo()
    return gallery


def test_nothing_is_left_in_any_file(gallery: SqliteGallery, tmp_path: Path) -> None:
    everything = [*range(9)]
    names = (NAME, "Anna", "Nunzia", "first-", "second-", "third")
    assert len(traces(tmp_path, everything, *names)) > 9, "the search for traces finds none where they are"
    erasure = gallery.erase(NAME)
    assert traces(tmp_path, everything, *names) == []
    assert (erasure.images, erasure.templates, erasure.crops, erasure.sources) == (8, 8, 8, 4)
    assert erasure.journal > 0
    assert (erasure.complete, erasure.note) == (True, "")
    assert len(traces(tmp_path, [20, 49], "Bob")) >= 7  # who was not meant is there
    gallery.close()
    assert traces(tmp_path, everything, *names) == []


def test_what_the_journal_says_afterwards(gallery: SqliteGallery) -> None:
    gallery.erase(NAME)
    events, total = gallery.history(100)
    assert total == len(events) == 10
    assert [event.text for event in events][:2] == [
        "permanently erased a person (8 pictures, 8 templates)",
        "undid 1 change",
    ]
    assert {name for event in events for name in event.names} == {"(erased)", "Bob"}
    assert not any(event.undoable for event in events)
    with pytest.raises(Conflict, match="nothing to undo"):
        gallery.undo()
    with pytest.raises(UnknownPerson):
        gallery.erase(NAME)
    gallery.enrol("Cleo", [picture_of(9, "new")])
    gallery.undo()  # what comes after can be taken back
    assert [person.name for person in gallery.people()[0]] == ["Bob"]


def test_old_undo_data_goes_by_itself(tmp_path: Path) -> None:
    """A month after somebody was removed nothing can bring them back, and nothing is kept to do it with."""
    path = tmp_path / "g.db"
    with SqliteGallery.create(path, spec(DIMENSION)) as gallery:
        gallery.enrol(NAME, [picture_of(1, "first")])
        gallery.remove(NAME)
        assert traces(tmp_path, [1])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE events SET at = '2001-01-01T00:00:00+00:00'")
    with SqliteGallery.open(path) as gallery:
        gallery.enrol("Bob", [picture_of(2, "second")])
        assert [event.undoable for event in gallery.history(9)[0]] == [True, False, False]
        with pytest.raises(Conflict, match="only 1 change"):
            gallery.undo(2)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM old_templates").fetchone() == (0,)
    assert traces(tmp_path, [1]) == []
    assert journal.UNDO_DAYS == 30  # as docs/decisions/0015 promises


def test_a_reader_that_holds_the_old_state_is_said(
    gallery: SqliteGallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "PATIENCE_MS", 50)
    with closing(sqlite3.connect(tmp_path / "g.db", isolation_level=None)) as other:
        other.execute("BEGIN")
        assert other.execute("SELECT count(*) FROM people").fetchone() == (2,)
        erasure = gallery.erase(NAME)
        assert not erasure.complete
        assert "another process is still reading g.db" in erasure.note
        assert [person.name for person in gallery.people()[0]] == ["Bob"]
        other.execute("ROLLBACK")
    gallery.close()
    assert traces(tmp_path, [*range(9)], NAME) == []


KILLED_BEFORE_WIPING = """
import os, signal, sys
from pathlib import Path
from facewire.server.gallery.storage import erasing
from facewire.server.gallery.sqlite import SqliteGallery
erasing.wipe = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
SqliteGallery.open(Path(sys.argv[1])).erase(sys.argv[2])
"""


def test_an_erasure_that_was_killed_is_finished_at_the_next_start(gallery: SqliteGallery, tmp_path: Path) -> None:
    path = tmp_path / "g.db"
    index = path.with_name("g.db-index")
    killed = subprocess.run([sys.executable, "-c", KILLED_BEFORE_WIPING, str(path), NAME], cwd=ROOT, check=False)
    assert killed.returncode == -9
    index.write_bytes(b"of a larger gallery, once")
    assert traces(tmp_path, [*range(9)]), "the write-ahead log should still hold what was"
    gallery.close()
    with SqliteGallery.open(path) as reopened:
        assert traces(tmp_path, [*range(9)], NAME) == []
        assert not index.exists()
        assert [person.name for person in reopened.people()[0]] == ["Bob"]
