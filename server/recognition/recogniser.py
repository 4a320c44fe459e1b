"""`Recogniser`: answers requests about pictures, in the protocol's terms and without a socket.

The server, scripts/identify.py and the tests all use this class, so they all give the same answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from facewire.protocol.messages import (
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
from facewire.server.asker import WAITS_FOREVER, Asker
from facewire.server.comparison import distance
from facewire.server.errors import ModelMismatch, NoFace, UnknownPerson
from facewire.server.gallery.protocol import Gallery
from facewire.server.names import tidy
from facewire.server.recognition.decision import Decided, Judge
from facewire.server.recognition.enrolment import face_meant
from facewire.server.vision.alignment import turn_of
from facewire.server.vision.analyser import Features, FoundFace, Picture
from facewire.server.vision.emotion import Emotion
from facewire.server.vision.serving import ServingEngine

Handler = Callable[..., Result]


@dataclass(frozen=True, slots=True)
class ServiceCounts:
    """`faces` found since the start; `people` and `templates` enrolled now."""

    faces: int
    people: int
    templates: int
    model: str


class Recogniser:
    """Answers requests about pictures with an analyser and a gallery of the same spec. Thread-safe; its only state is a
    count of faces.

    Every method that takes pictures raises InvalidImage if one can't be decoded, Busy if too much is waiting, and
    TimedOut if `abandoned` became true before the work began.
    """

    def __init__(self, analyser: ServingEngine, gallery: Gallery, judge: Judge, *, runtime: str) -> None:
        """Raises ModelMismatch if the gallery's embeddings are of another spec than the analyser's."""
        if gallery.spec != analyser.spec:
            raise ModelMismatch(
                f"the gallery holds embeddings of {gallery.spec.model} ({gallery.spec.fingerprint}), the server "
                f"computes those of {analyser.spec.model} ({analyser.spec.fingerprint}): they can't be compared"
            )
        self._analyser = analyser
        self._gallery = gallery
        self._judge = judge
        self._runtime = runtime
        self._counting = threading.Lock()  # guards _faces
        self._faces = 0
        self._troubles = [gallery.trouble]

    @property
    def computing(self) -> Mapping[type[RequestBody], Handler]:
        """Request -> its handler, which is told by `abandoned` whether anybody still waits."""
        return {
            Identify: self.identify,
            Detect: self.detect,
            Embed: self.embed,
            Verify: self.verify,
            VerifyPerson: self.verify_person,
        }

    @property
    def handlers(self) -> Mapping[type[RequestBody], Handler]:
        """Request -> its handler."""
        return {Health: self.health}

    def identify(self, message: Identify, /, *, abandoned: Asker = WAITS_FOREVER) -> Identified:
        """Identifies every face in the picture. No face, or only strangers, is not an error."""
        begun = time.perf_counter()
        picture = self._counted(self._analyser.faces(message.image, emotion=message.emotion))
        found = time.perf_counter()
        features = self._analyser.features(picture.faces, abandoned)
        embedded = time.perf_counter()
        decided = self._judge.decide_all([feature.embedding for feature in features], message.k)
        faces = tuple(
            _identified(face, feature, its, message.k)
            for face, feature, its in zip(picture.faces, features, decided, strict=True)
        )
        done = time.perf_counter()
        timing = picture.timing_ms | _milliseconds(embed=embedded - found, search=done - embedded, total=done - begun)
        return Identified(faces, _size(picture), self._analyser.spec.model, timing)

    def detect(self, message: Detect, /, *, abandoned: Asker = WAITS_FOREVER) -> Detected:
        """Finds the faces without embedding them."""
        picture = self._counted(self._analyser.faces(message.image))
        faces = tuple(
            DetectedFace(face.box, face.landmarks, face.detection, turned=turn_of(face.landmarks))
            for face in picture.faces
        )
        return Detected(faces, _size(picture), picture.timing_ms | {"total": sum(picture.timing_ms.values())})

    def embed(self, message: Embed, /, *, abandoned: Asker = WAITS_FOREVER) -> Embedded:
        """Embeds the faces as probes, or by DeepFace's recipe. Raises BadRequest for a model that has none."""
        begun = time.perf_counter()
        if message.recipe == "own":
            picture = self._counted(self._analyser.faces(message.image))
            rows = [feature.embedding for feature in self._analyser.features(picture.faces, abandoned)]
        else:
            seen, found = self._analyser.as_deepface(message.image, message.recipe, abandoned)
            picture, rows = self._counted(seen), list(found)
        faces = tuple(
            EmbeddedFace(
                face.box,
                face.landmarks,
                face.detection,
                row.astype("<f4").tobytes(),
                turned=turn_of(face.landmarks),
            )
            for face, row in zip(picture.faces, rows, strict=True)
        )
        timing = picture.timing_ms | _milliseconds(total=time.perf_counter() - begun)
        return Embedded(faces, _size(picture), self._analyser.spec.model, self._analyser.spec.dimension, timing)

    def verify(self, message: Verify, /, *, abandoned: Asker = WAITS_FOREVER) -> Verified:
        """Do two pictures show the same person? Of several faces, the one at the given point is compared, else the
        largest central one. Raises NoFace.

        Both are embedded like enrolled pictures, from two views each. So the answer is symmetric, and slightly more
        accurate than with a probe of one view (docs/decisions/0048).
        """
        probe, seen = self._meant(message.image, message.at, "in the first picture, ")
        reference, other_seen = self._meant(message.other, message.other_at, "in the second picture, ")
        one, another = self._analyser.enrolments([probe, reference], abandoned)
        return replace(self._judge.compare(one, another, message.fmr), image=seen, other=other_seen)

    def verify_person(self, message: VerifyPerson, /, *, abandoned: Asker = WAITS_FOREVER) -> PersonVerified:
        """Is this the enrolled person of that name? Raises UnknownPerson, NoFace, and UnknownTemplate if nothing of
        them is enrolled any more."""
        name = tidy(message.name)
        person = self._gallery.person(name)
        if person is None:
            raise UnknownPerson(f"nobody called '{name}' is enrolled")
        face, seen = self._meant(message.image, message.at, "")
        (probe,) = self._analyser.enrolments([face], abandoned)
        found = self._judge.compare_with(person, probe, message.fmr)
        return PersonVerified(
            same=found.similarity >= found.threshold,
            name=person.name,
            templates=found.templates,
            similarity=found.similarity,
            distance=distance(found.similarity),
            threshold=found.threshold,
            margin=found.similarity - found.threshold,
            false_match=found.false_match,
            false_match_at_large=found.false_match_at_large,
            fmr=found.fmr,
            model=self._analyser.spec.model,
            image=seen,
        )

    def health(self, message: Health, /) -> HealthReport:
        """Runs every network once. Raises ModelMismatch if the database has been converted to another model."""
        self._gallery.check_current()
        inference_ms = self._analyser.check()
        counts = self._gallery.counts()
        reason = next(filter(None, (trouble() for trouble in self._troubles)), "")
        return HealthReport(
            not reason, self._analyser.spec.model, self._runtime, inference_ms, counts.people, counts.templates, reason
        )

    def watch_over(self, trouble: Callable[[], str]) -> None:
        """Makes `health` report `trouble` as well, which returns "" while all is well."""
        self._troubles.append(trouble)

    def counts(self) -> ServiceCounts:
        """The service's own counts in `stats`."""
        counts = self._gallery.counts()
        return ServiceCounts(self._faces, counts.people, counts.templates, self._analyser.spec.model)

    def _counted(self, picture: Picture) -> Picture:
        with self._counting:
            self._faces += len(picture.faces)
        return picture

    def _meant(self, data: bytes, at: tuple[float, float] | None, which: str) -> tuple[FoundFace, FacesSeen]:
        """The face that is meant in a picture, and all faces to choose from. Raises NoFace."""
        picture = self._counted(self._analyser.faces(data))
        try:
            number = face_meant(picture, at)
        except NoFace as error:
            raise NoFace(f"{which}{error}") from error
        return picture.faces[number], FacesSeen(tuple(face.box for face in picture.faces), number)


def _size(picture: Picture) -> ImageSize:
    return ImageSize(picture.width, picture.height)


def _identified(face: FoundFace, features: Features, decided: Decided, k: int) -> IdentifiedFace:
    verdict, threshold = decided.verdict, decided.threshold
    best = decided.matches[0] if decided.matches else None
    return IdentifiedFace(
        box=face.box,
        landmarks=face.landmarks,
        detection=face.detection,
        turned=turn_of(face.landmarks),
        decision=verdict.decision,
        name=best.name if best and verdict.decision == "match" else None,
        similarity=best.similarity if best else None,
        distance=best.distance if best else None,
        threshold=threshold,
        margin=best.similarity - threshold if best else None,
        false_match=verdict.false_match,
        candidates=decided.candidates(k),
        emotion=_emotion(features.emotion) if features.emotion else None,
    )


def _emotion(emotion: Emotion) -> EmotionAnswer:
    return EmotionAnswer(emotion.label, emotion.confidence, emotion.certain, emotion.scores)


def _milliseconds(**seconds: float) -> dict[str, float]:
    return {step: value * 1000 for step, value in seconds.items()}
