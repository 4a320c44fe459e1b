"""ZIPs and folders that are being added, in SQL: what was asked for, how far each is, and what became of its files.

How far it is, is written in the transaction of the photo that it counts: whatever moment a server ends at, the next
one neither counts nor adds anything twice. Functions of a connection: the caller holds the transaction.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from facewire.protocol.albums.adding import AlbumIngested, AlbumSkipped
from facewire.server.albums.database import now
from facewire.server.albums.names import photo_name

Kind = Literal["zip", "folder"]

_REMEMBERED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Addition:
    """A ZIP (`source`: its upload's token) or a folder (relative to the import root) on its way into an album."""

    id: int
    album: int
    kind: Kind
    source: str


@dataclass(slots=True)
class Tally:
    """What became of many files. At most `listed` of those skipped are listed, `saved` of them on disk already.
    `left_out`: service files and folders."""

    listed: int
    added: int = 0
    duplicates: int = 0
    skipped_total: int = 0
    skipped: list[AlbumSkipped] = field(default_factory=list)
    saved: int = 0
    left_out: int = 0

    def count(self, *, duplicate: bool) -> None:
        """This one is in the album, or was there already."""
        if duplicate:
            self.duplicates += 1
        else:
            self.added += 1

    def skip(self, name: str, reason: str) -> None:
        """This one was not added."""
        self.skipped_total += 1
        if len(self.skipped) < self.listed:
            self.skipped.append(AlbumSkipped(photo_name(name), reason))

    def ingested(self) -> AlbumIngested:
        """As the protocol says it."""
        return AlbumIngested(self.added, self.duplicates, tuple(self.skipped), self.skipped_total, self.left_out)


def begin(db: sqlite3.Connection, album: int, kind: Kind, source: str) -> Addition:
    """Notes what is to be added, or gives what is noted already."""
    values = (album, kind, source)
    db.execute("INSERT OR IGNORE INTO additions (album_id, kind, source) VALUES (?, ?, ?)", values)
    (number,) = db.execute("SELECT id FROM additions WHERE album_id = ? AND kind = ? AND source = ?", values).fetchone()
    return Addition(number, *values)


def under_way(db: sqlite3.Connection) -> list[Addition]:
    """What is not finished, in the order that it was asked for."""
    rows = db.execute("SELECT id, album_id, kind, source FROM additions WHERE finished IS NULL ORDER BY id")
    return [Addition(*row) for row in rows]


def load(db: sqlite3.Connection, addition: Addition, listed: int) -> tuple[str, Tally]:
    """How far it is, "" at its beginning, and what became of the files so far."""
    row = db.execute(
        "SELECT reached, added, duplicates, skipped FROM additions WHERE id = ?", (addition.id,)
    ).fetchone()
    skips = db.execute(
        "SELECT name, reason FROM addition_skips WHERE addition_id = ? ORDER BY n", (addition.id,)
    ).fetchall()
    skipped = [AlbumSkipped(name, reason) for name, reason in skips]
    return row["reached"], Tally(listed, row["added"], row["duplicates"], row["skipped"], skipped, len(skipped))


def save(db: sqlite3.Connection, addition: Addition, reached: str, tally: Tally) -> None:
    """Notes how far it is."""
    db.execute(
        "UPDATE additions SET reached = ?, added = ?, duplicates = ?, skipped = ? WHERE id = ?",
        (reached, tally.added, tally.duplicates, tally.skipped_total, addition.id),
    )
    fresh = enumerate(tally.skipped[tally.saved :], tally.saved)
    db.executemany(
        "INSERT INTO addition_skips VALUES (?, ?, ?, ?)",
        [(addition.id, place, entry.name, entry.reason) for place, entry in fresh],
    )
    tally.saved = len(tally.skipped)


def finish(db: sqlite3.Connection, addition: Addition) -> None:
    """It is done. A ZIP is not needed any more, and what became of it is remembered for a day."""
    if addition.kind == "folder":
        forget(db, addition)
        return
    db.execute("DELETE FROM uploads WHERE token = ?", (addition.source,))
    db.execute("UPDATE additions SET finished = ? WHERE id = ?", (now(), addition.id))


def forget(db: sqlite3.Connection, addition: Addition) -> None:
    """It is given up, or nobody can ask for it again."""
    if addition.kind == "zip":
        db.execute("DELETE FROM uploads WHERE token = ?", (addition.source,))
    db.execute("DELETE FROM additions WHERE id = ?", (addition.id,))


def finished(db: sqlite3.Connection, album: int, source: str, listed: int) -> AlbumIngested | None:
    """What became of a ZIP that was added within the last day."""
    row = db.execute(
        "SELECT id FROM additions WHERE album_id = ? AND kind = 'zip' AND source = ? AND finished IS NOT NULL",
        (album, source),
    ).fetchone()
    return None if row is None else load(db, Addition(row["id"], album, "zip", source), listed)[1].ingested()


def forget_old(db: sqlite3.Connection) -> None:
    """Nobody asks again after a day."""
    oldest = (datetime.now(UTC) - _REMEMBERED_FOR).isoformat(timespec="seconds")
    db.execute("DELETE FROM additions WHERE finished < ?", (oldest,))
