"""A database whose schema is torn: damaged, or looked at while a page of it is being written.

SQLite quotes what it can't read, which need not be text.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from facewire.server.albums.database import AlbumsUnavailable, Database
from facewire.server.errors import StartError
from facewire.server.gallery.storage.lineage import is_foreign
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.backup.copies import check
from tests.support.living_server import SPEC

TORN = pytest.mark.parametrize("instead", [b"CREATE \xff\xfeBLE", b"CREATE TUBLE"])


def tear(path: Path, table: str, instead: bytes) -> None:
    """Replaces the statement that made a table."""
    whole, made = path.read_bytes(), b" ".join((b"CREATE TABLE", table.encode()))
    assert made in whole
    path.write_bytes(whole.replace(made, b" ".join((instead, table.encode()))))


@TORN
def test_a_page_that_is_being_written_makes_it_no_other_database(tmp_path: Path, instead: bytes) -> None:
    path = tmp_path / "people.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value)")
    tear(path, "meta", instead)
    assert not is_foreign(path, unmarked=True)


@TORN
def test_a_damaged_gallery_is_refused_in_words(tmp_path: Path, instead: bytes) -> None:
    path = tmp_path / "people.db"
    Store.create(path, SPEC).close()
    tear(path, "people", instead)
    with pytest.raises(StartError, match="the file is damaged: restore a backup"):
        Store.open(path)
    with pytest.raises(StartError, match=r"people\.db is damaged: malformed database schema"):
        check(path)


@TORN
def test_damaged_albums_are_refused_in_words(tmp_path: Path, instead: bytes) -> None:
    Database.open(tmp_path).close()
    tear(tmp_path / "albums.db", "photos", instead)
    with pytest.raises(AlbumsUnavailable, match="the file is damaged: restore a backup"):
        Database.open(tmp_path)
