"""Albums and photos in SQL. These functions take a connection; the caller holds the transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from facewire.protocol.albums.collection import AlbumInfo
from facewire.protocol.albums.looking import (
    AlbumDay,
    AlbumDays,
    AlbumDaysListed,
    AlbumFavourite,
    AlbumFavourites,
    AlbumPhotoEntry,
    AlbumPhotos,
    AlbumPhotosListed,
)
from facewire.protocol.text import counted
from facewire.server.albums.handling import handles
from facewire.server.albums.names import album_name, wanted_number, wanted_text
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.times import when_taken
from facewire.server.errors import AlreadyExists, BadRequest, OverLimit, UnknownAlbum
from facewire.server.gallery.storage.connection import now
from facewire.server.names import did_you_mean, harmless, tidy
from facewire.server.vision.image import Header


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """A photo to add; `sha256`: of its bytes; `name`: as returned by `photo_name`; `modified`: by `file_time`."""

    name: str
    sha256: str
    size: int
    crc32: int
    header: Header
    modified: str = ""
    seconds: float | None = None  # of a video


def album_id(db: sqlite3.Connection, name: str) -> int:
    """The id of an album. Raises UnknownAlbum."""
    # Names are not validated here, so that albums older than the rules can still be opened and renamed.
    row = db.execute("SELECT id FROM albums WHERE name = ?", (tidy(name),)).fetchone()
    if row is None:
        names = (row[0] for row in db.execute("SELECT name FROM albums ORDER BY name"))
        raise UnknownAlbum(f"there is no album called {harmless(tidy(name))}{did_you_mean(name, names)}")
    return int(row[0])


def create(db: sqlite3.Connection, name: str, limits: AlbumLimits) -> int:
    """Creates an album and returns its id. Raises AlreadyExists, OverLimit."""
    name = album_name(name)
    _must_be_free(db, name)
    (albums,) = db.execute("SELECT count(*) FROM albums").fetchone()
    if albums >= limits.albums:
        raise OverLimit(f"this server keeps {counted(limits.albums, 'album')} at most: delete one first")
    cursor = db.execute("INSERT INTO albums (name, created) VALUES (?, ?)", (name, now()))
    return int(cursor.lastrowid or 0)


def rename(db: sqlite3.Connection, album: int, to: str) -> None:
    """Renames an album. Raises AlreadyExists."""
    to = album_name(to)
    row = db.execute("SELECT id FROM albums WHERE name = ?", (to,)).fetchone()
    if row is not None and row[0] != album:
        _must_be_free(db, to)
    db.execute("UPDATE albums SET name = ? WHERE id = ?", (to, album))


def delete(db: sqlite3.Connection, album: int) -> tuple[int, list[str]]:
    """Deletes an album. Returns how many photos it had, and the sha256s of originals no longer needed."""
    sha256s = [row[0] for row in db.execute("SELECT sha256 FROM photos WHERE album_id = ?", (album,))]
    db.execute("DELETE FROM albums WHERE id = ?", (album,))
    return len(sha256s), drop_unused(db, sha256s)


def drop_unused(db: sqlite3.Connection, sha256s: list[str]) -> list[str]:
    """Deletes the records of those originals that no photo uses any more, and returns them."""
    unused = [
        sha256
        for sha256 in sha256s
        if db.execute("SELECT 1 FROM photos WHERE sha256 = ?", (sha256,)).fetchone() is None
    ]
    db.executemany("DELETE FROM blobs WHERE sha256 = ?", [(sha256,) for sha256 in unused])
    return unused


def add_photo(db: sqlite3.Connection, album: int, photo: NewPhoto, limits: AlbumLimits) -> tuple[int, bool]:
    """Returns the photo's id, and whether the album had it already, perhaps under another name. Raises OverLimit."""
    row = db.execute("SELECT id, name FROM photos WHERE album_id = ? AND sha256 = ?", (album, photo.sha256)).fetchone()
    if row is not None:
        if row["name"] != photo.name:
            db.execute("INSERT OR IGNORE INTO photo_names VALUES (?, ?)", (row["id"], photo.name))
        return int(row["id"]), True
    check_quota(db, album, photo.size, limits)
    header = photo.header
    db.execute(
        "INSERT OR IGNORE INTO blobs (sha256, size, crc32, format, width, height, created, orientation) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (photo.sha256, photo.size, photo.crc32, header.format, header.width, header.height, now(), header.recorded),
    )
    if photo.seconds is not None:
        db.execute("INSERT OR IGNORE INTO videos VALUES (?, ?)", (photo.sha256, photo.seconds))
    taken = when_taken(header.taken, photo.name, photo.modified)
    cursor = db.execute(
        "INSERT INTO photos (album_id, sha256, name, added, taken, taken_from) VALUES (?, ?, ?, ?, ?, ?)",
        (album, photo.sha256, photo.name, now(), taken.at, taken.source or ""),
    )
    return int(cursor.lastrowid or 0), False


def without_faces(db: sqlite3.Connection, album: int, name: str, largest: int) -> list[tuple[int, str]]:
    """Id and sha256 of the album's photos of that name, at most `largest` bytes, that are waiting or unreadable."""
    rows = db.execute(
        "SELECT p.id, p.sha256 FROM photos p JOIN blobs b USING (sha256) WHERE p.album_id = ? AND p.name = ? "
        "AND p.state IN ('waiting', 'unreadable') AND b.size <= ?",
        (album, name, largest),
    )
    return [(row[0], row[1]) for row in rows]


def drop_photo(db: sqlite3.Connection, number: int) -> list[str]:
    """Removes a photo without faces if it still exists. Returns the originals no longer needed."""
    row = db.execute(
        "DELETE FROM photos WHERE id = ? AND state IN ('waiting', 'unreadable') RETURNING album_id, sha256", (number,)
    ).fetchone()
    if row is None:
        return []
    db.execute("DELETE FROM exports WHERE album_id = ?", (row["album_id"],))  # they may contain the removed photo
    return drop_unused(db, [row["sha256"]])


def check_quota(db: sqlite3.Connection, album: int, size: int, limits: AlbumLimits) -> None:
    """Raises OverLimit if the album, which must exist, can't take one more photo of `size` bytes."""
    (photos, stored) = db.execute("SELECT photos, size FROM albums WHERE id = ?", (album,)).fetchone()
    if photos >= limits.photos:
        raise OverLimit(f"an album holds {counted(limits.photos, 'photo')} at most")
    if stored + size > limits.album_bytes:
        raise OverLimit(f"an album holds {limits.album_bytes} bytes at most; this one has {stored}")


def has_blob(db: sqlite3.Connection, sha256: str) -> bool:
    """Does any album have this original?"""
    return db.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (sha256,)).fetchone() is not None


def must_exist(db: sqlite3.Connection, album: int) -> None:
    """Raises UnknownAlbum if the album was deleted meanwhile."""
    if db.execute("SELECT 1 FROM albums WHERE id = ?", (album,)).fetchone() is None:
        raise UnknownAlbum("the album has been deleted")


def info(db: sqlite3.Connection, album: int, *, processing: bool) -> AlbumInfo:
    """The answer to `album.status`."""
    head = db.execute("SELECT name, created, size FROM albums WHERE id = ?", (album,)).fetchone()
    if head is None:
        raise UnknownAlbum("the album has been deleted")
    count: dict[str, int] = dict(
        db.execute("SELECT state, count(*) FROM photos WHERE album_id = ? GROUP BY state", (album,)).fetchall()
    )
    (faces,) = db.execute(
        "SELECT count(*) FROM faces f JOIN photos p ON p.id = f.photo_id WHERE p.album_id = ?", (album,)
    ).fetchone()
    people = db.execute(
        "SELECT count(*) FILTER (WHERE NOT hidden) AS shown, count(*) FILTER (WHERE hidden) AS hidden, "
        "count(*) FILTER (WHERE NOT hidden AND name IS NOT NULL) AS named, "
        "count(*) FILTER (WHERE NOT hidden AND stranger) AS strangers FROM people WHERE album_id = ?",
        (album,),
    ).fetchone()
    undo = db.execute(
        "SELECT id, done FROM events WHERE album_id = ? AND NOT undone ORDER BY id DESC LIMIT 1", (album,)
    ).fetchone()
    settled = db.execute("SELECT settled FROM jobs WHERE album_id = ?", (album,)).fetchone()
    looked_at = sum(count.values()) - count.get("waiting", 0)
    adding = "SELECT 1 FROM additions WHERE album_id = ? AND finished IS NULL"
    return AlbumInfo(
        album=head["name"],
        created=head["created"],
        photos=sum(count.values()),
        size_bytes=head["size"],
        waiting=count.get("waiting", 0),
        with_faces=count.get("faces", 0),
        without_faces=count.get("no_faces", 0),
        unreadable=count.get("unreadable", 0),
        faces=faces,
        people=people["shown"],
        named=people["named"],
        hidden=people["hidden"],
        processing=processing,
        undo=None if undo is None else undo["done"],
        adding=db.execute(adding, (album,)).fetchone() is not None,
        undo_event=None if undo is None else undo["id"],
        processed=0 if settled is None else max(0, looked_at - settled[0]),  # photos may have been removed meanwhile
        strangers=people["strangers"],
        favourites=_favourites(db, album),
    )


PHOTO_COLUMNS = (
    "p.id, p.name, p.sha256, p.state, p.reason, p.taken, p.taken_from, p.favourite, b.size, b.width, b.height, "
    "(SELECT count(*) FROM faces f WHERE f.photo_id = p.id) AS faces, "
    "(SELECT v.seconds FROM videos v WHERE v.sha256 = p.sha256) AS seconds"
)


def photo_entry(row: sqlite3.Row) -> AlbumPhotoEntry:
    """Converts a row of PHOTO_COLUMNS."""
    return AlbumPhotoEntry(
        photo=row["id"],
        name=row["name"],
        size_bytes=row["size"],
        width=row["width"],
        height=row["height"],
        state=row["state"],
        reason=row["reason"],
        faces=row["faces"],
        sha256=row["sha256"],
        taken=row["taken"],
        taken_from=row["taken_from"] or None,
        seconds=row["seconds"],
        favourite=bool(row["favourite"]),
    )


DAY = "substr(p.taken, 1, 10)"
_ORDER = {
    "name": "p.name, p.id",
    "taken": "p.taken IS NULL, substr(p.taken, 1, 19), p.name, p.id",
    "days": f"p.taken IS NULL, {DAY} DESC, substr(p.taken, 1, 19), p.name, p.id",
}


def within_days(since: str, until: str) -> str:
    """SQL, to be appended to a condition: photos of these days, :since and :until included; either may be empty."""
    return (f" AND {DAY} >= :since" if since else "") + (f" AND {DAY} <= :until" if until else "")


def photos_of_days(db: sqlite3.Connection, album: int, since: str, until: str) -> set[int]:
    """The ids of the photos taken on these days or between them; either may be empty."""
    values = {"album": album, "since": since, "until": until}
    rows = db.execute(f"SELECT id FROM photos p WHERE p.album_id = :album{within_days(since, until)}", values)
    return {row[0] for row in rows}


@handles(AlbumDays)
def days(db: sqlite3.Connection, album: int, message: AlbumDays) -> AlbumDaysListed:
    """A page of days with photos, newest first, those of an unknown day last; and the total number of days."""
    where, values = _chosen(album, message)
    (total,) = db.execute(
        f"SELECT count(*) FROM (SELECT 1 FROM photos p WHERE {where} GROUP BY {DAY})", values
    ).fetchone()
    rows = db.execute(
        f"SELECT {DAY} AS day, count(*) AS photos, p.id, min(substr(p.taken, 1, 19)) FROM photos p WHERE {where} "
        f"GROUP BY {DAY} ORDER BY day IS NULL, day DESC LIMIT :limit OFFSET :offset",
        values,
    )
    return AlbumDaysListed(tuple(AlbumDay(row["day"], row["photos"], row["id"]) for row in rows), total)


_WANTED = (
    "p.id = :number OR contains(p.name, :wanted) "
    "OR EXISTS (SELECT 1 FROM photo_names n WHERE n.photo_id = p.id AND contains(n.name, :wanted)) "
    "OR p.id IN (SELECT f.photo_id FROM people n JOIN faces f ON f.person_id = n.id "
    "WHERE n.album_id = :album AND NOT n.hidden AND contains(n.name, :wanted))"
)


@handles(AlbumPhotos)
def photos(db: sqlite3.Connection, album: int, message: AlbumPhotos) -> AlbumPhotosListed:
    """A page of photos, and the total number."""
    where, values = _chosen(album, message)
    (total,) = db.execute(f"SELECT count(*) FROM photos p WHERE {where}", values).fetchone()
    rows = db.execute(
        f"SELECT {PHOTO_COLUMNS} FROM photos p JOIN blobs b USING (sha256) WHERE {where} "
        f"ORDER BY {_ORDER[message.order]} LIMIT :limit OFFSET :offset",
        values,
    )
    return AlbumPhotosListed(tuple(photo_entry(row) for row in rows), total)


def _chosen(album: int, message: AlbumPhotos | AlbumDays) -> tuple[str, dict[str, object]]:
    """SQL's condition for the photos that are asked for, and its values."""
    where = "p.album_id = :album"
    values: dict[str, object] = {
        "album": album,
        "person": message.person,
        "wanted": wanted_text(message.contains),
        "number": wanted_number(message.contains),
        "since": message.since,
        "until": message.until,
        "limit": message.limit,
        "offset": message.offset,
    }
    if message.show != "all":
        where += f" AND p.state = '{message.show}'"  # one of five values that the protocol allows
    if message.person is not None:
        where += " AND p.id IN (SELECT photo_id FROM faces WHERE person_id = :person)"
    if values["wanted"]:
        where += f" AND ({_WANTED})"
    if message.favourites:
        where += " AND p.favourite"
    return where + within_days(message.since, message.until), values


@handles(AlbumFavourite, writing=True)
def favourite(db: sqlite3.Connection, album: int, message: AlbumFavourite) -> AlbumFavourites:
    """Mark photos, or take the mark away. Raises BadRequest."""
    rows = [photo(db, album, number) for number in dict.fromkeys(message.photos)]
    db.executemany("UPDATE photos SET favourite = ? WHERE id = ?", [(message.favourite, row["id"]) for row in rows])
    return AlbumFavourites(_favourites(db, album))


def _favourites(db: sqlite3.Connection, album: int) -> int:
    (count,) = db.execute("SELECT count(*) FROM photos WHERE album_id = ? AND favourite", (album,)).fetchone()
    return int(count)


def photo(db: sqlite3.Connection, album: int, number: int) -> sqlite3.Row:
    """A photo with its blob's columns, such as `format`. Raises BadRequest."""
    row: sqlite3.Row | None = db.execute(
        f"SELECT {PHOTO_COLUMNS}, b.format FROM photos p JOIN blobs b USING (sha256) WHERE p.album_id = ? AND p.id = ?",
        (album, number),
    ).fetchone()
    if row is None:
        raise BadRequest(f"the album has no photo {number}")
    return row


def remove_photos(db: sqlite3.Connection, album: int, numbers: tuple[int, ...]) -> tuple[int, int, list[str]]:
    """Removes photos. Returns the numbers of photos and faces removed, and the originals no longer needed."""
    rows = [photo(db, album, number) for number in dict.fromkeys(numbers)]
    db.executemany("DELETE FROM photos WHERE id = ?", [(row["id"],) for row in rows])
    db.execute("DELETE FROM exports WHERE album_id = ?", (album,))  # they may contain the removed photos
    db.execute(
        "DELETE FROM people WHERE album_id = ? AND NOT EXISTS (SELECT 1 FROM faces WHERE person_id = people.id)",
        (album,),
    )
    return len(rows), sum(row["faces"] for row in rows), drop_unused(db, [row["sha256"] for row in rows])


def _must_be_free(db: sqlite3.Connection, name: str) -> None:
    if db.execute("SELECT 1 FROM albums WHERE name = ?", (name,)).fetchone() is not None:
        raise AlreadyExists(f"an album called {name} already exists")
