"""What can be done to the gallery, in the protocol's words: the part of `RecognitionService` that changes it."""

from __future__ import annotations

from protocol.gallery_messages import (
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
    Show,
    Split,
    TemplateEntry,
    Undo,
    Undone,
)
from server.errors import TimedOut
from server.gallery.events import Change, Event
from server.gallery.gallery import Gallery
from server.gallery.names import person_name
from server.gallery.records import PersonRecord
from server.recognition.enrolment import embed, look_at
from server.vision.analyser import Analyser
from server.vision.batching import Abandoned, never


class Curation:
    """The gallery's operations. Thread-safe."""

    def __init__(self, analyser: Analyser, gallery: Gallery) -> None:
        self._analyser = analyser
        self._gallery = gallery

    def enrol(self, message: Enrol, /, *, abandoned: Abandoned = never) -> Enrolled:
        """Add pictures to a person; one picture alone, given as `image`, raises what it can't be enrolled for."""
        name = person_name(message.name)
        chosen, refused = look_at(message, self._analyser, abandoned)
        rejected = [Rejection(one.index, one.reason, str(one.error)) for one in refused]
        if message.image is not None and refused:
            raise refused[0].error
        if not chosen:
            return Enrolled(self._entry(name), (), tuple(rejected), None)
        pictures = embed(chosen, self._analyser, abandoned)
        if abandoned():
            raise TimedOut("nobody waits for this any more")
        enrolment = self._gallery.enrol(name, pictures)
        added = list(zip(chosen, enrolment.template_ids, strict=True))
        rejected += [_duplicate(one.index, name) for one, ids in added if not ids]
        return Enrolled(
            person=_entry(enrolment.person),
            templates=tuple(
                EnrolledTemplate(one.index, template_id, one.face.box, one.face.detection)
                for one, ids in added
                for template_id in ids
            ),
            rejected=tuple(sorted(rejected, key=lambda rejection: rejection.index)),
            event=_event(enrolment.event) if enrolment.event else None,
        )

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
        return _changed(self._gallery.rename(message.name, message.to))

    def merge(self, message: Merge, /) -> Changed:
        """Make several people one."""
        return _changed(self._gallery.merge(message.names, message.into))

    def split(self, message: Split, /) -> Changed:
        """Move templates to another person."""
        return _changed(self._gallery.split(message.name, message.templates, message.to))

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


def _duplicate(index: int, name: str) -> Rejection:
    return Rejection(index, "duplicate", f"{name} has this picture already")
