"""ZIPs, folders and large videos being added, in SQL: the requests, their progress and their results.

Progress is written in the same transaction as the photo it counts, so if the server dies, the next one neither counts
nor adds anything twice. These functions take a connection; the caller holds the transaction.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from facewire.protocol.albums.adding import AlbumAdded, AlbumIngested, AlbumSkipped, AlbumVideoTaken
from facewire.server.albums.names import photo_name
from facewire.server.gallery.storage.connection import now

Kind = Literal["zip", "folder", "video"]
Uploaded = Literal["zip", "video"]

_REMEMBERED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Addition:
    """A ZIP, a folder or a video being added to an album. `source`: the upload's token, or the path below the import
    root. `metadata`: names are taken from the photos' metadata, too. `name`, `modified`: of a video, as `Ingest.add`
    takes them."""

    id: int
    album: int
    kind: Kind
    source: str
    metadata: bool = False
    name: str = ""
    modified: str = ""


@dataclass(slots=True)
class Tally:
    """Counts of files by outcome. At most `listed` skipped files are listed, `saved` of which are on disk already.
    `left_out`: number of service files and folders ignored."""

    listed: int
    added: int = 0
    duplicates: int = 0
    skipped_total: int = 0
    skipped: list[AlbumSkipped] = field(default_factory=list)
    saved: int = 0
    left_out: int = 0

    def count(self, *, duplicate: bool) -> None:
        """Counts a file as added or as a duplicate."""
        if duplicate:
            self.duplicates += 1
        else:
            self.added += 1

    def skip(self, name: str, reason: str) -> None:
        """Counts a file as not added."""
        self.skipped_total += 1
        if len(self.skipped) < self.listed:
            self.skipped.append(AlbumSkipped(photo_name(name), reason))

    def ingested(self) -> AlbumIngested:
        """The protocol's answer."""
        return AlbumIngested(self.added, self.duplicates, tuple(self.skipped), self.skipped_total, self.left_out)


_COLUMNS = "id, album_id, kind, source, metadata, name, modified"


def begin(
    db: sqlite3.Connection, album: int, kind: Kind, source: str,
    *, metadata: bool = False, name: str = "", modified: str = "",
) -> Addition:  # fmt: skip
    """Records an addition, or finds its existing record."""
    db.execute(
        "INSERT OR IGNORE INTO additions (album_id, kind, source, metadata, name, modified) VALUES (?, ?, ?, ?, ?, ?)",
        (album, kind, source, metadata, name, modified),
    )
    row = db.execute(
        f"SELECT {_COLUMNS} FROM additions WHERE album_id = ? AND kind = ? AND source = ?", (album, kind, source)
    ).fetchone()
    return _addition(row)


def under_way(db: sqlite3.Connection) -> list[Addition]:
    """Unfinished additions, in order of request."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM additions WHERE finished IS NULL ORDER BY id")
    return [_addition(row) for row in rows]


def _addition(row: sqlite3.Row) -> Addition:
    return Addition(row[0], row[1], row[2], row[3], bool(row[4]), row[5], row[6])


def load(db: sqlite3.Connection, addition: Addition, listed: int) -> tuple[str, Tally]:
    """The last file done ("" if none) and the tally so far."""
    row = db.execute(
        "SELECT reached, added, duplicates, skipped FROM additions WHERE id = ?", (addition.id,)
    ).fetchone()
    skips = db.execute(
        "SELECT name, reason FROM addition_skips WHERE addition_id = ? ORDER BY n", (addition.id,)
    ).fetchall()
    skipped = [AlbumSkipped(name, reason) for name, reason in skips]
    return row["reached"], Tally(listed, row["added"], row["duplicates"], row["skipped"], skipped, len(skipped))


def save(db: sqlite3.Connection, addition: Addition, reached: str, tally: Tally) -> None:
    """Records progress; `reached`: the last file done."""
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
    """Marks an addition as done. Its ZIP is no longer needed; the result of a ZIP is kept for a day."""
    if addition.kind == "folder":
        forget(db, addition)
        return
    db.execute("DELETE FROM uploads WHERE token = ?", (addition.source,))
    db.execute("UPDATE additions SET finished = ? WHERE id = ?", (now(), addition.id))


def finish_video(db: sqlite3.Connection, addition: Addition, taken: AlbumVideoTaken) -> None:
    """Marks a video as added; `taken`, the result, is kept for a day."""
    db.execute("DELETE FROM uploads WHERE token = ?", (addition.source,))
    reached = json.dumps(asdict(taken))
    db.execute("UPDATE additions SET finished = ?, reached = ? WHERE id = ?", (now(), reached, addition.id))


def finished_video(db: sqlite3.Connection, album: int, source: str) -> AlbumVideoTaken | None:
    """The result of a video added within the last day, or None."""
    row = db.execute(
        "SELECT reached FROM additions WHERE album_id = ? AND kind = 'video' AND source = ? AND finished IS NOT NULL",
        (album, source),
    ).fetchone()
    if row is None:
        return None
    taken = json.loads(row["reached"])
    return AlbumVideoTaken(taken["upload"], taken["received"], AlbumAdded(**taken["added"]))


def forget(db: sqlite3.Connection, addition: Addition) -> None:
    """Deletes the record of an addition."""
    if addition.kind != "folder":
        db.execute("DELETE FROM uploads WHERE token = ?", (addition.source,))
    db.execute("DELETE FROM additions WHERE id = ?", (addition.id,))


def finished(db: sqlite3.Connection, album: int, source: str, listed: int) -> AlbumIngested | None:
    """The result of a ZIP added within the last day, or None."""
    row = db.execute(
        "SELECT id FROM additions WHERE album_id = ? AND kind = 'zip' AND source = ? AND finished IS NOT NULL",
        (album, source),
    ).fetchone()
    return None if row is None else load(db, Addition(row["id"], album, "zip", source), listed)[1].ingested()


def forget_old(db: sqlite3.Connection) -> None:
    """Deletes records finished more than a day ago."""
    oldest = (datetime.now(UTC) - _REMEMBERED_FOR).isoformat(timespec="seconds")
    db.execute("DELETE FROM additions WHERE finished < ?", (oldest,))
