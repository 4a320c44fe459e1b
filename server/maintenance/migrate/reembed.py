"""Embeds all faces that lack a template of another model, committing as it goes, so that a crash loses little.

A face is found again in its picture's file if that is unchanged, else in the stored crop."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import InvalidImage
from facewire.server.maintenance.command import Batches, in_parallel, progress_bar
from facewire.server.maintenance.migrate.respec import EnrolledFace, Respec
from facewire.server.recognition.enrolment import face_meant
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.alignment import about, moved, turn_of
from facewire.server.vision.detector import Detection
from facewire.server.vision.engine import Engine

PAGE = 512
"""Faces read at once; with their crops about 5 MB."""


@dataclass(slots=True)
class Report:
    """The results of one run. `unseen`: faces that the new model can't embed."""

    originals: int = 0
    crops: int = 0
    unseen: list[Unseen] = field(default_factory=list)

    @property
    def embedded(self) -> int:
        """The number of faces embedded."""
        return self.originals + self.crops


def reembed(respec: Respec, old: EmbeddingSpec, engine: Engine, jobs: int) -> Report:
    """Embed every face that has no template of the new spec, including those enrolled meanwhile.

    Commits every two seconds: a run interrupted at any instant can be resumed.
    """
    report = Report()

    def embed(batch: Sequence[Seen]) -> Iterable[tuple[int, NDArray[np.float32]]]:
        embeddings = engine.templates([seen.crop for seen in batch])
        return zip((seen.face.template_id for seen in batch), embeddings, strict=True)

    batches = Batches(embed, respec.add)
    look = partial(see, old=old, engine=engine)
    with progress_bar(respec.lacking(), "faces") as bar:
        with closing(in_parallel(look, _lacking(respec), jobs)) as outcomes:
            for outcome in outcomes:
                match outcome:
                    case Unseen():
                        report.unseen.append(outcome)
                    case Seen(original=original):
                        batches.add(outcome)
                        report.originals += original
                        report.crops += not original
                bar.update()
        batches.finish()
    return report


def _lacking(respec: Respec) -> Iterator[EnrolledFace]:
    last = 0
    while faces := respec.faces(last, PAGE):
        yield from faces
        last = faces[-1].template_id


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
        return Unseen(face, f"{found}, and no crop of it was kept")
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
