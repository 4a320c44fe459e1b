"""`RecognitionService`: what facewire does, in the protocol's words, without a socket in sight.

The server's dispatch, scripts/identify.py and the tests all call this one class, so they all give the same answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from facewire.protocol.messages import (
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
    Verified,
    Verify,
)
from facewire.server.comparison import distance, normalised, similarity_for
from facewire.server.errors import ModelMismatch, NoFace
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Match
from facewire.server.recognition.calibration import Calibration
from facewire.server.recognition.curation import Curation
from facewire.server.recognition.decision import Decider, Verdict
from facewire.server.recognition.main_face import face_meant
from facewire.server.recognition.mislabels import OthersFinder
from facewire.server.recognition.quality_gate import LIMITS, QualityLimits
from facewire.server.vision.analyser import Features, FoundFace, Picture
from facewire.server.vision.batching import Abandoned, never
from facewire.server.vision.emotion import Emotion
from facewire.server.vision.runtime import Floats
from facewire.server.vision.serving import ServingEngine
from facewire.server.vision.upright import turn_of


@dataclass(frozen=True, slots=True)
class ServiceCounts:
    """`faces` found since the start; `people` and `templates` enrolled now."""

    faces: int
    people: int
    templates: int
    model: str


class RecognitionService(Curation):
    """An analyser and a gallery of one spec. Thread-safe; holds no state of its own but a count of faces.

    Every method that takes pictures raises InvalidImage for what is none, Busy when too much is waiting, and TimedOut
    when `abandoned` became true before the work began.
    """

    def __init__(
        self,
        analyser: ServingEngine,
        gallery: Gallery,
        decider: Decider,
        *,
        runtime: str,
        limits: QualityLimits = LIMITS,
    ) -> None:
        """`limits`: to what is enrolled. Raises ModelMismatch when the gallery's embeddings are not the analyser's."""
        if gallery.spec != analyser.spec:
            raise ModelMismatch(
                f"the gallery holds embeddings of {gallery.spec.model} ({gallery.spec.fingerprint}), the server "
                f"computes those of {analyser.spec.model} ({analyser.spec.fingerprint}): they can't be compared"
            )
        if decider.normalised != (gallery.cohort is not None):
            raise ValueError("the decider and the gallery must both have a cohort, or neither")
        super().__init__(analyser, gallery, limits, OthersFinder(gallery, self._threshold))
        self._decider = decider
        self._calibration = Calibration(gallery, decider.prior)
        self._runtime = runtime
        self._counting = threading.Lock()  # guards _faces
        self._faces = 0
        self._troubles = [gallery.trouble]

    @property
    def analyser(self) -> ServingEngine:
        """What finds and embeds faces."""
        return self._analyser

    @property
    def gallery(self) -> Gallery:
        """Who is enrolled."""
        return self._gallery

    @property
    def decider(self) -> Decider:
        """What decides."""
        return self._decider

    @property
    def model(self) -> str:
        """DeepFace's name of the recognition model."""
        return self._analyser.spec.model

    @property
    def shift(self) -> float:
        """By how much nearer than the prior's people this gallery's come, normalised (see Calibration)."""
        return self._calibration.shift()

    def identify(self, message: Identify, /, *, abandoned: Abandoned = never) -> Identified:
        """Who is in the picture, face by face. No face, or only strangers, is an answer and not an error."""
        begun = time.perf_counter()
        picture = self._counted(self._analyser.faces(message.image, emotion=message.emotion))
        found = time.perf_counter()
        features = self._analyser.features(picture.faces, abandoned)
        embedded = time.perf_counter()
        faces = tuple(
            self._identified(face, feature, message.k) for face, feature in zip(picture.faces, features, strict=True)
        )
        done = time.perf_counter()
        timing = picture.timing_ms | _milliseconds(embed=embedded - found, search=done - embedded, total=done - begun)
        return Identified(faces, _size(picture), self.model, timing)

    def detect(self, message: Detect, /, *, abandoned: Abandoned = never) -> Detected:
        """Where the faces are; nothing is embedded."""
        picture = self._counted(self._analyser.faces(message.image))
        faces = tuple(
            DetectedFace(face.box, face.landmarks, face.detection, turned=turn_of(face.landmarks))
            for face in picture.faces
        )
        return Detected(faces, _size(picture), picture.timing_ms | {"total": sum(picture.timing_ms.values())})

    def embed(self, message: Embed, /, *, abandoned: Abandoned = never) -> Embedded:
        """The faces' embeddings, as probes are embedded."""
        begun = time.perf_counter()
        picture = self._counted(self._analyser.faces(message.image))
        features = self._analyser.features(picture.faces, abandoned)
        faces = tuple(
            EmbeddedFace(
                face.box,
                face.landmarks,
                face.detection,
                feature.embedding.astype("<f4").tobytes(),
                turned=turn_of(face.landmarks),
            )
            for face, feature in zip(picture.faces, features, strict=True)
        )
        timing = picture.timing_ms | _milliseconds(total=time.perf_counter() - begun)
        return Embedded(faces, _size(picture), self.model, self._analyser.spec.dimension, timing)

    def verify(self, message: Verify, /, *, abandoned: Abandoned = never) -> Verified:
        """Do two pictures show one person? Of several faces the one at `at` counts, or the largest central one. Raises
        NoFace.

        Both are embedded as enrolled pictures are, from two views each: the answer is the same when they change places,
        and knows a few people more than a probe of one view would (docs/decisions/0048).
        """
        probe, seen = self._meant(message.image, message.at, "first")
        reference, other_seen = self._meant(message.other, message.other_at, "second")
        one, another = self._analyser.enrolments([probe, reference], abandoned)
        return replace(self.compared(one, another, message.fmr), image=seen, other=other_seen)

    def compared(self, one: Floats, other: Floats, /, fmr: float | None = None) -> Verified:
        """Are these two embeddings, (d,) of unit length, one person's? `fmr`: by default the decider's own."""
        similarity = float(np.dot(one.astype(np.float64), other.astype(np.float64)))
        scale = float(np.prod(self._gallery.scales(np.stack([one, other]))))
        threshold = similarity_for(self._decider.verification_threshold(fmr), scale)
        relative = normalised(similarity, scale)
        return Verified(
            same=similarity >= threshold,
            similarity=similarity,
            distance=distance(similarity),
            threshold=threshold,
            margin=similarity - threshold,
            false_match=self._decider.false_match_alike(relative),
            model=self.model,
            fmr=self._decider.fmr if fmr is None else fmr,
            false_match_at_large=self._decider.false_match_at_large(relative),
        )

    def health(self, message: Health, /) -> HealthReport:
        """One real pass through every network. Raises ModelMismatch where another model took over the database."""
        self._gallery.check_current()
        inference_ms = self._analyser.check()
        counts = self._gallery.counts()
        reason = next(filter(None, (trouble() for trouble in self._troubles)), "")
        return HealthReport(
            not reason, self.model, self._runtime, inference_ms, counts.people, counts.templates, reason
        )

    def watch_over(self, trouble: Callable[[], str]) -> None:
        """Let `health` say what else is wrong: `trouble` is empty while nothing is."""
        self._troubles.append(trouble)

    def counts(self) -> ServiceCounts:
        """What `stats` says besides the traffic."""
        counts = self._gallery.counts()
        return ServiceCounts(self._faces, counts.people, counts.templates, self.model)

    def _threshold(self) -> float:
        """The normalised similarity from which on `identify` calls a face a match."""
        return self._decider.threshold(self._calibration.crowd(), self.shift)

    def _counted(self, picture: Picture) -> Picture:
        with self._counting:
            self._faces += len(picture.faces)
        return picture

    def _identified(self, face: FoundFace, features: Features, k: int) -> IdentifiedFace:
        matches, verdict, threshold = self.judged(features.embedding, k)
        best = matches[0] if matches else None
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
            candidates=tuple(_candidate(match) for match in matches[:k]),
            emotion=_emotion(features.emotion) if features.emotion else None,
        )

    def judged(self, embedding: Floats, k: int) -> tuple[tuple[Match, ...], Verdict, float]:
        """The nearest people to a probe, at least `k` of those there are; who it is; and the similarity that needs."""
        # Two at least: whether the second person is as likely decides between `match` and `ambiguous`.
        matches = self._gallery.search(embedding, max(k, 2))
        relative = [match.normalised for match in matches]
        verdict = self._decider.decide(relative, self._calibration.crowd(), self.shift)
        return matches, verdict, similarity_for(verdict.threshold, matches[0].scale if matches else 1.0)

    def _meant(self, data: bytes, at: tuple[float, float] | None, which: str) -> tuple[FoundFace, FacesSeen]:
        """The face in a picture that is meant, and what else there was to choose from. Raises NoFace."""
        picture = self._counted(self._analyser.faces(data))
        try:
            number = face_meant(picture, at)
        except NoFace as error:
            raise NoFace(f"in the {which} picture, {error}") from error
        return picture.faces[number], FacesSeen(tuple(face.box for face in picture.faces), number)


def _size(picture: Picture) -> ImageSize:
    return ImageSize(picture.width, picture.height)


def _candidate(match: Match) -> Candidate:
    return Candidate(match.name, match.similarity, match.distance, match.image)


def _emotion(emotion: Emotion) -> EmotionAnswer:
    return EmotionAnswer(emotion.label, emotion.confidence, emotion.certain, emotion.scores)


def _milliseconds(**seconds: float) -> dict[str, float]:
    return {step: value * 1000 for step, value in seconds.items()}
