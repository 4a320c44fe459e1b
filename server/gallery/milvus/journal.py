"""The journal in Milvus, which has no transactions: what a change will do is written before it does it.

An event and the previous state of every row that it touches are stored first, then the rows change one by one, then the
event is marked as done. A change that was cut off anywhere between has left each row old or new; asking for it again
finishes it, and undoing it restores what was.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from facewire.server.access.caller import current_caller
from facewire.server.errors import BadRequest, Conflict
from facewire.server.gallery.events import ERASED_NAME, Event, Op
from facewire.server.gallery.milvus.connection import Milvus, Row
from facewire.server.gallery.milvus.tables import (
    CROPS,
    EVENTS,
    LONGEST_TEXT,
    MOST_ABOUT,
    PEOPLE,
    TEMPLATES,
    UNDO,
    Clock,
    Stored,
    crop_id,
    hashed,
    name_hash,
    person_row,
    record,
)
from facewire.server.gallery.records import Person

UNDO_DAYS = 30
"""How long the previous state of changed rows is kept for undoing. The event itself stays in the journal."""

UNDOABLE: frozenset[Op] = frozenset(("enrol", "rename", "merge", "split", "remove", "build", "import"))

BEGUN, DONE = 0, 1
"""States of an event."""

EVENT = ("id", "owner", "state", "about", "body")

_SPANS = tuple(timedelta(hours=hours) for hours in (1, 24, 720))
"""Times in which the newest events are looked for, before all of them are."""


@dataclass(slots=True)
class Draft:
    """A change that is being prepared: rows by id, before and after; None where there is no row."""

    op: Op
    subjects: list[Person] = field(default_factory=list)
    target: Person | None = None
    detail: dict[str, int] = field(default_factory=dict)
    people: dict[int, tuple[Person | None, Person | None]] = field(default_factory=dict)
    templates: dict[int, tuple[Stored | None, Stored | None]] = field(default_factory=dict)
    crops: list[Row] = field(default_factory=list)

    def put_person(self, old: Person | None, new: Person | None) -> None:
        """Change a person's row. At least one of the two is there."""
        one = old or new
        assert one is not None
        self.people[one.id] = (self.people[one.id][0] if one.id in self.people else old, new)

    def put_template(self, old: Stored | None, new: Stored | None) -> None:
        """Change a template's row. At least one of the two is there."""
        one = old or new
        assert one is not None
        self.templates[one.id] = (self.templates[one.id][0] if one.id in self.templates else old, new)


class Journal:
    """Writes and reads events. `commit` is for one thread at a time."""

    def __init__(self, milvus: Milvus) -> None:
        self._milvus = milvus
        self._clock = Clock()

    def time(self) -> int:
        """A number for what is added now."""
        return self._clock.next()

    def commit(self, draft: Draft) -> Event:
        """Carry the change out. Raises StorageFailed where Milvus fails in the middle; it can be asked for again."""
        number, at = self._clock.next(), datetime.now(UTC).isoformat(timespec="seconds")
        undoable = draft.op in UNDOABLE
        row = _event_row(number, at, draft, undoable=undoable, state=BEGUN)
        if undoable:
            self._milvus.upsert(UNDO, list(undo_rows(number, _changes(draft))))
        self._milvus.upsert(EVENTS, [row])
        self._apply(draft)
        done = {**row, "state": DONE}
        self._milvus.upsert(EVENTS, [done])
        self._milvus.settle()
        return _event(done)

    def _apply(self, draft: Draft) -> None:
        """People first and their deletion last: so no template's person is missing at any moment."""
        people = [new for _, new in draft.people.values() if new is not None]
        self._milvus.upsert(PEOPLE, [person_row(person) for person in people])
        self._milvus.upsert(CROPS, draft.crops)
        self._milvus.upsert(TEMPLATES, [new.row() for _, new in draft.templates.values() if new is not None])
        self._milvus.delete(TEMPLATES, [number for number, (_, new) in draft.templates.items() if new is None])
        self._milvus.delete(PEOPLE, [number for number, (_, new) in draft.people.items() if new is None])

    # ------------------------------------------------------------------------------------------ reading

    def done(self) -> int:
        """How many changes were completed."""
        return self._milvus.count(EVENTS, f"state == {DONE}")

    def history(self, limit: int, before: int | None, about: Sequence[int]) -> tuple[tuple[Event, ...], int]:
        """The newest events before event `before`, and the total number; only those about these, if any."""
        filter = f"array_contains_any(about, [{', '.join(map(str, about))}])" if about else ""
        rows = self._newest(filter, limit, before)
        return tuple(map(_event, rows)), self._milvus.count(EVENTS, filter)

    def _newest(self, filter: str, limit: int, before: int | None = None) -> list[Row]:
        """The newest events that the filter holds for. Milvus can't sort, so it is asked for ever longer times."""
        high = self._clock.next() + (1 << 30) if before is None else before - 1  # some other server's clock is ahead
        also = f" and {filter}" if filter else ""

        def found(low: int) -> int:
            return self._milvus.count(EVENTS, f"id >= {low} and id <= {high}{also}")

        lows = [max(0, high - (int(span.total_seconds() * 1000) << 10)) for span in _SPANS]
        low = next((low for low in lows if found(low) >= limit), 0)
        step = (high - low) // 2
        while step > 1 << 20 and found(low + step) >= limit:  # a second
            low, step = low + step, step // 2
        rows = self._milvus.scan(EVENTS, filter, EVENT, low=low, high=high)
        return sorted(rows, key=lambda row: -int(row["id"]))[:limit]

    # ------------------------------------------------------------------------------------------ undoing

    def undo(self, count: int, last: int | None) -> tuple[Draft, list[int]]:
        """What undoing the newest `count` changes does, and their numbers, newest first. Raises Conflict."""
        rows = self._newest("owner == 1", max(count, 1))
        numbers = [int(row["id"]) for row in rows]
        if last is not None and numbers[:1] != [last]:
            newer = f"the last change is {numbers[0]}" if numbers else "there is nothing to undo"
            raise Conflict(f"{newer}, not {last}: look at the history again")
        if len(numbers) < count:
            only = "1 change" if len(numbers) == 1 else f"{len(numbers)} changes"
            raise Conflict(f"only {only} can be undone, not {count}" if numbers else "there is nothing to undo")
        draft = Draft("undo", detail={"changes": count})
        seen = dict[tuple[int, str], None]()
        for row in rows:
            for table, number, old in reversed(self.kept(int(row["id"]))):
                if table == "people":
                    person = Person(number, *old) if old else None
                    draft.people[number] = (None, person)
                else:
                    draft.templates[number] = (None, Stored.from_json(old) if old else None)
            body = json.loads(row["body"])
            seen |= dict.fromkeys((number, name) for number, name in (*body["subjects"], *body["target"]))
        draft.subjects = [Person(number, name, "") for number, name in seen]
        return draft, numbers

    def mark_undone(self, numbers: Sequence[int], by: int) -> tuple[Event, ...]:
        """Note that these events were undone, and forget what they had changed; returns them in this order."""
        rows = {row["id"]: row for row in self._milvus.those(EVENTS, "id", numbers, EVENT)}
        changed = [_edited(rows[number], owner=0, undone_by=by) for number in numbers]
        self._milvus.upsert(EVENTS, changed)
        self._drop(f"owner in [{', '.join(map(str, numbers))}]")
        self._milvus.settle()
        return tuple(map(_event, changed))

    def kept(self, event: int) -> list[tuple[str, int, Any]]:
        """What an event changed: table, id, and the row before, None where there was none."""
        rows = sorted(
            self._milvus.scan(UNDO, f"owner == {event}", ("state", "body")), key=lambda row: int(row["state"])
        )
        return [(table, number, old) for row in rows for table, number, old in json.loads(row["body"])]

    # ------------------------------------------------------------------------------------------ forgetting

    def forget_old(self) -> None:
        """Drop what is too old to be undone."""
        oldest = int((datetime.now(UTC) - timedelta(days=UNDO_DAYS)).timestamp() * 1000) << 10
        if self._milvus.count(UNDO, f"owner < {oldest}"):
            self.forget_before(oldest)

    def forget_before(self, event: int) -> int:
        """Drop the undo data of all events before this one; returns the number of changes dropped."""
        undoable = list(self._milvus.scan(EVENTS, "owner == 1", EVENT, high=event - 1))
        self._milvus.upsert(EVENTS, [_edited(row, owner=0) for row in undoable])
        dropped = self._drop(f"owner < {event}")
        self._milvus.settle()
        return dropped

    def _drop(self, filter: str) -> int:
        """Delete undo data, and the crops of templates that only it could bring back."""
        rows, changes, touched = list[int](), 0, set[int]()
        for row in self._milvus.scan(UNDO, filter, ("id", "body")):
            rows.append(row["id"])
            kept = json.loads(row["body"])
            changes += len(kept)
            touched |= {number for table, number, _ in kept if table == "templates"}
        self._milvus.settle()
        there = {row["id"] for row in self._milvus.those(TEMPLATES, "id", touched, ("id",))}
        self._milvus.delete(CROPS, [crop_id(number) for number in touched - there])
        self._milvus.delete(UNDO, rows)
        return changes

    def forget_names(self, person: int) -> None:
        """Overwrite a person's name, and the names of people merged into them, everywhere in the journal."""
        who, waiting, rows = {person}, [person], dict[int, Row]()
        while waiting:
            one = waiting.pop()
            for row in self._milvus.scan(EVENTS, f"array_contains(about, {one})", EVENT):
                rows[row["id"]] = row
                body = json.loads(row["body"])
                if body["op"] == "merge" and any(number == one for number, _ in body["target"]):
                    merged = {number for number, _ in body["subjects"]} - who
                    who |= merged
                    waiting += merged
        self._milvus.upsert(EVENTS, [_without_names(row, who) for row in rows.values()])
        self._milvus.settle()


def person_was(number: int, old: Person | None) -> str:
    """A person's row before an event, as UNDO keeps it."""
    return json.dumps(["people", number, None if old is None else [old.name, old.created]])


def template_was(number: int, old: Stored | None) -> str:
    """A template's row before an event, as UNDO keeps it."""
    return json.dumps(["templates", number, None if old is None else old.to_json()])


def undo_rows(event: int, changes: Iterable[str]) -> Iterator[Row]:
    """The previous state of each row, packed into as few rows as hold it."""
    packed = count()

    def row(pack: Sequence[str]) -> Row:
        number = next(packed)
        return record(hashed("undo", event, number), f"[{', '.join(pack)}]", owner=event, state=number)

    pack: list[str] = []
    size = 0
    for change in changes:
        size += len(change) + 2
        if size > LONGEST_TEXT - 100 and pack:
            yield row(pack)
            pack, size = [], len(change) + 2
        pack.append(change)
    if pack:
        yield row(pack)


def _changes(draft: Draft) -> Iterator[str]:
    yield from (person_was(number, old) for number, (old, _) in draft.people.items())
    yield from (template_was(number, old) for number, (old, _) in draft.templates.items())


def _event_row(number: int, at: str, draft: Draft, *, undoable: bool, state: int) -> Row:
    caller = current_caller()
    body = {
        "at": at,
        "op": draft.op,
        "subjects": [[person.id, person.name] for person in draft.subjects],
        "target": [[draft.target.id, draft.target.name]] if draft.target else [],
        "detail": draft.detail,
        "undone_by": None,
        "token": caller.name,
        "address": caller.address,
    }
    return event_row(number, body, owner=int(undoable), state=state)


def event_row(number: int, body: Row, *, owner: int, state: int) -> Row:
    """An event as EVENTS keeps it. Raises BadRequest if it concerns more people than a row can name."""
    people = [*body["subjects"], *body["target"]]
    about = list(dict.fromkeys(key for person, name in people for key in (person, name_hash(name))))
    text = json.dumps(body, ensure_ascii=False)
    if len(about) > MOST_ABOUT or len(text.encode()) > LONGEST_TEXT:
        raise BadRequest("too many people at once for a gallery in Milvus: do it in several steps")
    return record(number, text, owner=owner, state=state, about=about)


def _edited(row: Row, *, owner: int, undone_by: int | None = None) -> Row:
    body = json.loads(row["body"])
    return event_row(row["id"], {**body, "undone_by": undone_by or body["undone_by"]}, owner=owner, state=row["state"])


def _without_names(row: Row, who: set[int]) -> Row:
    body = json.loads(row["body"])
    for role in ("subjects", "target"):
        body[role] = [[number, ERASED_NAME if number in who else name] for number, name in body[role]]
    return event_row(row["id"], body, owner=row["owner"], state=row["state"])


def _event(row: Row) -> Event:
    body = json.loads(row["body"])
    return Event(
        id=row["id"],
        at=body["at"],
        op=body["op"],
        subjects=tuple(name for _, name in body["subjects"]),
        target=body["target"][0][1] if body["target"] else None,
        detail=body["detail"],
        undone_by=body["undone_by"],
        undoable=row["owner"] == 1,
        token=body["token"],
        address=body["address"],
    )
