"""The tables of albums.db and their migrations, as in server/gallery/storage/schema.py.

A migration, once released, never changes: append another.
"""

from __future__ import annotations

import sqlite3

from facewire.server.gallery.storage.schema import Migration

APPLICATION_ID = int.from_bytes(b"FWAL", "big")

_FIRST_TABLES = (
    "CREATE TABLE specs (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, json TEXT NOT NULL)",
    # photos, size: maintained by the triggers below, so that checking a quota needs no sum over the album.
    "CREATE TABLE albums (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created TEXT NOT NULL, "
    "photos INTEGER NOT NULL DEFAULT 0, size INTEGER NOT NULL DEFAULT 0)",
    # Originals, shared by all albums. width, height: upright. crc32: for the headers of ZIPs.
    """CREATE TABLE blobs (
        sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, crc32 INTEGER NOT NULL, format TEXT NOT NULL,
        width INTEGER NOT NULL, height INTEGER NOT NULL, created TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE photos (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        album_id INTEGER NOT NULL REFERENCES albums(id) ON DELETE CASCADE,
        sha256 TEXT NOT NULL REFERENCES blobs(sha256),
        name TEXT NOT NULL, added TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting', reason TEXT,
        UNIQUE (album_id, sha256))""",
    "CREATE INDEX photos_by_name ON photos (album_id, name, id)",
    "CREATE INDEX photos_by_state ON photos (album_id, state)",
    "CREATE INDEX photos_by_sha256 ON photos (sha256)",
    """CREATE TRIGGER photo_added AFTER INSERT ON photos BEGIN
        UPDATE albums SET photos = photos + 1, size = size + (SELECT size FROM blobs WHERE sha256 = new.sha256)
        WHERE id = new.album_id; END""",
    """CREATE TRIGGER photo_removed AFTER DELETE ON photos BEGIN
        UPDATE albums SET photos = photos - 1, size = size - (SELECT size FROM blobs WHERE sha256 = old.sha256)
        WHERE id = old.album_id; END""",
    # Other names under which the same bytes were added.
    "CREATE TABLE photo_names (photo_id INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE, name TEXT NOT NULL, "
    "PRIMARY KEY (photo_id, name)) WITHOUT ROWID",
    # A picture is analysed once per spec, whatever albums it is in. embedding: float32, little endian.
    "CREATE TABLE looked (sha256 TEXT NOT NULL REFERENCES blobs(sha256) ON DELETE CASCADE, "
    "spec_id INTEGER NOT NULL REFERENCES specs(id), PRIMARY KEY (sha256, spec_id)) WITHOUT ROWID",
    """CREATE TABLE detections (
        id INTEGER PRIMARY KEY,
        sha256 TEXT NOT NULL REFERENCES blobs(sha256) ON DELETE CASCADE,
        spec_id INTEGER NOT NULL REFERENCES specs(id),
        x REAL NOT NULL, y REAL NOT NULL, w REAL NOT NULL, h REAL NOT NULL,
        landmarks TEXT NOT NULL, detection REAL NOT NULL, embedding BLOB NOT NULL)""",
    "CREATE INDEX detections_by_sha256 ON detections (sha256, spec_id)",
    # AUTOINCREMENT here and above: clients, constraints and the history refer to these ids.
    """CREATE TABLE people (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        album_id INTEGER NOT NULL REFERENCES albums(id) ON DELETE CASCADE,
        name TEXT, hidden INTEGER NOT NULL DEFAULT 0, UNIQUE (album_id, name))""",
    # quality: determines the best face. placed: assigned to its person by a user.
    """CREATE TABLE faces (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        photo_id INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE,
        detection_id INTEGER NOT NULL REFERENCES detections(id),
        person_id INTEGER REFERENCES people(id) ON DELETE SET NULL,
        placed INTEGER NOT NULL DEFAULT 0, quality REAL NOT NULL)""",
    "CREATE INDEX faces_by_photo ON faces (photo_id)",
    "CREATE INDEX faces_by_person ON faces (person_id, quality)",
    "CREATE INDEX faces_by_detection ON faces (detection_id)",
    # Two faces that, according to a user, are different people; one < other.
    "CREATE TABLE apart (one INTEGER NOT NULL REFERENCES faces(id) ON DELETE CASCADE, "
    "other INTEGER NOT NULL REFERENCES faces(id) ON DELETE CASCADE, PRIMARY KEY (one, other)) WITHOUT ROWID",
    "CREATE INDEX apart_by_other ON apart (other)",
    """CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        album_id INTEGER NOT NULL REFERENCES albums(id) ON DELETE CASCADE,
        at TEXT NOT NULL, done TEXT NOT NULL, before TEXT NOT NULL, undone INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX events_by_album ON events (album_id, id)",
    # Albums to be processed; survives a restart.
    "CREATE TABLE jobs (album_id INTEGER PRIMARY KEY REFERENCES albums(id) ON DELETE CASCADE)",
    "CREATE TABLE uploads (token TEXT PRIMARY KEY, "
    "album_id INTEGER NOT NULL REFERENCES albums(id) ON DELETE CASCADE, created TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE exports (
        id INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE,
        album_id INTEGER NOT NULL REFERENCES albums(id) ON DELETE CASCADE,
        name TEXT NOT NULL, created TEXT NOT NULL,
        files INTEGER NOT NULL, directory_at INTEGER NOT NULL, directory_size INTEGER NOT NULL)""",
    # A file of the ZIP: an original by sha256, or bytes of the export's own file from own_at on.
    # at, central_at: offsets of its two headers; both increase with n.
    """CREATE TABLE export_files (
        export_id INTEGER NOT NULL REFERENCES exports(id) ON DELETE CASCADE, n INTEGER NOT NULL,
        path TEXT NOT NULL, sha256 TEXT, own_at INTEGER, size INTEGER NOT NULL, crc32 INTEGER NOT NULL,
        stamp TEXT NOT NULL, at INTEGER NOT NULL, central_at INTEGER NOT NULL,
        PRIMARY KEY (export_id, n)) WITHOUT ROWID""",
)

_ADDITIONS = (
    # ZIPs and folders being added; survives a restart. source: an upload's token, or a folder below the import root.
    # reached: the last file done, by position in a ZIP, by name in a folder. finished: a ZIP is remembered for a
    # while, so that a client that lost the answer can ask again.
    """CREATE TABLE additions (
        id INTEGER PRIMARY KEY,
        album_id INTEGER NOT NULL REFERENCES albums(id) ON DELETE CASCADE,
        kind TEXT NOT NULL, source TEXT NOT NULL, reached TEXT NOT NULL DEFAULT '',
        added INTEGER NOT NULL DEFAULT 0, duplicates INTEGER NOT NULL DEFAULT 0, skipped INTEGER NOT NULL DEFAULT 0,
        finished TEXT, UNIQUE (album_id, kind, source))""",
    """CREATE TABLE addition_skips (
        addition_id INTEGER NOT NULL REFERENCES additions(id) ON DELETE CASCADE, n INTEGER NOT NULL,
        name TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (addition_id, n)) WITHOUT ROWID""",
)


def _create_tables(connection: sqlite3.Connection) -> None:
    for statement in _FIRST_TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _remember_additions(connection: sqlite3.Connection) -> None:
    for statement in _ADDITIONS:
        connection.execute(statement)


def _add_callers(connection: sqlite3.Connection) -> None:
    # By which token, and from where; empty for events of before. undone_: the same of who undid it.
    for column in ("token", "address", "undone_token", "undone_address"):
        connection.execute(f"ALTER TABLE events ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")


def _add_orientation(connection: sqlite3.Connection) -> None:
    # `Header.recorded`; NULL in blobs of before, until somebody needs it.
    connection.execute("ALTER TABLE blobs ADD COLUMN orientation INTEGER")


def _add_videos(connection: sqlite3.Connection) -> None:
    # Originals that are videos, and their length; faces found in one: at which second of it, and from when to when that
    # person is seen (JSON). Tables of their own, as few originals are videos.
    connection.execute(
        "CREATE TABLE videos (sha256 TEXT PRIMARY KEY REFERENCES blobs(sha256) ON DELETE CASCADE, "
        "seconds REAL NOT NULL) WITHOUT ROWID"
    )
    connection.execute(
        "CREATE TABLE video_faces (detection_id INTEGER PRIMARY KEY REFERENCES detections(id) ON DELETE CASCADE, "
        "at REAL NOT NULL, seen TEXT NOT NULL)"
    )


def _add_times(connection: sqlite3.Connection) -> None:
    # `Taken`; taken_from is NULL in photos of before until their files were looked at, and '' where nobody knows.
    connection.execute("ALTER TABLE photos ADD COLUMN taken TEXT")
    connection.execute("ALTER TABLE photos ADD COLUMN taken_from TEXT")
    connection.execute("CREATE INDEX photos_by_time ON photos (album_id, taken)")


def _add_drawn_faces(connection: sqlite3.Connection) -> None:
    # Detections that users drew, each in one photo only; others are shared by all photos of the same bytes. An empty
    # embedding: no face can be made out there. Their detections go with the photo, those that undo may need too.
    connection.execute(
        "CREATE TABLE drawn (detection_id INTEGER PRIMARY KEY REFERENCES detections(id) ON DELETE CASCADE, "
        "photo_id INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE)"
    )
    connection.execute("CREATE INDEX drawn_by_photo ON drawn (photo_id)")
    connection.execute(
        "CREATE TRIGGER drawn_removed AFTER DELETE ON drawn BEGIN "
        "DELETE FROM detections WHERE id = old.detection_id; END"
    )


def _add_regions(connection: sqlite3.Connection) -> None:
    # Names from photos' metadata, until the faces have been found; in pixels of the photo as shown. metadata: does an
    # addition take them?
    connection.execute(
        "CREATE TABLE regions (photo_id INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE, n INTEGER NOT NULL, "
        "name TEXT NOT NULL, x REAL NOT NULL, y REAL NOT NULL, w REAL NOT NULL, h REAL NOT NULL, "
        "PRIMARY KEY (photo_id, n)) WITHOUT ROWID"
    )
    connection.execute("ALTER TABLE additions ADD COLUMN metadata INTEGER NOT NULL DEFAULT 0")


def _add_copies(connection: sqlite3.Connection) -> None:
    # A file that is partly ours: the first own_size bytes from own_at on, then the original without as many as skipped.
    connection.execute("ALTER TABLE export_files ADD COLUMN own_size INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE export_files ADD COLUMN skipped INTEGER NOT NULL DEFAULT 0")


def _remember_progress(connection: sqlite3.Connection) -> None:
    # How many photos of the album were not waiting when it was asked to be processed.
    connection.execute("ALTER TABLE jobs ADD COLUMN settled INTEGER NOT NULL DEFAULT 0")


def _add_provisional(connection: sqlite3.Connection) -> None:
    # Of a face: its person was found while more photos were to come. Of a job: it ends with people settled.
    connection.execute("ALTER TABLE faces ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0")
    connection.execute("ALTER TABLE jobs ADD COLUMN settles INTEGER NOT NULL DEFAULT 1")


def _add_sharpness(connection: sqlite3.Connection) -> None:
    # Of a face, as `FaceQuality`; NULL in faces of before, and of videos.
    connection.execute("ALTER TABLE detections ADD COLUMN sharpness REAL")


def _add_strangers(connection: sqlite3.Connection) -> None:
    # People whom nobody knows, according to a user.
    connection.execute("ALTER TABLE people ADD COLUMN stranger INTEGER NOT NULL DEFAULT 0")


def _add_favourites(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE photos ADD COLUMN favourite INTEGER NOT NULL DEFAULT 0")
    connection.execute("CREATE INDEX favourites ON photos (album_id) WHERE favourite")


def _add_video_uploads(connection: sqlite3.Connection) -> None:
    # What is uploaded, "zip" or "video". Of an addition that is a video, what `Ingest.add` takes; its result, as JSON,
    # is in `reached`.
    connection.execute("ALTER TABLE uploads ADD COLUMN kind TEXT NOT NULL DEFAULT 'zip'")
    for column in ("name", "modified"):
        connection.execute(f"ALTER TABLE additions ADD COLUMN {column} TEXT NOT NULL DEFAULT ''")


MIGRATIONS: tuple[Migration, ...] = (
    _create_tables,
    _remember_additions,
    _add_callers,
    _add_orientation,
    _add_videos,
    _add_times,
    _add_drawn_faces,
    _add_regions,
    _add_copies,
    _remember_progress,
    _add_provisional,
    _add_sharpness,
    _add_strangers,
    _add_favourites,
    _add_video_uploads,
)
