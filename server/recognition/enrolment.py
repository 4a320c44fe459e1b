"""From a picture file to a face that may be enrolled, or a typed refusal: picks the face that is meant, and checks its
quality.

The only way into the gallery: `enrol` requests, albums' people and scripts/create_db.py all use it. Every probe is
compared with every template, so a bad template does harm for as long as it exists. The gate applies to enrolment only;
`identify` accepts any face."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.gallery_messages import Refusal, Shortcoming
from facewire.server.errors import InvalidImage, NoFace, Rejected, RequestError, SeveralFaces
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.vision.detector import Box
from facewire.server.vision.engine import Engine, Face, Picture
from facewire.server.vision.image import jpeg_bytes
from facewire.server.vision.quality import FaceQuality


def face_meant(picture: Picture, at: tuple[float, float] | None = None) -> int:
    """The index of the face at a point (x, y) of a picture, or of its main face without a point. Raises NoFace."""
    boxes = [face.box for face in picture.faces]
    if not boxes:
        raise NoFace("no face was found: send a picture that shows one")
    there = [index for index, box in enumerate(boxes) if at is None or _contains(box, *at)]
    if at is not None and not there:
        raise NoFace(f"no face was found at ({at[0]:g}, {at[1]:g})")
    return there[main_face([boxes[index] for index in there], picture.width, picture.height)]


def main_face(boxes: Sequence[Box], width: int, height: int) -> int:
    """The index of the largest central face among `boxes`, in a picture of `width` x `height` pixels.

    The face with the greatest product of area and closeness to the picture's centre wins, where closeness falls from 1
    in the centre to 0 in the corners; the earlier box wins a tie. So of two faces side by side, the larger one is
    meant; a passer-by at the edge must be much larger than the sitter to win; and a single face always wins. Raises
    ValueError if there are no boxes.
    """
    reach = math.hypot(width, height) / 2

    def weight(index: int) -> float:
        x, y, w, h = boxes[index]
        away = math.hypot(x + w / 2 - width / 2, y + h / 2 - height / 2)
        return w * h * (1 - away / reach)

    return max(range(len(boxes)), key=weight)


def _contains(box: Box, x: float, y: float) -> bool:
    left, top, width, height = box
    return left <= x < left + width and top <= y < top + height


PROFILE = 9.99
"""The largest yaw reported: beyond it one eye hides the other, and the ratio is meaningless."""


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """The worst values accepted for enrolment, in the units of `FaceQuality`. Chosen by measurement:
    docs/decisions/0029."""

    side: float = 24.0
    sharpness: float = 0.008
    yaw: float = 2.0
    range: float = 20.0
    white: float = 0.6
    outside: float = 0.33
    likeness: float = 0.8
    covered: float = 1.0


LIMITS = QualityLimits()

MIDDLE = 127.5
"""The middle level of luminance: a face without contrast is too dark below it and too bright above."""

_IN_WORDS: Mapping[str, str] = {
    "too_small": "the face is too small ({measured:.0f} px, at least {limit:.0f})",
    "blurred": "the face is blurred (sharpness {measured:.3f}, at least {limit:.3f})",
    "turned_away": "the face is turned away (by {measured:.2f}, at most {limit:.2f})",
    "too_dark": "the face is too dark (a range of {measured:.0f} levels, at least {limit:.0f})",
    "too_bright": "the face is too bright ({measured:.0%} of it white, at most {limit:.0%})",
    "not_a_face": "this doesn't look like a face (likeness {measured:.2f}, at least {limit:.2f})",
    "partly_outside": "the face is partly outside the picture ({measured:.0%} of it, at most {limit:.0%})",
}


def shortcomings(quality: FaceQuality, limits: QualityLimits, accept: Collection[str] = ()) -> tuple[Shortcoming, ...]:
    """Every failed check except those in `accept`; empty if the face may be enrolled."""
    return () if "all" in accept else tuple(one for one in _found(quality, limits) if one.reason not in accept)


def _found(quality: FaceQuality, limits: QualityLimits) -> Iterator[Shortcoming]:
    def lacking(reason: Refusal, measured: float, limit: float) -> Shortcoming:
        return Shortcoming(reason, measured, limit)

    if quality.side < limits.side:
        yield lacking("too_small", quality.side, limits.side)
    if quality.sharpness < limits.sharpness:
        yield lacking("blurred", quality.sharpness, limits.sharpness)
    if quality.yaw > limits.yaw:
        yield lacking("turned_away", min(quality.yaw, PROFILE), limits.yaw)
    if quality.range < limits.range and quality.brightness < MIDDLE:
        yield lacking("too_dark", quality.range, limits.range)
    if quality.white > limits.white:
        yield lacking("too_bright", quality.white, limits.white)
    if quality.outside > limits.outside:
        yield lacking("partly_outside", quality.outside, limits.outside)
    if quality.likeness < limits.likeness:
        yield lacking("not_a_face", quality.likeness, limits.likeness)


def doubt(quality: FaceQuality, limits: QualityLimits, accept: Collection[str] = ()) -> Shortcoming | None:
    """A reason to warn but not to refuse: the face is covered. None if it is not, or if `accept` waives it."""
    if quality.covered <= limits.covered or "covered" in accept or "all" in accept:
        return None
    return Shortcoming("covered", quality.covered, limits.covered)


COVERED = (
    "the face seems to be covered, by a mask, a scarf or dark glasses. That helps where the person is covered again; "
    "enrol a picture that shows the whole face as well"
)


def in_words(lacking: Sequence[Shortcoming]) -> str:
    """Explains the shortcomings, with numbers and advice. How to enrol the face regardless is for each client to
    explain."""
    said = "; ".join(_IN_WORDS[one.reason].format(measured=one.measured, limit=one.limit) for one in lacking)
    return f"{said}: send a better picture"


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A face that may be enrolled, and its picture. `sha256`, `size_bytes`: of the file; `width`, `height`: of the
    upright picture in pixels; `fingerprint`: perceptual hash (see `server.vision.analyser`); `doubt`: a warning
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
    error = SeveralFaces(f"{count} faces were found: send a picture of one person, or say which face to use")
    return Refused(error, (Shortcoming("several_faces", count, 1),))
