"""From files to templates: decoding and detection in a pool of threads, embedding in batches behind it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import InvalidImage
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.maintenance.build.folder import FoundFile
from facewire.server.maintenance.build.skips import Reason, Skipped
from facewire.server.recognition.main_face import main_face
from facewire.server.recognition.quality_gate import LIMITS, doubt, in_words, shortcomings
from facewire.server.vision.engine import Engine, Face
from facewire.server.vision.image import jpeg_bytes

BATCH = 8
"""Faces embedded at once: the runtime's largest batch, beyond which a face gets no cheaper."""


class BuildingEngine(Engine, Protocol):
    """What building needs besides."""

    def fingerprint(self, data: bytes) -> bytes:
        """What a picture looks like, for `server.gallery.search.lookalikes`. Raises InvalidImage."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose bytes the person has enrolled."""

    file: FoundFile
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A file's chosen face, ready to be embedded."""

    file: FoundFile
    sha256: str
    fingerprint: bytes
    width: int
    height: int
    face: Face
    covered: bool = False


Outcome = Skipped | Known | Ready

Item = TypeVar("Item")
Result = TypeVar("Result")


def look_at(
    file: FoundFile,
    folder: Path,
    engine: BuildingEngine,
    holds: Callable[[str, str], bool],
    accept: Collection[str] = (),
) -> Outcome:
    """Read a file, find its face, and see whether it is good enough or `accept`ed all the same; what can't be used
    becomes a reason, never an exception."""
    try:
        data = (folder / file.path).read_bytes()
    except OSError as error:
        return Skipped(file.path, Reason.UNREADABLE, error.strerror or str(error))
    sha256 = hashlib.sha256(data).hexdigest()
    if holds(file.person, sha256):
        return Known(file, sha256)
    try:
        picture = engine.faces(data)
        fingerprint = engine.fingerprint(data) if picture.faces else b""
    except InvalidImage as error:
        return Skipped(file.path, Reason.BROKEN, str(error))
    if not picture.faces:
        return Skipped(file.path, Reason.NO_FACE)
    chosen = picture.faces[main_face([face.box for face in picture.faces], picture.width, picture.height)]
    quality = engine.quality(chosen, picture)
    lacking = shortcomings(quality, LIMITS, accept)
    if lacking:
        return Skipped(file.path, Reason(lacking[0].reason), in_words(lacking))
    covered = doubt(quality, LIMITS, accept) is not None
    return Ready(file, sha256, fingerprint, picture.width, picture.height, chosen, covered)


def in_parallel(look: Callable[[Item], Result], files: Iterable[Item], jobs: int) -> Generator[Result, None, None]:
    """Every file's outcome, in the order of `files`, so that two builds of one folder give the same database.

    At most 4 files a job are begun and not yet taken, which bounds memory however slow the taker is. Leaving early
    (Ctrl-C, an error) waits for the files under way and begins no other.
    """
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="look")
    try:
        rest = iter(files)
        begun: deque[Future[Result]] = deque()
        while True:
            begun.extend(pool.submit(look, file) for file in islice(rest, 4 * jobs - len(begun)))
            if not begun:
                return
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def embed(engine: BuildingEngine, ready: Sequence[Ready], source: str) -> list[tuple[str, NewPicture]]:
    """The pictures with their people's names, after one call of the engine."""
    embeddings = engine.templates([item.face.crop for item in ready])
    return [
        (
            item.file.person,
            NewPicture(
                sha256=item.sha256,
                size_bytes=item.file.size_bytes,
                path=item.file.path,
                width=item.width,
                height=item.height,
                templates=(_template(item.face, embedding),),
                source=source,
                mtime_ns=item.file.mtime_ns,
                fingerprint=item.fingerprint,
            ),
        )
        for item, embedding in zip(ready, embeddings, strict=True)
    ]


def _template(face: Face, embedding: NDArray[np.float32]) -> NewTemplate:
    return NewTemplate(embedding, face.box, face.landmarks, float(face.detection), jpeg_bytes(face.crop))
