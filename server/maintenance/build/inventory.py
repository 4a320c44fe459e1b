"""Queries of a build: the gallery's pictures and templates, and likely mistakes in it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.storage.store import Store
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


def names_alike(store: Store, names: Set[str]) -> list[tuple[str, ...]]:
    """Groups of people whose names differ only in case and accents, with at least one in `names`; sorted."""
    groups: dict[str, list[str]] = {}
    for person in store.people():
        groups.setdefault(folded(person.name), []).append(person.name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1 and not names.isdisjoint(group))
