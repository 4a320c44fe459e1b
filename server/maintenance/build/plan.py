"""Compares the folder with the gallery: which files are new, changed, moved, gone or duplicates."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Set
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.text import counted, printable
from facewire.server.gallery.search.lookalikes import Lookalikes
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.build.folder import FoundFile, Scan
from facewire.server.maintenance.build.report import Reason, Skipped
from facewire.server.names import folded
from facewire.server.spec import EmbeddingSpec


class Enrolled(NamedTuple):
    """A picture as stored in the gallery. `source` and `mtime_ns` are None for one received over the wire."""

    image_id: int
    person: str
    source: str | None
    path: str
    size_bytes: int
    mtime_ns: int | None
    sha256: str
    fingerprint: bytes | None


class Before(NamedTuple):
    """The gallery before a build: no spec and no pictures if it does not exist yet."""

    spec: EmbeddingSpec | None
    pictures: list[Enrolled]


def look_into(db: Path) -> Before:
    """Read the gallery at `db`. Raises StartError if the file is anything but a gallery, which is never overwritten."""
    if not db.exists():
        return Before(None, [])
    with closing(Store.open(db)) as store:
        return Before(store.spec, list(enrolled_pictures(store)))


class Held(NamedTuple):
    """Templates of the current spec: embeddings (n, d), and the picture and person of each."""

    embeddings: NDArray[np.float32]
    image_ids: NDArray[np.int64]
    names: tuple[str, ...]


def held(store: Store) -> Held:
    """Every template, sorted by id."""
    names = {person.id: person.name for person in store.people()}
    chunks = list(store.template_chunks())
    return Held(
        np.concatenate([np.zeros((0, store.spec.dimension), np.float32), *(chunk.embeddings for chunk in chunks)]),
        np.array([image_id for chunk in chunks for image_id in chunk.image_ids], np.int64),
        tuple(names[person_id] for chunk in chunks for person_id in chunk.person_ids),
    )


def enrolled_pictures(store: Store) -> Iterator[Enrolled]:
    """Every picture, sorted by id."""
    query = (
        "SELECT i.id, p.name, i.source, i.path, i.size, i.mtime_ns, i.sha256, i.fingerprint"
        " FROM images i JOIN people p ON p.id = i.person_id ORDER BY i.id"
    )
    return (Enrolled(*row) for row in store.execute(query))


def shared_pictures(store: Store, source: str) -> Iterator[tuple[str, str]]:
    """(path, other person's name) for every picture of `source` whose bytes are also enrolled for another person."""
    query = (
        "SELECT mine.path, p.name FROM images mine"
        " JOIN images other ON other.sha256 = mine.sha256 AND other.person_id <> mine.person_id"
        " JOIN people p ON p.id = other.person_id WHERE mine.source = ? ORDER BY mine.path, p.name"
    )
    return iter(store.execute(query, (source,)))


def names_alike(everybody: Iterable[str], names: Set[str]) -> list[tuple[str, ...]]:
    """Groups of people whose names differ only in case and accents, with at least one in `names`; sorted."""
    groups: dict[str, list[str]] = {}
    for name in everybody:
        groups.setdefault(folded(name), []).append(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1 and not names.isdisjoint(group))


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Relink:
    """An enrolled picture that was found under this path; only its location changes."""

    image_id: int
    source: str
    path: str
    mtime_ns: int


class Plan:
    """Which files are new, changed, moved or gone, and which pictures are already enrolled under another name.

    Decided file by file, as their bytes are read. `hashes` is thread-safe, everything else is for one thread.
    """

    def __init__(self, source: str, enrolled: Iterable[Enrolled], files: Iterable[FoundFile]) -> None:
        """`source`: the folder, absolute, as stored with its pictures; `files`: its current files."""
        self.source = source
        self._files = {file.path: file for file in files}
        self._by_path: dict[str, Enrolled] = {}
        self._by_bytes: dict[tuple[str, str], Enrolled] = {}
        self._hashes: dict[str, set[str]] = defaultdict(set)
        self._alike: dict[str, _Alike[Enrolled]] = defaultdict(_Alike)
        for picture in enrolled:
            self._by_bytes[picture.person, picture.sha256] = picture
            self._hashes[picture.person].add(picture.sha256)
            self._alike[picture.person].add(picture.fingerprint, picture)
            if picture.source == source:
                self._by_path[picture.path] = picture
        self._claimed: dict[tuple[str, str], str] = {}
        self._claimed_alike: dict[str, _Alike[str]] = defaultdict(_Alike)
        self._settled: set[str] = set()
        self._relinked: set[int] = set()
        self._superseded: set[int] = set()
        self._copies = 0

    def has_path(self, path: str) -> bool:
        """Whether a picture is enrolled under that path, possibly with other bytes."""
        return path in self._by_path

    def unchanged(self) -> int:
        """The number of unchanged enrolled files."""
        return sum(map(self.is_unchanged, self._files.values()))

    def is_unchanged(self, file: FoundFile) -> bool:
        """Whether path, size and time match an enrolled picture, so that its bytes need not be read."""
        known = self._by_path.get(file.path)
        return known is not None and (known.size_bytes, known.mtime_ns) == (file.size_bytes, file.mtime_ns)

    def hashes(self, person: str) -> Set[str]:
        """The sha256 of the pictures that the person has."""
        return self._hashes.get(person, frozenset())

    def resume(self, staged: Iterable[Enrolled]) -> list[Enrolled]:
        """Take over pictures staged by an interrupted build whose files are unchanged and still wanted; returns them.
        Their files need not be processed again."""
        return [picture for picture in staged if self._take_over(picture)]

    def _take_over(self, staged: Enrolled) -> bool:
        file = self._files.get(staged.path)
        if file is None or staged.source != self.source or self.is_unchanged(file):
            return False
        as_staged = (staged.person, staged.size_bytes, staged.mtime_ns) == (file.person, file.size_bytes, file.mtime_ns)
        if not as_staged or staged.sha256 in self.hashes(file.person):
            return False
        if self.claim(file, staged.sha256, staged.fingerprint) is not None:
            return False
        self._settled.add(file.path)
        return True

    def waiting(self) -> list[FoundFile]:
        """The files to process: neither enrolled unchanged nor taken over."""
        return [file for file in self._files.values() if not self.is_unchanged(file) and file.path not in self._settled]

    def claim(self, file: FoundFile, sha256: str, fingerprint: bytes | None) -> Skipped | None:
        """Claim a picture for `file`; returns the reason to skip it if the person already has it, or gets it in this
        run.

        An enrolled picture whose file is gone is superseded by its re-encoded or resized copy.
        """
        first = self._claimed.setdefault((file.person, sha256), file.path)
        if first != file.path:
            return Skipped(file.path, Reason.SAME, first)
        known = self._alike[file.person].find(fingerprint)
        if known is not None and (known.source, known.path) != (self.source, file.path):
            if known.source is None or self._stands(known):
                self._copies += 1
                return Skipped(file.path, Reason.ALIKE, known.path)
            self._superseded.add(known.image_id)
        earlier = self._claimed_alike[file.person].find(fingerprint)
        if earlier is not None:
            return Skipped(file.path, Reason.ALIKE, earlier)
        self._claimed_alike[file.person].add(fingerprint, file.path)
        return None

    def recognise(self, file: FoundFile, sha256: str) -> Relink | Skipped:
        """Handle a file whose bytes the person has already: it was touched, moved, or is a second copy."""
        known = self._by_bytes[file.person, sha256]
        if (known.source, known.path) != (self.source, file.path) and self._stands(known):
            self._copies += 1
            return Skipped(file.path, Reason.SAME, known.path)
        first = self._claimed.setdefault((file.person, sha256), file.path)
        if first != file.path:
            return Skipped(file.path, Reason.SAME, first)
        self._relinked.add(known.image_id)
        return Relink(known.image_id, self.source, file.path, file.mtime_ns)

    def copies(self) -> int:
        """The number of files that are skipped because the database has the picture from elsewhere."""
        return self._copies

    def superseded(self) -> list[int]:
        """Ids of enrolled pictures whose files are gone and which this run replaces by a copy in another format or
        size."""
        return sorted(self._superseded - self._relinked)

    def gone(self, unusable: Collection[str]) -> list[Enrolled]:
        """Enrolled pictures of the folder that are no longer in it under any name, after every file was processed.

        `unusable`: skipped paths in the folder. Pictures at or below them are not considered gone.
        """
        return [
            picture
            for path, picture in self._by_path.items()
            if path not in self._files
            and picture.image_id not in self._relinked | self._superseded
            and not any(str(place) in unusable for place in (PurePosixPath(path), *PurePosixPath(path).parents))
        ]

    def enrolled_here(self) -> int:
        """The number of pictures enrolled from this folder."""
        return len(self._by_path)

    def _stands(self, known: Enrolled) -> bool:
        """Whether the picture's own file still exists as enrolled."""
        if known.source is None:
            return False
        if known.source == self.source:
            file = self._files.get(known.path)
            return file is not None and self.is_unchanged(file)
        return Path(known.source, known.path).exists()


def preview(folder: Path, plan: Plan, found: Scan, *, prune: bool) -> list[str]:
    """What a build would do, as lines for the user. Compares names, sizes and times, and bytes only where a picture may
    have moved.

    Raises OSError if a file can't be read.
    """
    waiting = plan.waiting()
    gone = plan.gone({skip.path for skip in found.skipped})
    lost = {(picture.person, picture.sha256): picture.path for picture in gone}
    sizes = {picture.size_bytes for picture in gone}
    moved = {
        lost[key]: file.path
        for file in waiting
        if file.size_bytes in sizes and (key := (file.person, _sha256(folder, file))) in lost
    }
    changed = [file.path for file in waiting if plan.has_path(file.path)]
    fresh = [file.path for file in waiting if not plan.has_path(file.path) and file.path not in moved.values()]
    leaving = "would be removed" if prune else "gone from the folder; stays enrolled without --prune"
    return [
        *(f"{printable(path)}\twould be read: new" for path in fresh),
        *(f"{printable(path)}\twould be read: changed" for path in changed),
        *(f"{printable(path)}\tmoved to {printable(moved[path])}" for path in moved),
        *(f"{printable(picture.path)}\t{leaving}" for picture in gone if picture.path not in moved),
        *(printable(skip.path) + f"\twould be skipped: {printable(skip.line)}" for skip in found.skipped),
        f"{len(fresh)} new, {len(changed)} changed, {len(moved)} moved, {plan.unchanged()} unchanged,"
        f" {len(gone) - len(moved)} gone; nothing was written",
        *([f"  {counted(len(found.skipped), 'file or folder', 'files or folders')} skipped"] if found.skipped else []),
        *([f"  {found.left_out.said()}"] if found.left_out.total else []),
    ]


class _Alike(Generic[T]):
    """Values indexed by their pictures' fingerprints."""

    def __init__(self) -> None:
        self._prints, self._values = Lookalikes(), list[T]()

    def add(self, fingerprint: bytes | None, value: T) -> None:
        if fingerprint is not None:
            self._prints.add(fingerprint)
            self._values.append(value)

    def find(self, fingerprint: bytes | None) -> T | None:
        found = None if fingerprint is None else self._prints.find(fingerprint)
        return None if found is None else self._values[found]


def _sha256(folder: Path, file: FoundFile) -> str:
    with (folder / file.path).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
