"""Writes a whole gallery into a new database file.

What can be undone is written by the journal's own triggers: the gallery is first written as it was before the oldest
change that can be undone, then each change is made again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from facewire.server.durable import put_in_place
from facewire.server.errors import StartError
from facewire.server.gallery.records import Person
from facewire.server.gallery.storage import schema
from facewire.server.gallery.storage.connection import clear_place, discard_companions
from facewire.server.gallery.storage.store import LITTLE_ENDIAN, Store
from facewire.server.maintenance.moving.whole import PersonWas, Picture, Template, Told, Was
from facewire.server.spec import EmbeddingSpec

SUFFIX = "-moving"

_CHUNK_ROWS = 1000

_PICTURE = ("sha256", "size", "path", "source", "mtime_ns", "width", "height", "created", "fingerprint")
_FACE = ("x", "y", "w", "h", "landmarks", "detection", "embedding")
_WHOLE = ("person_id", *_PICTURE, *_FACE)
_NAMED = ("name", "created")

# present: 0 where the row was not there. Of what is touched by changes that can be undone, the state before each, and
# the last one, as of event END.
_ROOM = (
    f"CREATE TEMP TABLE people_were (number INTEGER, event INTEGER, present INTEGER, {', '.join(_NAMED)},"
    " PRIMARY KEY (number, event)) WITHOUT ROWID",
    "CREATE INDEX temp.people_were_by_event ON people_were (event)",
    f"CREATE TEMP TABLE templates_were (number INTEGER, event INTEGER, present INTEGER, {', '.join(_WHOLE)})",
    "CREATE UNIQUE INDEX temp.templates_were_by_number ON templates_were (number, event)",
    "CREATE INDEX temp.templates_were_by_event ON templates_were (event)",
    "CREATE TEMP TABLE crops_were (number INTEGER PRIMARY KEY, jpeg)",
)
END = (1 << 62) + 1


class SqliteTarget:
    """See `Target`. Until `finish`, the gallery lies beside `path`, where the next run removes it."""

    def __init__(self, path: Path, spec: EmbeddingSpec) -> None:
        """Raises StartError if the file can't be made."""
        self._path = path
        self._room = path.with_name(path.name + SUFFIX)
        self._discard()
        self._store = Store.create(self._room, spec)
        # Nobody else has the file, and it is thrown away unless it is complete.
        for setting in ("journal_mode = DELETE", "synchronous = OFF", "foreign_keys = OFF", "temp_store = FILE"):
            self._store.execute(f"PRAGMA {setting}").fetchall()
        (self._spec_id,) = self._store.execute(f"SELECT {schema.CURRENT_SPEC_ID}").fetchone()
        for statement in _ROOM:
            self._store.execute(statement)
        self._store.execute("BEGIN")
        self._store.pause_journal()

    # ------------------------------------------------------------------------------------------ taking it in

    def tell(self, event: Told) -> None:
        """Add an event."""
        self._insert(
            "INSERT INTO events (id, at, op, detail, undone_by, undoable, token, address) VALUES",
            (
                *(event.number, event.at, event.op, json.dumps(dict(event.detail)), event.undone_by),
                *(int(event.undoable), event.token, event.address),
            ),
        )
        people = [("subject", *one) for one in event.subjects] + ([("target", *event.target)] if event.target else [])
        for position, (role, number, name) in enumerate(people):
            self._insert(
                "INSERT INTO event_people (event_id, position, role, person_id, name) VALUES",
                (event.number, position, role, number, name),
            )

    def keep(self, event: int, was: Iterator[Was]) -> None:
        """Add what the event changed."""
        for one in was:
            if isinstance(one, PersonWas):
                self._person_was(one.number, event, one.person)
            else:
                self._template_was(one.number, event, one.template)

    def add_people(self, people: Iterator[Person]) -> None:
        """Add everybody."""
        for person in people:
            if self._first("people_were", person.id) is None:
                self._write_person(person.id, (person.name, person.created))
            else:
                self._person_was(person.id, END, person)
        self._write_beginning("people_were", _NAMED, self._write_person)

    def add_templates(self, templates: Iterator[Template]) -> None:
        """Add every template."""
        while some := list(islice(templates, _CHUNK_ROWS)):
            for one in some:
                if self._first("templates_were", one.number) is None:
                    self._write_template(one.number, _columns(one))
                    self._write_crop(one.number, one.crop)
                else:
                    self._template_was(one.number, END, one)
            self._commit()
        self._write_beginning("templates_were", _WHOLE, self._begin_template)
        self._commit()

    def _person_was(self, number: int, event: int, person: Person | None) -> None:
        values = (None, None) if person is None else (person.name, person.created)
        self._insert("INSERT OR REPLACE INTO people_were VALUES", (number, event, int(person is not None), *values))

    def _template_was(self, number: int, event: int, template: Template | None) -> None:
        values = [None] * len(_WHOLE) if template is None else _columns(template)
        self._insert(
            "INSERT OR REPLACE INTO templates_were VALUES", (number, event, int(template is not None), *values)
        )
        if template is not None and template.crop is not None:
            self._insert("INSERT OR IGNORE INTO crops_were VALUES", (number, template.crop))

    def _write_beginning(
        self, table: str, columns: Sequence[str], write: Callable[[int, Sequence[Any]], object]
    ) -> None:
        """Of the rows that were touched, those that were there at the beginning."""
        query = f"SELECT number, min(event), present, {', '.join(columns)} FROM {table} GROUP BY number"
        for number, _, present, *values in self._store.execute(query):
            if present:
                write(number, values)

    def _begin_template(self, number: int, values: Sequence[Any]) -> None:
        self._write_template(number, values)
        self._write_crop(number, self._crop(number))

    # ------------------------------------------------------------------------------------------ at the end

    def finish(self) -> None:
        """Make the changes that can be undone again, and put the file in its place. Raises StartError."""
        try:
            self._store.resume_journal()
            undoable = self._store.execute("SELECT id FROM events WHERE undoable ORDER BY id").fetchall()
            floor = "SELECT coalesce(min(id) - 1, (SELECT coalesce(max(id), 0) FROM events)) FROM events WHERE undoable"
            self._store.execute(f"UPDATE meta SET value = ({floor}) WHERE key = 'journal_floor'")
            for (event,) in undoable:
                self._make_again(event)
                self._commit()
            self._reserve_numbers()
        except sqlite3.IntegrityError as error:
            raise StartError(f"the source is inconsistent ({error}); {self._path} was not made") from error
        self._store.execute("COMMIT")
        broken = self._store.execute("PRAGMA foreign_key_check").fetchone()
        if broken is not None:
            raise StartError(f"the source is inconsistent ({broken[0]} without {broken[2]}); {self._path} was not made")
        with self._store.transaction():
            self._store.begin_epoch()
        self._store.close()
        if not self._path.exists():
            clear_place(self._path)
        put_in_place(self._room, self._path)

    def _make_again(self, event: int) -> None:
        self._store.execute("INSERT INTO meta (key, value) VALUES (?, ?)", (schema.OPEN_EVENT, event))
        people = list(self._after("people_were", _NAMED, event))
        for number, present, values in people:
            if present:
                self._write_person(number, values)
        left: set[int] = set()
        gone: list[int] = []
        for number, present, values in self._after("templates_were", _WHOLE, event):
            left |= {row[0] for row in self._store.execute("SELECT image_id FROM templates WHERE id = ?", (number,))}
            if not present:
                gone.append(number)
            elif self._write_template(number, values):
                self._write_crop(number, self._crop(number))
        for number in gone:
            self._store.execute("DELETE FROM crops WHERE id = ?", (number,))
            self._store.execute("DELETE FROM templates WHERE id = ?", (number,))
        for image_id in sorted(left):
            self._store.execute(
                "DELETE FROM images WHERE id = ? AND NOT EXISTS (SELECT 1 FROM templates WHERE image_id = images.id)",
                (image_id,),
            )
        for number, present, _ in people:
            if not present:
                self._store.execute("DELETE FROM people WHERE id = ?", (number,))
        self._store.execute("DELETE FROM meta WHERE key = ?", (schema.OPEN_EVENT,))

    def _after(self, table: str, columns: Sequence[str], event: int) -> Iterator[tuple[int, bool, Sequence[Any]]]:
        """What an event touched, as it was after it: as the next one found it."""
        query = (
            f"SELECT number, (SELECT min(n.event) FROM {table} n WHERE n.number = w.number AND n.event > w.event)"
            f" FROM {table} w WHERE event = ? ORDER BY number"
        )
        state = f"SELECT present, {', '.join(columns)} FROM {table} WHERE number = ? AND event = ?"
        for number, following in self._store.execute(query, (event,)):
            row = self._store.execute(state, (number, following)).fetchone()
            yield (number, False, ()) if row is None else (number, bool(row[0]), row[1:])

    def _reserve_numbers(self) -> None:
        """No number is given a second time, though its row is gone."""
        for table, seen in (
            ("people", "SELECT max(person_id) FROM event_people"),
            ("people", "SELECT max(number) FROM people_were"),
            ("templates", "SELECT max(number) FROM templates_were"),
        ):
            (last,) = self._store.execute(seen).fetchone()
            if last is None:
                continue
            update = "UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?"
            if not self._store.execute(update, (last, table)).rowcount:
                self._store.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, last))

    def close(self) -> None:
        """Remove what is not finished."""
        self._store.close()
        self._discard()

    def _discard(self) -> None:
        self._room.unlink(missing_ok=True)
        discard_companions(self._room)

    # ------------------------------------------------------------------------------------------ rows

    def _write_person(self, number: int, values: Sequence[Any]) -> None:
        self._insert(
            "INSERT INTO people (id, name, created) VALUES",
            (number, *values),
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, created = excluded.created",
        )

    def _write_template(self, number: int, values: Sequence[Any]) -> bool:
        """Write a template and its picture; returns whether it is new."""
        person, picture, face = values[0], values[1 : 1 + len(_PICTURE)], values[1 + len(_PICTURE) :]
        image_id = self._write_picture(person, picture)
        new = self._store.execute("SELECT 1 FROM templates WHERE id = ?", (number,)).fetchone() is None
        if new:
            self._insert(
                f"INSERT INTO templates (id, image_id, person_id, spec_id, {', '.join(_FACE)}) VALUES",
                (number, image_id, person, self._spec_id, *face),
            )
        else:
            update = "UPDATE templates SET image_id = ?, person_id = ? WHERE id = ?"
            self._store.execute(update, (image_id, person, number))
        return new

    def _write_picture(self, person: int, picture: Sequence[Any]) -> int:
        self._insert(
            f"INSERT INTO images (person_id, {', '.join(_PICTURE)}) VALUES",
            (person, *picture),
            " ON CONFLICT (person_id, sha256) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in _PICTURE),
        )
        query = "SELECT id FROM images WHERE person_id = ? AND sha256 = ?"
        return int(self._store.execute(query, (person, picture[0])).fetchone()[0])

    def _crop(self, number: int) -> bytes | None:
        row = self._store.execute("SELECT jpeg FROM crops_were WHERE number = ?", (number,)).fetchone()
        return None if row is None else bytes(row[0])

    def _write_crop(self, number: int, jpeg: bytes | None) -> None:
        if jpeg is not None:
            self._insert("INSERT INTO crops (id, jpeg) VALUES", (number, jpeg))

    def _first(self, table: str, number: int) -> int | None:
        row = self._store.execute(f"SELECT 1 FROM {table} WHERE number = ? LIMIT 1", (number,)).fetchone()
        return None if row is None else int(row[0])

    def _insert(self, insert: str, values: Iterable[Any], more: str = "") -> None:
        row = tuple(values)
        self._store.execute(f"{insert} ({', '.join('?' * len(row))}){more}", row)

    def _commit(self) -> None:
        self._store.execute("COMMIT")
        self._store.execute("BEGIN")


def _columns(template: Template) -> list[Any]:
    """As _WHOLE."""
    return [template.person, *_picture(template.picture), *template.box, json.dumps(template.landmarks),
            template.detection, template.embedding.astype(LITTLE_ENDIAN).tobytes()]  # fmt: skip


def _picture(one: Picture) -> tuple[Any, ...]:
    return (
        *(one.sha256, one.size_bytes, one.path, one.source, one.mtime_ns),
        *(one.width, one.height, one.created, one.fingerprint),
    )
