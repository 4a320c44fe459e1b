"""Reads a whole gallery from Milvus.

All but the crops is first copied to a temporary file of this process's own, where it is put in order and numbered:
Milvus answers in no order, and has no moment to go back to. If somebody changed the gallery meanwhile, nothing is used.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from facewire.server.errors import RequestError, StartError
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.connection import Row
from facewire.server.gallery.milvus.contract import axes_of, contract
from facewire.server.gallery.milvus.gallery import connected
from facewire.server.gallery.milvus.journal import EVENT, Journal
from facewire.server.gallery.milvus.reading import Reading
from facewire.server.gallery.milvus.tables import EVENTS, RECORDS, TEMPLATES, UNDO, WHOLE, Stored, crop_id, gathered
from facewire.server.gallery.milvus.vectors import Vectors
from facewire.server.gallery.records import Counts, Person
from facewire.server.maintenance.command import progress_bar
from facewire.server.maintenance.moving.whole import PersonWas, Picture, Template, TemplateWas, Told, Was
from facewire.server.spec import EmbeddingSpec

_CHUNK_ROWS = 500

_CLOCK = 1 << 50
"""From here on `added` is a time; below, it is the number that a template had in SQLite."""

_IDS = 1 << 32
"""Below this, an id was given by SQLite and `spread`: one in a million of the others, too, which does no harm."""

_ROOM = (
    "CREATE TABLE templates (id INTEGER PRIMARY KEY, person INTEGER, leads INTEGER, added INTEGER, path TEXT,"
    " body TEXT, vector BLOB)",
    "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, created TEXT)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY, undoable INTEGER, body TEXT)",
    "CREATE TABLE changes (event INTEGER, at INTEGER, body TEXT, PRIMARY KEY (event, at))",
    # Everybody and everything that was ever named.
    "CREATE TABLE people_seen (id INTEGER PRIMARY KEY, created TEXT)",
    "CREATE TABLE templates_seen (id INTEGER PRIMARY KEY, added INTEGER)",
)
_NUMBERS = (
    "INSERT OR IGNORE INTO people_seen SELECT id, created FROM people",
    "INSERT OR IGNORE INTO people_seen SELECT json_extract(one.value, '$[0]'), json_extract(e.body, '$.at')"
    " FROM events e, json_each(e.body, '$.subjects') one UNION ALL"
    " SELECT json_extract(one.value, '$[0]'), json_extract(e.body, '$.at') FROM events e,"
    " json_each(e.body, '$.target') one",
    "INSERT OR IGNORE INTO templates_seen SELECT id, added FROM templates",
    "CREATE TABLE people_numbers (id INTEGER PRIMARY KEY, number INTEGER)",
    f"INSERT INTO people_numbers SELECT id, gathered(id) FROM people_seen WHERE gathered(id) < {_IDS}",
    "INSERT INTO people_numbers SELECT id, (SELECT coalesce(max(number), 0) FROM people_numbers)"
    f" + row_number() OVER (ORDER BY created, id) FROM people_seen WHERE gathered(id) >= {_IDS}",
    "CREATE TABLE templates_numbers (id INTEGER PRIMARY KEY, number INTEGER)",
    f"INSERT INTO templates_numbers SELECT id, added FROM templates_seen WHERE added < {_CLOCK}",
    "INSERT INTO templates_numbers SELECT id, (SELECT coalesce(max(number), 0) FROM templates_numbers)"
    f" + row_number() OVER (ORDER BY added, id) FROM templates_seen WHERE added >= {_CLOCK}",
    "CREATE INDEX templates_in_order ON templates_numbers (number)",
    "CREATE TABLE events_numbers (id INTEGER PRIMARY KEY, number INTEGER)",
    "INSERT INTO events_numbers SELECT id, json_extract(body, '$.number') FROM events"
    " WHERE json_extract(body, '$.number') IS NOT NULL",
    "INSERT INTO events_numbers SELECT id, (SELECT coalesce(max(number), 0) FROM events_numbers)"
    " + row_number() OVER (ORDER BY id) FROM events WHERE json_extract(body, '$.number') IS NULL",
)


def held(address: MilvusAddress) -> tuple[EmbeddingSpec, Counts] | None:
    """What is there; None if there is no gallery. Raises StartError."""
    with closing(connected(address.patient)) as milvus:
        try:
            made = contract(milvus)
            if made is None:
                return None
            for suffix in (RECORDS, ""):
                milvus.load(suffix)
            milvus.settle()
            return made.spec, Reading(milvus).counts()
        except RequestError as error:
            raise StartError(f"{address} can't be used: {error}") from error


class MilvusSource:
    """See `Source`. Raises StartError if there is no gallery, or if it was changed while it was read."""

    def __init__(self, address: MilvusAddress) -> None:
        self._milvus = connected(address.patient)
        self._room = sqlite3.connect("")  # a temporary file
        try:
            made = contract(self._milvus)
            if made is None:
                raise StartError(f"no gallery at {address}", exit_code=2)
            self.spec: EmbeddingSpec = made.spec
            self._milvus.load(RECORDS)
            self._milvus.load("")
            self._milvus.settle()
            self._reading, self._journal = Reading(self._milvus), Journal(self._milvus)
            self._vectors = Vectors(axes_of(self._milvus, made.spec.dimension), None)
            self._counts = self._reading.counts()
            changes = self._journal.done()
            self._read()
            self._milvus.settle()
            if self._journal.done() != changes:
                raise StartError(f"{address} was changed while it was read: run this again while nobody changes it")
        except RequestError as error:
            self.close()
            raise StartError(f"{address} can't be read: {error}") from error
        except BaseException:
            self.close()
            raise

    def counts(self) -> Counts:
        return self._counts

    def people(self) -> Iterator[Person]:
        query = "SELECT n.number, p.name, p.created FROM people p JOIN people_numbers n USING (id) ORDER BY n.number"
        return (Person(*row) for row in self._room.execute(query))

    def templates(self) -> Iterator[Template]:
        cursor = self._room.execute(
            "SELECT t.id, t.person, t.leads, t.added, t.path, t.body, t.vector FROM templates_numbers n"
            " JOIN templates t USING (id) JOIN people p ON p.id = t.person ORDER BY n.number"
        )
        while rows := cursor.fetchmany(_CHUNK_ROWS):
            yield from self._templates([_stored(row) for row in rows])

    def events(self) -> Iterator[Told]:
        query = "SELECT n.number, e.undoable, e.body FROM events e JOIN events_numbers n USING (id) ORDER BY n.number"
        for number, undoable, text in self._room.execute(query):
            body = json.loads(text)
            subjects = tuple((self._person(one), name) for one, name in body["subjects"])
            target = next(((self._person(one), name) for one, name in body["target"]), None)
            by = body["undone_by"]
            undone_by = None if by is None else self._number("events", by)
            yield Told(
                number, body["at"], body["op"], subjects, target, body["detail"], undone_by, bool(undoable),
                body["token"], body["address"],
            )  # fmt: skip

    def before(self, event: int) -> Iterator[Was]:
        (number,) = self._room.execute("SELECT id FROM events_numbers WHERE number = ?", (event,)).fetchone()
        for (body,) in self._room.execute("SELECT body FROM changes WHERE event = ? ORDER BY at", (number,)):
            there: list[Stored] = []
            for table, one, old in json.loads(body):
                if table == "people":
                    person = self._person(one)
                    yield PersonWas(person, None if old is None else Person(person, *old))
                elif old is not None:
                    there.append(Stored.from_json(old))
                elif (known := self._number("templates", one)) is not None:
                    yield TemplateWas(known, None)
            for template in self._templates(there):
                yield TemplateWas(template.number, template)

    def close(self) -> None:
        self._room.close()
        self._milvus.close()

    # ------------------------------------------------------------------------------------------ helpers

    def _read(self) -> None:
        self._room.create_function("gathered", 1, gathered, deterministic=True)
        for statement in _ROOM:
            self._room.execute(statement)
        with progress_bar(self._counts.templates, "templates read") as bar:
            for row in self._milvus.scan(TEMPLATES, "", WHOLE):
                self._room.execute("INSERT INTO templates VALUES (?, ?, ?, ?, ?, ?, ?)", _row(row))
                bar.update()
        people = ((one.id, one.name, one.created) for one in self._reading.everybody())
        self._room.executemany("INSERT INTO people VALUES (?, ?, ?)", people)
        events = ((row["id"], int(row["owner"] == 1), row["body"]) for row in self._milvus.scan(EVENTS, "", EVENT))
        self._room.executemany("INSERT INTO events VALUES (?, ?, ?)", events)
        for row in self._milvus.scan(UNDO, "", ("owner", "state", "body")):
            self._room.execute("INSERT INTO changes VALUES (?, ?, ?)", (row["owner"], row["state"], row["body"]))
            self._see(json.loads(row["body"]))
        for statement in _NUMBERS:
            self._room.execute(statement)

    def _see(self, changes: Sequence[Sequence[Any]]) -> None:
        for table, number, old in changes:
            if old is not None and table == "people":
                self._room.execute("INSERT OR IGNORE INTO people_seen VALUES (?, ?)", (number, old[1]))
            elif old is not None:
                self._room.execute("INSERT OR IGNORE INTO templates_seen VALUES (?, ?)", (number, old["added"]))

    def _templates(self, stored: Sequence[Stored]) -> Iterator[Template]:
        if not stored:
            return
        embeddings = self._vectors.embeddings(np.stack([one.vector for one in stored]))
        crops = self._reading.crops([crop_id(one.id) for one in stored])
        for one, embedding in zip(stored, embeddings, strict=True):
            body = one.body
            picture = Picture(
                one.sha256, body["size"], one.path, body["source"], body["mtime"], body["width"], body["height"],
                body["created"], one.fingerprint,
            )  # fmt: skip
            number = self._number("templates", one.id)
            assert number is not None, "every template was seen"
            yield Template(
                number, self._person(one.person), one.leads, picture, one.box,
                tuple((x, y) for x, y in body["landmarks"]), body["detection"], embedding, crops.get(crop_id(one.id)),
            )  # fmt: skip

    def _person(self, id: int) -> int:
        number = self._number("people", id)
        assert number is not None, "everybody was seen"
        return number

    def _number(self, table: str, id: int) -> int | None:
        row = self._room.execute(f"SELECT number FROM {table}_numbers WHERE id = ?", (id,)).fetchone()
        return None if row is None else int(row[0])


def _row(row: Row) -> tuple[Any, ...]:
    vector = np.asarray(row["vector"], "<f4").tobytes()
    return (row["id"], row["person"], row["leads"], row["added"], row["path"], row["body"], vector)


def _stored(row: Sequence[Any]) -> Stored:
    number, person, leads, added, path, body, vector = row
    return Stored(number, person, bool(leads), added, path, json.loads(body), np.frombuffer(vector, "<f4"))
