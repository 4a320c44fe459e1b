"""Writes a whole gallery into Milvus, beside any that is there: it gets its name only once it is complete."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TypeVar

import numpy as np

from facewire.server.errors import BadRequest, StartError
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.connection import Row, Table
from facewire.server.gallery.milvus.contract import axes_of, create, drop
from facewire.server.gallery.milvus.gallery import connected
from facewire.server.gallery.milvus.journal import DONE, event_row, person_was, template_was, undo_rows
from facewire.server.gallery.milvus.tables import (
    CROPS,
    EVENTS,
    PEOPLE,
    RECORDS,
    TEMPLATES,
    UNDO,
    Stored,
    crop_row,
    person_row,
    spread,
    template_body,
)
from facewire.server.gallery.milvus.vectors import Vectors
from facewire.server.gallery.records import Person
from facewire.server.gallery.search.cohort import DEFAULT_PATH as COHORT
from facewire.server.gallery.search.cohort import Cohort
from facewire.server.maintenance.moving.whole import PersonWas, Template, TemplateWas, Told, Was
from facewire.server.spec import EmbeddingSpec

SUFFIX = "_moving"

_STEP = 500
"""Rows written at once."""

Item = TypeVar("Item")


class MilvusTarget:
    """See `Target`. `finish` replaces the gallery that is there, if any."""

    def __init__(self, address: MilvusAddress, spec: EmbeddingSpec) -> None:
        """Raises StartError where Milvus is not there."""
        self._address = address
        self._milvus = connected(replace(address.patient, name=address.name + SUFFIX))
        try:
            drop(self._milvus)  # of a run that was interrupted
            cohort = Cohort.load(COHORT, spec)
            create(self._milvus, spec, cohort)
            self._vectors = Vectors(axes_of(self._milvus, spec.dimension), cohort)
        except BaseException:
            self._milvus.close()
            raise
        self._complete = False
        self._last = 0
        self._people = self._templates = 0
        # Events with their ids that wait for the id of the one that undid them.
        self._undone: dict[int, list[tuple[Told, int]]] = {}
        self._rows: dict[Table, list[Row]] = {}

    def tell(self, event: Told) -> None:
        """Add an event."""
        self._last = max(self._last + 1, int(datetime.fromisoformat(event.at).timestamp() * 1000) << 10)
        if event.undone_by is None:
            self._write(EVENTS, _event(event, self._last, None))
        else:
            self._undone.setdefault(event.undone_by, []).append((event, self._last))
        for one, number in self._undone.pop(event.number, ()):
            self._write(EVENTS, _event(one, number, self._last))

    def keep(self, event: int, was: Iterator[Was]) -> None:
        """Add what the event changed."""
        for row in undo_rows(self._last, self._changes(was)):
            self._write(UNDO, row)

    def _changes(self, was: Iterator[Was]) -> Iterator[str]:
        for some in _steps(was):
            for one in some:
                if isinstance(one, PersonWas):
                    yield person_was(spread(one.number), None if one.person is None else _moved(one.person))
                elif one.template is None:
                    yield template_was(spread(one.number), None)
            there = [one.template for one in some if isinstance(one, TemplateWas) and one.template is not None]
            for stored in self._stored(there):
                yield template_was(stored.id, stored)

    def add_people(self, people: Iterator[Person]) -> None:
        """Add everybody."""
        for person in people:
            self._write(PEOPLE, person_row(_moved(person)))
            self._people += 1

    def add_templates(self, templates: Iterator[Template]) -> None:
        """Add every template."""
        for some in _steps(templates):
            for stored in self._stored(some):
                self._write(TEMPLATES, stored.row())
                self._templates += 1

    def finish(self) -> None:
        """Give it its name, in place of what had it. Raises StorageFailed, and StartError if something is missing."""
        for waiting in self._undone.values():
            for one, number in waiting:
                self._write(EVENTS, _event(one, number, None))
        for table in list(self._rows):
            self._flush(table)
        self._milvus.settle()
        there = self._milvus.count(PEOPLE), self._milvus.count(TEMPLATES)
        if there != (self._people, self._templates):
            raise StartError(
                f"Milvus has {there[0]} of {self._people} people and {there[1]} of {self._templates} templates: run it"
                " again"
            )
        before = connected(self._address.patient)
        try:
            drop(before)
        finally:
            before.close()
        self._milvus.rename(RECORDS, self._address)
        self._milvus.rename("", self._address)  # from here on there is a gallery
        self._complete = True

    def close(self) -> None:
        """Drop what is not finished."""
        try:
            if not self._complete:
                drop(self._milvus)
        finally:
            self._milvus.close()

    # ------------------------------------------------------------------------------------------ rows

    def _stored(self, templates: Sequence[Template]) -> Iterator[Stored]:
        """As Milvus keeps them; their crops are written."""
        if not templates:
            return
        vectors = self._vectors.stored(np.stack([one.embedding for one in templates]))
        for one, vector in zip(templates, vectors, strict=True):
            number, picture = spread(one.number), one.picture
            crop = None if one.crop is None else crop_row(number, one.crop)
            if crop is not None:
                self._write(CROPS, crop)
            body = template_body(picture, picture.created, one)
            yield Stored(number, spread(one.person), one.leads, one.number, picture.path, body, vector)

    def _write(self, table: Table, row: Row) -> None:
        rows = self._rows.setdefault(table, [])
        rows.append(row)
        if len(rows) >= _STEP:
            self._flush(table)

    def _flush(self, table: Table) -> None:
        rows = {row["id"]: row for row in self._rows.pop(table)}  # a crop may come several times
        self._milvus.upsert(table, list(rows.values()))


def _moved(person: Person) -> Person:
    return Person(spread(person.id), person.name, person.created)


def _event(event: Told, number: int, undone_by: int | None) -> Row:
    """As EVENTS keeps it. Of an event that names too many people for a row, the first ones are kept."""
    body: Row = {
        "at": event.at,
        "op": event.op,
        "subjects": [[spread(one), name] for one, name in event.subjects],
        "target": [[spread(event.target[0]), event.target[1]]] if event.target else [],
        "detail": dict(event.detail),
        "undone_by": undone_by,
        "token": event.token,
        "address": event.address,
        "number": event.number,
    }
    while True:
        try:
            return event_row(number, body, owner=int(event.undoable), state=DONE)
        except BadRequest:
            if not body["subjects"]:
                raise
            body["subjects"] = body["subjects"][: len(body["subjects"]) // 2]


def _steps(items: Iterator[Item]) -> Iterator[list[Item]]:
    while some := list(islice(items, _STEP)):
        yield some
