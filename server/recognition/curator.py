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
from facewire.server.asker import WAITS_FOREVER, Asker
from facewire.server.errors import Rejected, TimedOut
from facewire.server.gallery.events import Change, Event
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Copy, KeptTemplate, NewPicture, PersonRecord
from facewire.server.gallery.search.lookalikes import SAME
from facewire.server.names import person_name, tidy
from facewire.server.recognition.decision import Judge
from facewire.server.recognition.enrolment import COVERED, LIMITS, Chosen, QualityLimits, Refused, choose
from facewire.server.recognition.mislabels import Elsewhere, OthersFinder
from facewire.server.vision.alignment import turn_of
from facewire.server.vision.serving import ServingEngine

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

    def enrol(self, message: Enrol, /, *, abandoned: Asker = WAITS_FOREVER) -> Enrolled:
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
            raise TimedOut("the client is no longer waiting for this")
        if not candidates:
            return Enrolled(self._entry(name), (), _in_order(rejected), None)
        # Asked before the change is made, so that nothing can fail when it has been.
        alike = self._gallery.alike(name) if self._gallery.person(name) is None else ()
        enrolment = self._gallery.enrol(name, [one.picture for one in candidates], copies=message.accepts("duplicate"))
        added = [(one, ids) for one, ids in zip(candidates, enrolment.template_ids, strict=True) if ids]
        for one, copy in zip(candidates, enrolment.copies, strict=True):
            if copy:
                rejected.append(_duplicate(one.index, name, copy))
        doubts = [_rejection_of(one.index, _somebody_else(one.other)) for one, _ in added if one.other]
        if added and (warning := _warning(name, alike)):
            doubts.append(Rejection(added[0][0].index, "similar_name", warning))
        doubts += [_covered(one.index, one.chosen.doubt) for one, _ in added if one.chosen.doubt]
        return Enrolled(
            person=_entry(enrolment.person),
            templates=tuple(_template(one, number) for one, ids in added for number in ids),
            rejected=_in_order(rejected),
            event=_event(enrolment.event) if enrolment.event else None,
            doubts=_in_order(doubts),
        )

    def _look_at(self, message: Enrol, abandoned: Asker) -> tuple[list[tuple[int, Chosen]], list[Rejection]]:
        """The faces to enrol, with their index in the request, and the rejections. Raises TimedOut once nobody waits
        any more and, for a single picture, the reason why it can't be enrolled."""
        chosen: list[tuple[int, Chosen]] = []
        rejected: list[Rejection] = []
        alone = message.several == "refuse" and not message.accepts("several_faces")
        for index, data in enumerate(message.pictures):
            if abandoned():
                raise TimedOut("the client is no longer waiting for this")
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
        """A person with a page of their templates, or one template with whoever has it."""
        if message.template:
            person, one = self._gallery.template(message.template, crops=message.crops)
            kept: tuple[KeptTemplate, ...] = (one,)
        else:
            person, kept = self._gallery.show(message.name, message.offset, message.limit, crops=message.crops)
        templates = tuple(
            TemplateEntry(one.id, one.image, one.box, one.detection, one.created, one.crop) for one in kept
        )
        return PersonShown(_entry(person), person.created, templates)

    def rename(self, message: Rename, /) -> Changed:
        """Rename a person."""
        alike = self._gallery.alike(tidy(message.to))
        change = self._gallery.rename(message.name, message.to)
        return _noted(change, message.to, [one for one in alike if one not in change.event.subjects])

    def merge(self, message: Merge, /) -> Changed:
        """Merge several people into one."""
        return _changed(self._gallery.merge(message.names, message.into))

    def split(self, message: Split, /) -> Changed:
        """Move templates to another person."""
        to = tidy(message.to)
        alike = self._gallery.alike(to) if self._gallery.person(to) is None else ()
        return _noted(self._gallery.split(message.name, message.templates, message.to), to, alike)

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

    def _entry(self, name: str) -> PersonEntry | None:
        person = self._gallery.person(name)
        return _entry(person) if person else None


def _entry(person: PersonRecord) -> PersonEntry:
    return PersonEntry(person.name, person.templates, person.images, person.first)


def _event(event: Event) -> EventEntry:
    return EventEntry(
        event.id, event.at, event.op, event.text, event.names, event.undone_by is not None, event.undoable,
        event.token, event.address,
    )  # fmt: skip


def _changed(change: Change) -> Changed:
    return Changed(_event(change.event), tuple(map(_entry, change.people)))


def _noted(change: Change, name: str, alike: Sequence[str]) -> Changed:
    """With a note if somebody else has nearly the same name."""
    return replace(_changed(change), note=_warning(tidy(name), alike))


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
    return Rejection(index, "duplicate", f"{name} already has this picture, as {copy.path}", (lacking,))
