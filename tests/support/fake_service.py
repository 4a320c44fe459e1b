"""A deterministic stand-in for recognition: answers are derived from the sha256 of the bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
    Show,
    Split,
    TemplateEntry,
    Undo,
    Undone,
)
from facewire.protocol.messages import (
    EMOTIONS,
    Candidate,
    Detect,
    Detected,
    DetectedFace,
    Embed,
    Embedded,
    EmbeddedFace,
    EmotionAnswer,
    FacesSeen,
    Health,
    HealthReport,
    Identified,
    IdentifiedFace,
    Identify,
    ImageSize,
    PersonVerified,
    RequestBody,
    Result,
    Verified,
    Verify,
    VerifyPerson,
)
from facewire.server.errors import InvalidImage, UnknownPerson

NAMES = ("Ada Lovelace", "Björk Guðmundsdóttir", "李雷", "Grace Hopper")
BROKEN = b"this is no picture"  # refused as InvalidImage
BUG = b"this picture finds a bug"  # raises an error that no service should raise
PLACE = ImageSize(320, 240)
MOMENT = "2026-01-02T03:04:05+00:00"
PATIENCE_S = 20.0  # longest wait of a held request, so that a failing test ends


@dataclass(frozen=True, slots=True)
class FakeCounts:
    faces: int
    people: int = len(NAMES)
    templates: int = len(NAMES)
    model: str = "fake"


class FakeService:
    """Answers at once, except for pictures that begin with b"hold", which wait for `release`.

    `begun` is released once for each held request that has begun; `seen` lists all pictures processed.
    """

    def __init__(self) -> None:
        self.release = threading.Event()
        self.begun = threading.Semaphore(0)
        self._lock = threading.Lock()  # guards the list
        self._seen: list[bytes] = []

    @property
    def seen(self) -> list[bytes]:
        with self._lock:
            return list(self._seen)

    def identify(self, message: Identify, /, *, abandoned: Callable[[], bool]) -> Identified:
        self._look(message.image)
        return identified(message)

    def detect(self, message: Detect, /, *, abandoned: Callable[[], bool]) -> Detected:
        self._look(message.image)
        return Detected((detected(message.image),), PLACE, {})

    def embed(self, message: Embed, /, *, abandoned: Callable[[], bool]) -> Embedded:
        self._look(message.image)
        face = detected(message.image)
        embedding = hashlib.sha256(message.image).digest()
        embedded = EmbeddedFace(face.box, face.landmarks, face.detection, embedding)
        return Embedded((embedded,), PLACE, "fake", len(embedding) // 4, {})

    def verify(self, message: Verify, /, *, abandoned: Callable[[], bool]) -> Verified:
        self._look(message.image)
        self._look(message.other)
        same = message.image == message.other
        fmr = 0.001 if message.fmr is None else message.fmr
        seen = [
            FacesSeen(tuple(face.box for face in identified(Identify(each)).faces), 0)
            for each in (message.image, message.other)
        ]
        return Verified(same, float(same), 1.0 - same, 0.5, same - 0.5, 0.01, "fake", fmr, 0.001, *seen)

    def verify_person(self, message: VerifyPerson, /, *, abandoned: Callable[[], bool]) -> PersonVerified:
        self._look(message.image)
        seen = FacesSeen(tuple(face.box for face in identified(Identify(message.image)).faces), 0)
        return PersonVerified(True, message.name, 1, 1.0, 0.0, 0.5, 0.5, 0.01, 0.001, 0.001, "fake", seen)

    def people(self, message: People, /) -> PeopleListed:
        names = [name for name in sorted(NAMES) if message.contains.casefold() in name.casefold()]
        page = names[message.offset : message.offset + message.limit]
        return PeopleListed(tuple(PersonEntry(name, 1, 1) for name in page), len(names))

    def enrol(self, message: Enrol, /, *, abandoned: Callable[[], bool]) -> Enrolled:
        """Enrols pictures, except those that begin with b"nobody", which show no face."""
        added, rejected = [], []
        for index, image in enumerate(message.pictures):
            self._look(image)
            if image.startswith(b"nobody"):
                rejected.append(Rejection(index, "no_face", "no face was found"))
            else:
                face = detected(image)
                added.append(EnrolledTemplate(index, 1000 + index, face.box, face.detection))
        if not added:
            return Enrolled(None, (), tuple(rejected), None)
        person = PersonEntry(message.name, len(added), len(added))
        return Enrolled(person, tuple(added), tuple(rejected), event("enrol", message.name))

    def show(self, message: Show, /) -> PersonShown:
        if message.name == "nobody":
            raise UnknownPerson("nobody called nobody is enrolled")
        crop = b"\xff\xd8 a crop" if message.crops else None
        template = TemplateEntry(7, f"{message.name}.jpg", (1.0, 2.0, 30.0, 40.0), 0.9, MOMENT, crop)
        return PersonShown(PersonEntry(message.name, 1, 1), MOMENT, (template,)[message.offset :])

    def rename(self, message: Rename, /) -> Changed:
        return Changed(event("rename", message.name, message.to), (PersonEntry(message.to, 1, 1),))

    def merge(self, message: Merge, /) -> Changed:
        return Changed(event("merge", *message.names, message.into), (PersonEntry(message.into, 2, 2),))

    def split(self, message: Split, /) -> Changed:
        people = (PersonEntry(message.name, 0), PersonEntry(message.to, len(message.templates)))
        return Changed(event("split", message.name, message.to), people)

    def remove(self, message: Remove, /) -> Changed:
        return Changed(event("remove", message.name), ())

    def erase(self, message: Erase, /) -> Erased:
        return Erased(1, 1, 1, 0, 0, True, "", event("erase"))

    def undo(self, message: Undo, /) -> Undone:
        undone = tuple(event("rename", "Ada", "Ada Lovelace") for _ in range(message.count))
        return Undone(event("undo", "Ada"), undone, ())

    def history(self, message: History, /) -> HistoryListed:
        return HistoryListed((event("enrol", message.name or "Ada Lovelace"),)[: message.limit], 1)

    def health(self, message: Health, /) -> HealthReport:
        return HealthReport(True, "fake", "none", 0.5, len(NAMES), len(NAMES))

    def counts(self) -> FakeCounts:
        return FakeCounts(faces=len(self.seen))

    @property
    def computing(self) -> Mapping[type[RequestBody], Callable[..., Result]]:
        return {
            Identify: self.identify,
            Detect: self.detect,
            Embed: self.embed,
            Verify: self.verify,
            VerifyPerson: self.verify_person,
            Enrol: self.enrol,
        }

    @property
    def handlers(self) -> Mapping[type[RequestBody], Callable[..., Result]]:
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
            Health: self.health,
        }

    def _look(self, image: bytes) -> None:
        if image == BROKEN:
            raise InvalidImage("these bytes are not a picture")
        if image == BUG:
            raise ZeroDivisionError("a secret of the server")
        with self._lock:
            self._seen.append(image)
        if image.startswith(b"hold"):
            self.begun.release()
            self.release.wait(PATIENCE_S)


def event(op: str, *names: str) -> EventEntry:
    return EventEntry(1, MOMENT, op, f"{op} {', '.join(names)}", names, False, True)


def detected(image: bytes) -> DetectedFace:
    digest = hashlib.sha256(image).digest()
    x, y = float(digest[0]), float(digest[1])
    landmarks = tuple((x + i, y + i) for i in range(5))
    return DetectedFace((x, y, 40.0, 50.0), landmarks, digest[2] / 256)


def identified(message: Identify) -> Identified:
    """The service's answer: b"nobody..." shows no face, b"stranger..." an unknown one."""
    faces = () if message.image.startswith(b"nobody") else (_face(message),)
    return Identified(faces, PLACE, "fake", {"total": 1.5})


def _face(message: Identify) -> IdentifiedFace:
    digest = hashlib.sha256(message.image).digest()
    similarity = 0.6 + digest[3] / 1024
    ranked = [NAMES[(digest[4] + i) % len(NAMES)] for i in range(min(message.k, len(NAMES)))]
    candidates = tuple(Candidate(name, similarity - 0.1 * i, 0.5, f"{name}.jpg") for i, name in enumerate(ranked))
    known = not message.image.startswith(b"stranger")
    scores = {name: 0.4 if name == "happy" else 0.1 for name in EMOTIONS}
    where = detected(message.image)
    return IdentifiedFace(
        where.box,
        where.landmarks,
        where.detection,
        "match" if known else "unknown",
        ranked[0] if known else None,
        similarity,
        0.5,
        0.55,
        None if similarity is None else similarity - 0.55,
        0.01,
        candidates,
        EmotionAnswer("happy", 0.4, True, scores) if message.emotion else None,
    )
