"""`Curator`: enrolling people and correcting the gallery, in the protocol's terms."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

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
from facewire.protocol.messages import RequestBody, Result
from facewire.server.errors import Rejected, TimedOut
from facewire.server.gallery.events import Change, Event
from facewire.server.gallery.names import person_name
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Copy, NewPicture, PersonRecord
from facewire.server.gallery.search.lookalikes import SAME
from facewire.server.names import tidy
from facewire.server.recognition.enrolment import Chosen, Refused, choose
from facewire.server.recognition.judge import Judge
from facewire.server.recognition.mislabels import Elsewhere, OthersFinder
from facewire.server.recognition.quality_gate import COVERED, LIMITS, QualityLimits
from facewire.server.vision.batching import Abandoned, never
from facewire.server.vision.serving import ServingEngine
from facewire.server.vision.upright import turn_of

Handler = Callable[..., Result]

LABEL_LENGTH = 16
"""Hex digits of the sha256 used as the label of a picture without one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """A picture to enrol. `index`: in the request; `other`: the person whom it may show instead."""

    index: int
    chosen: Chosen
    picture: NewPicture
    other: Elsewhere | None


class Curator:
    """Handles requests that read or change the gallery. Thread-safe."""

    def __init__(
        self, analyser: ServingEngine, gallery: Gallery, judge: Judge, *, limits: QualityLimits = LIMITS
    ) -> None:
        """`limits`: the quality required for enrolment."""
        self._analyser = analyser
        self._gallery = gallery
        self._limits = limits
        self._others = OthersFinder(gallery, judge.threshold)

    @property
    def computing(self) -> Mapping[type[RequestBody], Handler]:
        """Request -> its handler, which is told by `abandoned` whether anybody still waits."""
        return {Enrol: self.enrol}

    @property
    def handlers(self) -> Mapping[type[RequestBody], Handler]:
        """Request -> its handler."""
        return {
            People: self.people,
            Show: self.show,
            Rename: self.rename,
            Merge: self.merge,
            Split: self.split,
            Remove: self.remove,
            Erase: self.erase,
            Undo: self.undo,
            History: self.history,
        }

    def enrol(self, message: Enrol, /, *, abandoned: Abandoned = never) -> Enrolled:
        """Add pictures to a person. If a single picture, given as `image`, can't be enrolled, raises the reason."""
        name = person_name(message.name)
        looked_at, rejected = self._look_at(message, abandoned)
        embeddings = self._analyser.enrolments([chosen.face for _, chosen in looked_at], abandoned)
        candidates: list[_Candidate] = []
        others = self._elsewhere(name, message, embeddings)
        for (index, chosen), embedding, other in zip(looked_at, embeddings, others, strict=True):
            if other and not other.is_doubt:
                rejected.append(_rejection(message, index, _somebody_else(other)))
            else:
                label = message.labels[index] if message.labels else chosen.sha256[:LABEL_LENGTH]
                candidates.append(_Candidate(index, chosen, chosen.picture(embedding, label), other))
        if abandoned():
            raise TimedOut("nobody waits for this any more")
        if not candidates:
            return Enrolled(self._entry(name), (), _in_order(rejected), None)
        is_new = self._gallery.person(name) is None
        enrolment = self._gallery.enrol(name, [one.picture for one in candidates], copies=message.accepts("duplicate"))
        added = [(one, ids) for one, ids in zip(candidates, enrolment.template_ids, strict=True) if ids]
        for one, copy in zip(candidates, enrolment.copies, strict=True):
            if copy:
                rejected.append(_duplicate(one.index, name, copy))
        doubts = [_rejection_of(one.index, _somebody_else(one.other)) for one, _ in added if one.other]
        if is_new and added:
            doubts += self._alike(name, added[0][0].index)
        doubts += [_covered(one.index, one.chosen.doubt) for one, _ in added if one.chosen.doubt]
        return Enrolled(
            person=_entry(enrolment.person),
            templates=tuple(_template(one, number) for one, ids in added for number in ids),
            rejected=_in_order(rejected),
            event=_event(enrolment.event) if enrolment.event else None,
            doubts=_in_order(doubts),
        )

    def _look_at(self, message: Enrol, abandoned: Abandoned) -> tuple[list[tuple[int, Chosen]], list[Rejection]]:
        """The faces to enrol, with their index in the request, and the rejections. Raises TimedOut once nobody waits
        any more and, for a single picture, the reason why it can't be enrolled."""
        chosen: list[tuple[int, Chosen]] = []
        rejected: list[Rejection] = []
        alone = message.several == "refuse" and not message.accepts("several_faces")
        for index, data in enumerate(message.pictures):
            if abandoned():
                raise TimedOut("nobody waits for this any more")
            if index:
                abandoned.progress(index, len(message.pictures))
            sha256 = hashlib.sha256(data).hexdigest()
            at = message.point(index)
            one = choose(data, sha256, self._analyser, self._limits, message.accept, at=at, alone=alone)
            if isinstance(one, Chosen):
                chosen.append((index, one))
            else:
                rejected.append(_rejection(message, index, one))
        return chosen, rejected

    def _elsewhere(self, name: str, message: Enrol, embeddings: NDArray[np.float32]) -> list[Elsewhere | None]:
        """For each picture, the other person it matches; all None if the check is waived."""
        return [None] * len(embeddings) if message.accepts("nearer_to_another") else self._others.find(name, embeddings)

    def people(self, message: People, /) -> PeopleListed:
        """One page of the enrolled people, by name."""
        page, total = self._gallery.people(message.offset, message.limit, contains=message.contains)
        return PeopleListed(tuple(map(_entry, page)), total)

    def show(self, message: Show, /) -> PersonShown:
        """A person with a page of their templates."""
        person, kept = self._gallery.show(message.name, message.offset, message.limit, crops=message.crops)
        templates = tuple(
            TemplateEntry(one.id, one.image, one.box, one.detection, one.created, one.crop) for one in kept
        )
        return PersonShown(_entry(person), person.created, templates)

    def rename(self, message: Rename, /) -> Changed:
        """Rename a person."""
        return self._noted(self._gallery.rename(message.name, message.to), message.to)

    def merge(self, message: Merge, /) -> Changed:
        """Merge several people into one."""
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
        """Erase a person and every trace of them."""
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
        """Undo the last changes."""
        undoing = self._gallery.undo(message.count, message.last)
        return Undone(_event(undoing.event), tuple(map(_event, undoing.undone)), tuple(map(_entry, undoing.people)))

    def history(self, message: History, /) -> HistoryListed:
        """A page of the journal."""
        events, total = self._gallery.history(message.limit, message.before, message.name)
        return HistoryListed(tuple(map(_event, events)), total)

    def _alike(self, name: str, index: int) -> list[Rejection]:
        """A doubt about that picture if a new person's name differs from an existing one only in case or accents."""
        warning = _warning(name, self._gallery.alike(name))
        return [Rejection(index, "similar_name", warning)] if warning else []

    def _noted(self, change: Change, name: str) -> Changed:
        """The answer, with a note if somebody else has nearly the same name."""
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


def _rejection(message: Enrol, index: int, refused: Refused) -> Rejection:
    """The rejection of one of several pictures. Raises the error of a picture sent alone."""
    if message.image is not None:
        raise refused.error
    return _rejection_of(index, refused)


def _rejection_of(index: int, refused: Refused) -> Rejection:
    return Rejection(index, refused.reason, str(refused.error), refused.shortcomings)


def _in_order(rejected: Sequence[Rejection]) -> tuple[Rejection, ...]:
    return tuple(sorted(rejected, key=lambda rejection: rejection.index))


def _template(one: _Candidate, number: int) -> EnrolledTemplate:
    face = one.chosen.face
    return EnrolledTemplate(one.index, number, face.box, float(face.detection), turn_of(face.landmarks))


def _covered(index: int, doubt: Shortcoming) -> Rejection:
    return Rejection(index, "covered", COVERED, (doubt,))


def _somebody_else(other: Elsewhere) -> Refused:
    return Refused(Rejected(other.message, reason="nearer_to_another"), (other.shortcoming,))


def _duplicate(index: int, name: str, copy: Copy) -> Rejection:
    lacking = Shortcoming("duplicate", copy.difference, SAME)
    return Rejection(index, "duplicate", f"{name} has this picture already, as {copy.path}", (lacking,))
