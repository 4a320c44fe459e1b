"""What can be done to the gallery, in the protocol's words: the part of `RecognitionService` that changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from facewire.protocol.gallery_messages import (
    Changed,
    Enrol,
    Enrolled,
    EnrolledTemplate,
    Erase,
    Erased,
    EventEntry,
    History,
    HistoryListed,
    Merge,
    People,
    PeopleListed,
    PersonEntry,
    PersonShown,
    Rejection,
    Remove,
    Rename,
    Shortcoming,
    Show,
    Split,
    TemplateEntry,
    Undo,
    Undone,
)
from facewire.server.errors import Rejected, TimedOut
from facewire.server.gallery.gallery import Gallery
from facewire.server.gallery.names import person_name
from facewire.server.gallery.records import Copy, NewPicture, PersonRecord
from facewire.server.gallery.search.lookalikes import SAME
from facewire.server.gallery.storage.events import Change, Event
from facewire.server.names import tidy
from facewire.server.recognition.enrolment import Refused, embed, look_at
from facewire.server.recognition.mislabels import Elsewhere, OthersFinder
from facewire.server.recognition.quality_gate import QualityLimits
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.batching import Abandoned, never
from facewire.server.vision.upright import turn_of


class Curation:
    """The gallery's operations. Thread-safe."""

    def __init__(self, analyser: Analyser, gallery: Gallery, limits: QualityLimits, others: OthersFinder) -> None:
        """`limits`: to what is enrolled; `others`: looks up whom else a picture may show."""
        self._analyser = analyser
        self._gallery = gallery
        self._limits = limits
        self._others = others

    def enrol(self, message: Enrol, /, *, abandoned: Abandoned = never) -> Enrolled:
        """Add pictures to a person; one picture alone, given as `image`, raises what it can't be enrolled for."""
        name = person_name(message.name)
        chosen, refused = look_at(message, self._analyser, self._limits, abandoned)
        _raise_if_alone(message, refused)
        pictures = embed(chosen, self._analyser, abandoned)
        judged = list(zip(chosen, pictures, self._elsewhere(name, message, pictures), strict=True))
        refused += [_somebody_else(one.index, other) for one, _, other in judged if other and not other.is_doubt]
        _raise_if_alone(message, refused)
        kept = [entry for entry in judged if not entry[2] or entry[2].is_doubt]
        if abandoned():
            raise TimedOut("nobody waits for this any more")
        rejected = [one.rejection for one in refused]
        if not kept:
            return Enrolled(self._entry(name), (), _in_order(rejected), None)
        is_new = self._gallery.person(name) is None
        enrolment = self._gallery.enrol(name, [picture for _, picture, _ in kept], copies=message.accepts("duplicate"))
        added = [(one, ids, other) for (one, _, other), ids in zip(kept, enrolment.template_ids, strict=True) if ids]
        rejected += [
            _duplicate(one.index, name, copy) for (one, _, _), copy in zip(kept, enrolment.copies, strict=True) if copy
        ]
        return Enrolled(
            person=_entry(enrolment.person),
            templates=tuple(
                EnrolledTemplate(one.index, template_id, one.face.box, one.face.detection, turn_of(one.face.landmarks))
                for one, ids, _ in added
                for template_id in ids
            ),
            rejected=_in_order(rejected),
            event=_event(enrolment.event) if enrolment.event else None,
            doubts=_in_order(
                [
                    *(_somebody_else(one.index, other).rejection for one, _, other in added if other),
                    *self._alike(name, [one.index for one, _, _ in added] if is_new else []),
                    *(said for one, _, _ in added for said in one.doubts),
                ]
            ),
        )

    def _elsewhere(self, name: str, message: Enrol, pictures: Sequence[NewPicture]) -> list[Elsewhere | None]:
        """Of each picture whom it matches instead, where that is asked for."""
        if message.accepts("nearer_to_another"):
            return [None] * len(pictures)
        return self._others.find(name, np.array([picture.templates[0].embedding for picture in pictures]))

    def people(self, message: People, /) -> PeopleListed:
        """One page of the enrolled people, by name."""
        page, total = self._gallery.people(message.offset, message.limit, contains=message.contains)
        return PeopleListed(tuple(map(_entry, page)), total)

    def show(self, message: Show, /) -> PersonShown:
        """A person and a page of their templates."""
        person, kept = self._gallery.show(message.name, message.offset, message.limit, crops=message.crops)
        templates = tuple(
            TemplateEntry(one.id, one.image, one.box, one.detection, one.created, one.crop) for one in kept
        )
        return PersonShown(_entry(person), person.created, templates)

    def rename(self, message: Rename, /) -> Changed:
        """Call a person otherwise."""
        return self._noted(self._gallery.rename(message.name, message.to), message.to)

    def merge(self, message: Merge, /) -> Changed:
        """Make several people one."""
        return _changed(self._gallery.merge(message.names, message.into))

    def split(self, message: Split, /) -> Changed:
        """Move templates to another person."""
        is_new = self._gallery.person(tidy(message.to)) is None
        change = self._gallery.split(message.name, message.templates, message.to)
        return self._noted(change, message.to) if is_new else _changed(change)

    def remove(self, message: Remove, /) -> Changed:
        """Remove a person or templates."""
        return _changed(self._gallery.remove(message.name, message.templates))

    def erase(self, message: Erase, /) -> Erased:
        """Remove a person for good."""
        erasure = self._gallery.erase(message.name)
        return Erased(
            images=erasure.images,
            templates=erasure.templates,
            crops=erasure.crops,
            journal=erasure.journal,
            sources=erasure.sources,
            complete=erasure.complete,
            note=erasure.note,
            event=_event(erasure.event),
        )

    def undo(self, message: Undo, /) -> Undone:
        """Take back the last changes."""
        undoing = self._gallery.undo(message.count, message.last)
        return Undone(_event(undoing.event), tuple(map(_event, undoing.undone)), tuple(map(_entry, undoing.people)))

    def history(self, message: History, /) -> HistoryListed:
        """A page of the journal."""
        events, total = self._gallery.history(message.limit, message.before, message.name)
        return HistoryListed(tuple(map(_event, events)), total)

    def _alike(self, name: str, indices: Sequence[int]) -> tuple[Rejection, ...]:
        """A doubt where a new person is called like another but for case and accents; about the first picture."""
        warning = _warning(name, self._gallery.alike(name)) if indices else ""
        return (Rejection(indices[0], "similar_name", warning),) if warning else ()

    def _noted(self, change: Change, name: str) -> Changed:
        """A change that gave somebody this name."""
        name = tidy(name)
        return replace(_changed(change), note=_warning(name, self._gallery.alike(name)))

    def _entry(self, name: str) -> PersonEntry | None:
        person = self._gallery.person(name)
        return _entry(person) if person else None


def _entry(person: PersonRecord) -> PersonEntry:
    return PersonEntry(person.name, person.templates, person.images)


def _event(event: Event) -> EventEntry:
    return EventEntry(
        event.id, event.at, event.op, event.text, event.names, event.undone_by is not None, event.undoable
    )


def _changed(change: Change) -> Changed:
    return Changed(_event(change.event), tuple(map(_entry, change.people)))


def _warning(name: str, others: Sequence[str]) -> str:
    if not others:
        return ""
    return f"there is also {' and '.join(others)}: if {name} is the same person, merge the two"


def _raise_if_alone(message: Enrol, refused: Sequence[Refused]) -> None:
    if message.image is not None and refused:
        raise refused[0].error


def _in_order(rejected: Sequence[Rejection]) -> tuple[Rejection, ...]:
    return tuple(sorted(rejected, key=lambda rejection: rejection.index))


def _somebody_else(index: int, other: Elsewhere) -> Refused:
    return Refused(index, Rejected(other.message, reason="nearer_to_another"), (other.shortcoming,))


def _duplicate(index: int, name: str, copy: Copy) -> Rejection:
    lacking = Shortcoming("duplicate", copy.difference, SAME)
    return Rejection(index, "duplicate", f"{name} has this picture already, as {copy.path}", (lacking,))
