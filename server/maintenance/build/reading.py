"""How a build reads pictures: files in, faces out that may be enrolled, in the files' order. `Here` does it in this
process, with the engine it is given; `cluster` asks workers on other machines, each of which has a `Here`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from facewire.server.gallery.records import NewPicture
from facewire.server.maintenance.build.folder import FoundFile
from facewire.server.maintenance.build.report import Reason, Skipped
from facewire.server.maintenance.command import in_parallel
from facewire.server.recognition.enrolment import LIMITS, Chosen, Refused, choose
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.engine import Engine


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose bytes are enrolled for this person."""

    file: FoundFile
    sha256: str


class Candidate(Protocol):
    """A file with a face that may be enrolled. `covered`: the face seems covered."""

    @property
    def file(self) -> FoundFile: ...
    @property
    def sha256(self) -> str: ...
    @property
    def fingerprint(self) -> bytes | None: ...
    @property
    def covered(self) -> bool: ...


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A candidate whose face is still to be embedded."""

    file: FoundFile
    chosen: Chosen

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self.chosen.sha256

    @property
    def fingerprint(self) -> bytes:
        """Of the picture."""
        return self.chosen.fingerprint

    @property
    def covered(self) -> bool:
        """Whether the face seems covered."""
        return self.chosen.doubt is not None


Outcome = Skipped | Known | Ready

Found = TypeVar("Found", bound=Candidate)

Holds = Callable[[str], Collection[str]]
"""The sha256 of the pictures that a person, by name, has already. Thread-safe."""


class Readers(Protocol[Found]):
    """What reads pictures for a build, and embeds their faces."""

    @property
    def spec(self) -> EmbeddingSpec:
        """What its embeddings mean."""
        ...

    def read(
        self, folder: Path, files: Sequence[FoundFile], holds: Holds, accept: Collection[str]
    ) -> Generator[Skipped | Known | Found, None, None]:
        """What becomes of each file, in the files' order; a bounded number of them is under way. Closing it ends what
        is under way. `accept`: see `enrolment.shortcomings`."""
        ...

    def embed(self, folder: Path, batch: Sequence[Found]) -> Iterable[tuple[str, NewPicture]]:
        """People's names, and the pictures to enrol for them."""
        ...


class Here:
    """Reads in `jobs` threads of this process, and embeds on the caller's."""

    def __init__(self, engine: Engine, jobs: int) -> None:
        self._engine = engine
        self._jobs = jobs

    @property
    def spec(self) -> EmbeddingSpec:
        """The engine's."""
        return self._engine.spec

    def read(
        self, folder: Path, files: Sequence[FoundFile], holds: Holds, accept: Collection[str]
    ) -> Generator[Outcome, None, None]:
        """See `Readers`."""
        return in_parallel(lambda file: look_at(file, folder, self._engine, holds, accept), files, self._jobs)

    def embed(self, folder: Path, batch: Sequence[Ready]) -> Iterable[tuple[str, NewPicture]]:
        """See `Readers`."""
        embeddings = self._engine.templates([ready.chosen.face.crop for ready in batch])
        for ready, embedding in zip(batch, embeddings, strict=True):
            file = ready.file
            yield file.person, ready.chosen.picture(embedding, file.path, str(folder), file.mtime_ns)


def look_at(file: FoundFile, folder: Path, engine: Engine, holds: Holds, accept: Collection[str] = ()) -> Outcome:
    """Read a file and choose its face; a file that can't be used gives a reason, never an exception.

    `accept`: see `enrolment.shortcomings`.
    """
    try:
        data = (folder / file.path).read_bytes()
    except OSError as error:
        return Skipped(file.path, Reason.UNREADABLE, error.strerror or str(error))
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 in holds(file.person):
        return Known(file, sha256)
    chosen = choose(data, sha256, engine, LIMITS, accept)
    return _skipped(file, chosen) if isinstance(chosen, Refused) else Ready(file, chosen)


def _skipped(file: FoundFile, refused: Refused) -> Skipped:
    match refused.reason:
        case "invalid_image":
            return Skipped(file.path, Reason.BROKEN, str(refused.error))
        case "no_face":
            return Skipped(file.path, Reason.NO_FACE)
        case reason:
            return Skipped(file.path, Reason(reason), str(refused.error))
