"""Finds an enrolled face again: in its picture's file if that is unchanged, else in the stored crop."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import InvalidImage
from facewire.server.maintenance.migrate.respec import EnrolledFace
from facewire.server.recognition.main_face import face_meant
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.detector import Detection
from facewire.server.vision.engine import Engine
from facewire.server.vision.upright import about, moved, turn_of

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A face as the new network's input; `original`: cut from the picture itself."""

    face: EnrolledFace
    crop: Pixels
    original: bool


@dataclass(frozen=True, slots=True)
class Unseen:
    """A face that could not be found again, and why."""

    face: EnrolledFace
    reason: str

    @property
    def line(self) -> str:
        """A log line: person, path, reason."""
        return f"{self.face.person}\t{self.face.path}\t{self.reason}\n"


def see(face: EnrolledFace, old: EmbeddingSpec, engine: Engine) -> Seen | Unseen:
    """Find a face again; a failure gives a reason, never an exception."""
    found = _in_the_file(face, engine)
    if isinstance(found, Seen):
        return found
    if face.crop is None:
        return Unseen(face, f"{found}, and no crop of it is kept")
    try:
        crop = _in_the_crop(face, face.crop, old, engine)
    except InvalidImage as error:
        return Unseen(face, f"{found}, and its crop is damaged: {error}")
    return Unseen(face, f"{found}, and its crop shows no face") if crop is None else Seen(face, crop, original=False)


def _in_the_file(face: EnrolledFace, engine: Engine) -> Seen | str:
    if face.file is None:
        return "it came over the wire"
    try:
        data = face.file.read_bytes()
    except OSError as error:
        return f"its file can't be read ({error.strerror or error})"
    if hashlib.sha256(data).hexdigest() != face.sha256:
        return "its file has changed since"
    try:
        crop = engine.cut(data, Detection(face.box, face.landmarks, face.detection))
    except InvalidImage as error:
        return f"its file is damaged ({error})"
    return Seen(face, crop, original=True)


def _in_the_crop(face: EnrolledFace, crop: bytes, old: EmbeddingSpec, engine: Engine) -> Pixels | None:
    if old.crop.kind == "square":
        return engine.cut(crop, within_square_crop(face, old))
    # Aligned by the model's own rules, so the face's position is unknown and must be detected.
    picture = engine.faces(crop)
    return picture.faces[face_meant(picture)].crop if picture.faces else None


def within_square_crop(face: EnrolledFace, spec: EmbeddingSpec) -> Detection:
    """The position of a face in the upright crop that `server.vision.alignment.square_crop` made of it for `spec`."""
    x, y, width, height = face.box
    side = max(width, height) * (1 + spec.crop.margin)
    left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
    across, down = (size / side for size in spec.input_size)
    middle = (x + width / 2, y + height / 2)
    standing = moved(Detection(face.box, face.landmarks, face.detection), about(middle, turn_of(face.landmarks)))
    x, y, width, height = standing.box
    box = ((x - left) * across, (y - top) * down, width * across, height * down)
    landmarks = tuple(((px - left) * across, (py - top) * down) for px, py in standing.landmarks)
    return Detection(box, landmarks, face.detection)
