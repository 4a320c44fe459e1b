"""From a picture file to a face that may be enrolled, or a typed refusal.

The only way into the gallery: `enrol` requests, albums' people and scripts/create_db.py all use it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.gallery_messages import Shortcoming
from facewire.server.errors import InvalidImage, NoFace, Rejected, RequestError, SeveralFaces
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.recognition.main_face import face_meant
from facewire.server.recognition.quality_gate import QualityLimits, doubt, in_words, shortcomings
from facewire.server.vision.engine import Engine, Face
from facewire.server.vision.image import jpeg_bytes


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A face that may be enrolled, and its picture. `sha256`, `size_bytes`: of the file; `width`, `height`: of the
    upright picture in pixels; `fingerprint`: perceptual hash (see `server.vision.fingerprint`); `doubt`: a warning
    that does not prevent enrolment."""

    sha256: str
    size_bytes: int
    width: int
    height: int
    fingerprint: bytes
    face: Face
    doubt: Shortcoming | None = None

    def picture(
        self, embedding: NDArray[np.float32], path: str, source: str | None = None, mtime_ns: int | None = None
    ) -> NewPicture:
        """The picture for the gallery. `embedding`: the face's, (d,); the rest as in `NewPicture`."""
        face = self.face
        template = NewTemplate(embedding, face.box, face.landmarks, float(face.detection), jpeg_bytes(face.crop))
        return NewPicture(
            sha256=self.sha256,
            size_bytes=self.size_bytes,
            path=path,
            width=self.width,
            height=self.height,
            templates=(template,),
            source=source,
            mtime_ns=mtime_ns,
            fingerprint=self.fingerprint,
        )


_REASONS: Mapping[type[RequestError], str] = {
    InvalidImage: "invalid_image",
    NoFace: "no_face",
    SeveralFaces: "several_faces",
}


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that can't be enrolled: the error raised if it was sent alone, and all measured shortcomings."""

    error: RequestError
    shortcomings: tuple[Shortcoming, ...] = ()

    @property
    def reason(self) -> str:
        """The reason code on the wire."""
        if isinstance(self.error, Rejected):
            return self.error.reason
        return next(_REASONS[kind] for kind in type(self.error).__mro__ if kind in _REASONS)


def choose(
    data: bytes,
    sha256: str,
    engine: Engine,
    limits: QualityLimits,
    accept: Collection[str] = (),
    *,
    at: tuple[float, float] | None = None,
    alone: bool = False,
) -> Chosen | Refused:
    """Decodes a picture, picks the face that is meant, and checks it against the `limits` not waived by `accept`.

    `sha256`: of `data`. `at`: a point (x, y) in the face that is meant; by default the main face is. `alone`: without a
    point, refuse pictures of several faces. Raises what `Engine.faces` raises, except InvalidImage.
    """
    try:
        picture = engine.faces(data)
        face = picture.faces[face_meant(picture, at)]
        if alone and at is None and len(picture.faces) > 1:
            return _several(len(picture.faces))
        quality = engine.quality(face, picture)
        lacking = shortcomings(quality, limits, accept)
        if lacking:
            return Refused(Rejected(in_words(lacking), reason=lacking[0].reason), lacking)
        fingerprint = engine.fingerprint(data)
    except (InvalidImage, NoFace) as error:
        return Refused(error)
    said = doubt(quality, limits, accept)
    return Chosen(sha256, len(data), picture.width, picture.height, fingerprint, face, said)


def _several(count: int) -> Refused:
    error = SeveralFaces(f"{count} faces were found: send a picture of one person, or say which face is meant")
    return Refused(error, (Shortcoming("several_faces", count, 1),))
