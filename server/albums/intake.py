"""One file of an addition, whatever it comes from: a video by way of the disk, anything else by way of memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from facewire.protocol.albums.adding import AlbumAdded
from facewire.server.albums.additions import Addition
from facewire.server.albums.ingest import AlsoWrite, Ingest
from facewire.server.albums.originals import Originals, Written
from facewire.server.albums.poison import MOST_DEATHS, PoisonGuard
from facewire.server.albums.zips import Entry
from facewire.server.errors import InvalidImage
from facewire.server.jobs import Job


class Intake:
    """Used by the thread that adds. All methods raise InvalidImage, also for a file with which the server crashed again
    and again; OverLimit, UnknownAlbum, OSError; and Stopped when the server stops."""

    def __init__(self, originals: Originals, ingest: Ingest, folder: Path) -> None:
        """`folder`: where a note of the file that is being looked at may be kept."""
        self._originals = originals
        self._ingest = ingest
        self._guard = PoisonGuard(folder / "adding")

    def take(
        self,
        addition: Addition,
        place: str,
        entry: Entry,
        note: AlsoWrite,
        job: Job,
        sidecars: Sequence[bytes] | None = None,
    ) -> AlbumAdded:
        """Adds the file at `place`, which has bytes. `sidecars`: as `Ingest.add` takes them."""
        self.refuse_poison(addition, place)
        if entry.film is None:
            assert entry.data is not None
            return self.add(addition, place, entry, entry.data, note, job, sidecars)
        written = self._originals.take(_stoppable(entry.film(), job))
        try:
            return self.add(addition, place, entry, written, note, job)
        finally:
            written.path.unlink(missing_ok=True)

    def add(
        self,
        addition: Addition,
        place: str,
        entry: Entry,
        file: bytes | Written,
        note: AlsoWrite,
        job: Job,
        sidecars: Sequence[bytes] | None = None,
    ) -> AlbumAdded:
        """Adds what is in memory, or on the disk, already."""
        looking, mark, modified = self._guard.looking_at, _mark(addition, place), entry.modified
        return job.patiently(
            lambda: self._ingest.add(addition.album, entry.name, file, note, looking(mark), modified, sidecars)
        )

    def refuse_poison(self, addition: Addition, place: str) -> None:
        """Raises InvalidImage for a file during which the server died too often."""
        if _mark(addition, place) in self._guard.poisonous:
            raise InvalidImage(f"the server crashed {MOST_DEATHS} times while reading this file")

    def forgive(self) -> None:
        """If somebody asks for such files again, they get new attempts."""
        for mark in self._guard.poisonous:
            self._guard.forget(mark)


def _mark(addition: Addition, place: str) -> str:
    """What the guard knows a file by."""
    return hashlib.sha256(f"{addition.source}/{place}".encode()).hexdigest()


def _stoppable(blocks: Iterable[bytes], job: Job) -> Iterator[bytes]:
    """The same blocks, until the server stops."""
    for block in blocks:
        job.counted(job.state.done, job.state.total)
        yield block
