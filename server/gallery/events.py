"""The journal's entries as values and as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from facewire.server.gallery.records import Copy, PersonRecord

Op = Literal["enrol", "rename", "merge", "split", "remove", "erase", "undo", "build", "import", "migrate"]
"""The operations; `build`, `import` and `migrate` are those of create_db.py, backup.py and migrate_model.py."""

ERASED_NAME = "(erased)"
"""The journal's placeholder for the name of an erased person."""


@dataclass(frozen=True, slots=True)
class Event:
    """A change. `subjects`: the people changed, by their names at the time; `target`: the resulting person, or the
    recipient.

    `token`, `address`: who changed it, by which token and from where; empty for a command on this machine. `detail`:
    counts (see `_TEXTS`); `undone_by`: id of the event that undid this one; `undoable`: `undo` can revert it,
    after everything newer.
    """

    id: int
    at: str
    op: str
    subjects: tuple[str, ...]
    target: str | None
    detail: Mapping[str, int]
    undone_by: int | None
    undoable: bool
    token: str = ""
    address: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of everybody involved, without duplicates."""
        return tuple(dict.fromkeys((*self.subjects, *((self.target,) if self.target else ()))))

    @property
    def text(self) -> str:
        """A description for people to read."""
        return _TEXTS[self.op](self) if self.op in _TEXTS else self.op  # written by a later version


@dataclass(frozen=True, slots=True)
class Change:
    """An applied change, and the people involved as they are now, without those who are gone."""

    event: Event
    people: tuple[PersonRecord, ...]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Per picture, in the order given: the new `template_ids` (empty if the person already had the picture) and in
    `copies` the stored picture it duplicates. `event` is None if nothing was added."""

    person: PersonRecord
    template_ids: tuple[tuple[int, ...], ...]
    copies: tuple[Copy | None, ...]
    event: Event | None


@dataclass(frozen=True, slots=True)
class Undoing:
    """`undone`: the events that were undone, newest first."""

    event: Event
    undone: tuple[Event, ...]
    people: tuple[PersonRecord, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """How much was stored about an erased person. `journal`: dropped journal changes; `sources`: pictures whose
    original files lie in a folder."""

    images: int
    templates: int
    crops: int
    journal: int
    sources: int


@dataclass(frozen=True, slots=True)
class Erasure(Found):
    """`note`: what is left on the disk and what to do about it; empty if nothing is left."""

    event: Event
    note: str

    @property
    def complete(self) -> bool:
        """Whether nothing is left on the disk."""
        return not self.note


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"  # protocol.text has more; this package can't import it


def _templates(event: Event) -> str:
    return _counted(event.detail.get("templates", 0), "template")


def _subjects(event: Event) -> str:
    return ", ".join(event.subjects)


def _removed(event: Event) -> str:
    if event.detail.get("people"):
        return f"removed {_subjects(event)} ({_templates(event)})"
    return f"removed {_templates(event)} of {_subjects(event)}"


def _built(event: Event) -> str:
    return f"create_db: {_counted(event.detail.get('images', 0), 'picture')}, {_templates(event)}"


def _erased(event: Event) -> str:
    return f"permanently erased a person ({_counted(event.detail.get('images', 0), 'picture')}, {_templates(event)})"


_TEXTS: Mapping[str, Callable[[Event], str]] = {
    "enrol": lambda event: f"enrolled {_subjects(event)} ({_templates(event)})",
    "rename": lambda event: f"renamed {_subjects(event)} to {event.target}",
    "merge": lambda event: f"merged {_subjects(event)} into {event.target} ({_templates(event)})",
    "split": lambda event: f"moved {_templates(event)} of {_subjects(event)} to {event.target}",
    "remove": _removed,
    "erase": _erased,
    "undo": lambda event: f"undid {_counted(event.detail.get('changes', 0), 'change')}",
    "build": _built,
    "import": lambda event: f"imported {_counted(event.detail.get('images', 0), 'picture')}, {_templates(event)}",
    "migrate": lambda event: f"another model: {_templates(event)}",
}
