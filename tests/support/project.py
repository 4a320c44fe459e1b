"""create_db with real files and a real database, and painted faces instead of networks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery as Gallery
from facewire.server.maintenance.create_db import main
from tests.support.synthetic_engine import SyntheticEngine, embedding_of


class Project:
    """A folder of people and the database built from it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "faces"
        self.db = root / "out" / "people.db"
        self.log = self.db.with_name("people.db.skipped.txt")
        self.engine = SyntheticEngine()
        self.folder.mkdir()

    def put(self, path: str, data: bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def build(
        self, *extra: str, before_embedding: Callable[[int], object] | None = None, model: str = "Synthetic"
    ) -> int:
        self.engine = SyntheticEngine(model=model, before_embedding=before_embedding)
        arguments = [str(self.folder), "--db", str(self.db), "--jobs", "2", *extra]
        return main(arguments, open_engine=lambda choice: self.engine)

    def who(self, number: int) -> str:
        """The name under which the face of this colour is identified."""
        with Gallery.open(self.db) as gallery:
            (match,) = gallery.search(embedding_of(number), 1)
            return match.name if match.similarity > 0.99 else "nobody"

    def counts(self) -> Counts:
        with Gallery.open(self.db) as gallery:
            return gallery.counts()

    def names(self) -> list[str]:
        with Gallery.open(self.db) as gallery:
            return [record.name for record in gallery.people()[0]]

    def skipped(self) -> dict[str, str]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return dict(line.split("\t") for line in lines)


def content(db: Path) -> list[tuple[object, ...]]:
    """The relevant contents of a database; asserts that SQLite's integrity check passes."""
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        query = (
            "SELECT t.id, i.id, p.id, p.name, i.path, i.sha256, i.size, i.mtime_ns, t.x, t.y, t.w, t.h, t.landmarks,"
            " t.embedding FROM templates t JOIN images i ON i.id = t.image_id JOIN people p ON p.id = t.person_id"
            " ORDER BY t.id"
        )
        return connection.execute(query).fetchall()
