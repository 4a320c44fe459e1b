"""From pictures to what may be enrolled: one face each, or a typed reason why not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from facewire.protocol.gallery_messages import Enrol, Rejection, Shortcoming
from facewire.server.errors import InvalidImage, NoFace, Rejected, RequestError, SeveralFaces, TimedOut
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.recognition.main_face import face_meant
from facewire.server.recognition.quality_gate import COVERED, QualityLimits, doubt, in_words, shortcomings
from facewire.server.vision.analyser import Analyser, FoundFace, Picture
from facewire.server.vision.batching import Abandoned
from facewire.server.vision.image import jpeg_bytes


@dataclass(frozen=True, slots=True)
class Chosen:
    """A picture with the face in it that is meant; `index`: its place in the request."""

    index: int
    data: bytes
    label: str
    picture: Picture
    face: FoundFace
    doubt: Shortcoming | None = None

    @property
    def doubts(self) -> tuple[Rejection, ...]:
        """As the wire has it: what is said of a picture that is enrolled."""
        return (Rejection(self.index, "covered", COVERED, (self.doubt,)),) if self.doubt else ()


REASON_OF: Mapping[type[RequestError], str] = {
    InvalidImage: "invalid_image",
    NoFace: "no_face",
    SeveralFaces: "several_faces",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that can't be enrolled, and the error that it would be alone."""

    index: int
    error: RequestError
    shortcomings: tuple[Shortcoming, ...] = ()

    @property
    def rejection(self) -> Rejection:
        """As the wire has it."""
        return Rejection(self.index, self._reason, str(self.error), self.shortcomings)

    @property
    def _reason(self) -> str:
        if isinstance(self.error, Rejected):
            return self.error.reason
        return next(REASON_OF[kind] for kind in type(self.error).__mro__ if kind in REASON_OF)


Looked = tuple[list[Chosen], list[Refused]]


def look_at(message: Enrol, analyser: Analyser, limits: QualityLimits, abandoned: Abandoned) -> Looked:
    """Find the face that is meant in every picture, and see whether it keeps the limits that are not waived. Raises
    TimedOut once nobody waits any more."""
    chosen: list[Chosen] = []
    refused: list[Refused] = []
    for index, data in enumerate(message.pictures):
        if abandoned():
            raise TimedOut("nobody waits for this any more")
        if index:
            abandoned.progress(index, len(message.pictures))
        label = message.labels[index] if message.labels else hashlib.sha256(data).hexdigest()[:16]
        try:
            picture = analyser.faces(data)
            face = _face_meant(picture, message, index)
        except SeveralFaces as error:
            refused.append(Refused(index, error, (Shortcoming("several_faces", len(picture.faces), 1),)))
            continue
        except (InvalidImage, NoFace) as error:
            refused.append(Refused(index, error))
            continue
        quality = analyser.quality(face, picture)
        lacking = shortcomings(quality, limits, message.accept)
        if lacking:
            refused.append(Refused(index, Rejected(in_words(lacking), reason=lacking[0].reason), lacking))
        else:
            chosen.append(Chosen(index, data, label, picture, face, doubt(quality, limits, message.accept)))
    return chosen, refused


def embed(chosen: Sequence[Chosen], analyser: Analyser, abandoned: Abandoned) -> list[NewPicture]:
    """The pictures as the gallery takes them, in the order of `chosen`. Raises Busy and TimedOut."""
    embeddings = analyser.enrolments([one.face for one in chosen], abandoned)
    return [
        NewPicture(
            sha256=hashlib.sha256(one.data).hexdigest(),
            size_bytes=len(one.data),
            path=one.label,
            width=one.picture.width,
            height=one.picture.height,
            fingerprint=analyser.fingerprint(one.data),
            templates=(
                NewTemplate(embedding, one.face.box, one.face.landmarks, one.face.detection, jpeg_bytes(one.face.crop)),
            ),
        )
        for one, embedding in zip(chosen, embeddings, strict=True)
    ]


def _face_meant(picture: Picture, message: Enrol, index: int) -> FoundFace:
    """Raises NoFace and SeveralFaces."""
    faces, at = picture.faces, message.point(index)
    meant = face_meant([face.box for face in faces], picture.width, picture.height, at)
    if len(faces) > 1 and at is None and message.several == "refuse" and not message.accepts("several_faces"):
        raise SeveralFaces(f"{len(faces)} faces were found: send a picture of one person, or say which face is meant")
    return faces[meant]
