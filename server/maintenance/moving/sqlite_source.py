"""Reads a whole gallery from a database file, as of one instant, while others may be writing to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from facewire.server.gallery.records import Counts, Person
from facewire.server.gallery.storage.schema import CURRENT_SPEC_ID
from facewire.server.gallery.storage.store import LITTLE_ENDIAN, Store
from facewire.server.maintenance.moving.whole import PersonWas, Picture, Template, TemplateWas, Told, Was
from facewire.server.spec import EmbeddingSpec

_CHUNK_ROWS = 1000
"""Rows held at once: 4 MB with their crops."""

_UNDOABLE = "SELECT id FROM events WHERE undoable AND undone_by IS NULL"

_PICTURE = ("sha256", "size", "path", "source", "mtime_ns", "width", "height", "created", "fingerprint")
_TEMPLATE = ("id", "person_id", "image_id", "spec_id", "x", "y", "w", "h", "landmarks", "detection", "embedding")
_COLUMNS = {"people": ("name", "created"), "images": _PICTURE, "templates": _TEMPLATE, "crops": ("jpeg",)}

# Events that were undone changed nothing together with those that undid them, and what an older one changed can't be
# undone: so before an undoable event, a row was what the next undoable one that changed it found.
_JOURNAL = (
    "CREATE TEMP TABLE first_change AS SELECT tbl, row_id, event_id, min(id) AS change_id, kind FROM main.changes"
    f" WHERE event_id IN ({_UNDOABLE}) GROUP BY tbl, row_id, event_id",
    "CREATE INDEX temp.first_change_by_row ON first_change (tbl, row_id, event_id)",
    "CREATE INDEX temp.first_change_by_event ON first_change (event_id, tbl, row_id)",
    # Which templates a picture had at any time, beside those it has now.
    "CREATE TEMP TABLE had (image_id INTEGER, template_id INTEGER, PRIMARY KEY (image_id, template_id)) WITHOUT ROWID",
    "INSERT OR IGNORE INTO had SELECT o.image_id, o.id FROM first_change c"
    " JOIN main.old_templates o ON o.change_id = c.change_id WHERE c.tbl = 'templates' AND c.kind <> 'insert'",
    "CREATE INDEX temp.had_by_template ON had (template_id)",
)
_TOUCHED_PICTURES = (
    "SELECT row_id FROM first_change WHERE event_id = ? AND tbl = 'images' AND kind <> 'insert'"
    " UNION SELECT had.image_id FROM first_change c JOIN had ON had.template_id = c.row_id"
    " WHERE c.event_id = ? AND c.tbl = 'templates' AND c.kind <> 'insert'"
    " UNION SELECT t.image_id FROM first_change c JOIN main.templates t ON t.id = c.row_id"
    " WHERE c.event_id = ? AND c.tbl = 'templates' AND c.kind <> 'insert'"
)
"""Pictures that lost, gained or kept templates, of those that an event didn't bring."""


class SqliteSource:
    """See `Source`. Raises StartError if there is no gallery at `path`."""

    def __init__(self, path: Path) -> None:
        self._open = ExitStack()
        try:
            self._store = Store.open(path)
            self._open.callback(self._store.close)
            self._open.enter_context(self._store.reading())
            self._spec_id = self._store.execute(f"SELECT {CURRENT_SPEC_ID}").fetchone()[0]
            for statement in _JOURNAL:
                self._store.execute(statement)
        except BaseException:
            self._open.close()
            raise

    @property
    def spec(self) -> EmbeddingSpec:
        return self._store.spec

    def counts(self) -> Counts:
        return self._store.counts()

    def people(self) -> Iterator[Person]:
        return self._store.people()

    def templates(self) -> Iterator[Template]:
        query = (
            f"SELECT {', '.join(f't.{name}' for name in _TEMPLATE)}, c.jpeg,"
            f" {', '.join(f'i.{name}' for name in _PICTURE)}, t.id = (SELECT min(o.id) FROM templates o"
            " INDEXED BY templates_by_image WHERE o.image_id = t.image_id AND o.spec_id = t.spec_id)"
            " FROM templates t NOT INDEXED JOIN images i ON i.id = t.image_id LEFT JOIN crops c ON c.id = t.id"
            " WHERE t.spec_id = ? ORDER BY t.id"
        )
        cursor = self._store.execute(query, (self._spec_id,))
        width = len(_TEMPLATE)
        while rows := cursor.fetchmany(_CHUNK_ROWS):
            for row in rows:
                yield _template(row[:width], row[width + 1 : -1], row[width], leads=bool(row[-1]))

    def events(self) -> Iterator[Told]:
        query = "SELECT id, at, op, detail, undone_by, undoable, token, address FROM events ORDER BY id"
        people = "SELECT role, person_id, name FROM event_people WHERE event_id = ? ORDER BY position"
        for number, at, op, detail, undone_by, undoable, token, address in self._store.execute(query):
            named = self._store.execute(people, (number,)).fetchall()
            subjects = tuple((person, name) for role, person, name in named if role == "subject")
            target = next(((person, name) for role, person, name in named if role == "target"), None)
            can_be = bool(undoable) and undone_by is None
            yield Told(number, at, op, subjects, target, json.loads(detail), undone_by, can_be, token, address)

    def before(self, event: int) -> Iterator[Was]:
        for (number,) in self._touched(event, "people", "true"):
            row = self._was("people", number, event)
            yield PersonWas(number, None if row is None else Person(number, *row))
        for (image_id,) in self._store.execute(_TOUCHED_PICTURES, (event,) * 3):
            yield from self._picture_before(image_id, event)
        for (number,) in self._touched(event, "templates", "kind = 'insert'"):
            yield TemplateWas(number, None)

    def _touched(self, event: int, table: str, condition: str) -> Iterator[Sequence[Any]]:
        query = f"SELECT row_id FROM first_change WHERE event_id = ? AND tbl = ? AND {condition} ORDER BY row_id"
        return self._store.execute(query, (event, table))

    def _picture_before(self, image_id: int, event: int) -> Iterator[TemplateWas]:
        """All that a picture had before the event: who leads depends on the others."""
        members = (
            "SELECT id FROM templates WHERE image_id = ? UNION SELECT template_id FROM had WHERE image_id = ?"
            " ORDER BY 1"
        )
        rows = [self._was("templates", one, event) for (one,) in self._store.execute(members, (image_id,) * 2)]
        mine = [row for row in rows if row is not None and tuple(row[2:4]) == (image_id, self._spec_id)]
        picture = self._was("images", image_id, event)
        if picture is None:
            return
        for at, row in enumerate(mine):
            crop = self._was("crops", row[0], event)
            template = _template(row, picture, crop[0] if crop else None, leads=at == 0)
            yield TemplateWas(template.number, template)

    def _was(self, table: str, row_id: int, event: int) -> Sequence[Any] | None:
        """A row as it was before an event."""
        query = "SELECT change_id, kind FROM first_change WHERE tbl = ? AND row_id = ? AND event_id >= ?"
        change = self._store.execute(f"{query} ORDER BY event_id LIMIT 1", (table, row_id, event)).fetchone()
        columns = ", ".join(_COLUMNS[table])
        if change is None:
            now: Sequence[Any] | None = self._store.execute(
                f"SELECT {columns} FROM {table} WHERE id = ?", (row_id,)
            ).fetchone()
            return now
        if change[1] == "insert":
            return None
        old: Sequence[Any] | None = self._store.execute(
            f"SELECT {columns} FROM old_{table} WHERE change_id = ?", (change[0],)
        ).fetchone()
        return old

    def close(self) -> None:
        self._open.close()


def _template(row: Sequence[Any], picture: Sequence[Any], crop: bytes | None, *, leads: bool) -> Template:
    """From _TEMPLATE and _PICTURE."""
    number, person, _, _, x, y, w, h, landmarks, detection, embedding = row
    points = tuple((float(left), float(top)) for left, top in json.loads(landmarks))
    return Template(
        number, person, leads, Picture(*picture), (x, y, w, h), points, detection,
        np.frombuffer(embedding, LITTLE_ENDIAN), crop,
    )  # fmt: skip
