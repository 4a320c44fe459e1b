"""What a build asks of a gallery on disk: its pictures, its templates, and what looks like a mistake in it."""

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
    """A picture as the gallery remembers it. `source` and `mtime_ns` are None for one that came over the wire."""

    image_id: int
    person: str
    source: str | None
    path: str
    size_bytes: int
    mtime_ns: int | None
    sha256: str
    fingerprint: bytes | None


class Before(NamedTuple):
    """A gallery as a build finds it: no spec and no pictures where there is none yet."""

    spec: EmbeddingSpec | None
    pictures: list[Enrolled]


def look_into(db: Path) -> Before:
    """What is at `db`. Raises StartError where that is something else than a gallery, which is never overwritten."""
    if not db.exists():
        return Before(None, [])
    with closing(Store.open(db)) as store:
        return Before(store.spec, list(enrolled_pictures(store)))


class Held(NamedTuple):
    """Templates of the current spec: (n, d), and of each its picture and its person."""

    embeddings: NDArray[np.float32]
    image_ids: NDArray[np.int64]
    names: tuple[str, ...]


def held(store: Store) -> Held:
    """Every template, by id."""
    names = {person.id: person.name for person in store.people()}
    chunks = list(store.template_chunks())
    return Held(
        np.concatenate([np.zeros((0, store.spec.dimension), np.float32), *(chunk.embeddings for chunk in chunks)]),
        np.array([image_id for chunk in chunks for image_id in chunk.image_ids], np.int64),
        tuple(names[person_id] for chunk in chunks for person_id in chunk.person_ids),
    )


def enrolled_pictures(store: Store) -> Iterator[Enrolled]:
    """Every picture, by id."""
    query = (
        "SELECT i.id, p.name, i.source, i.path, i.size, i.mtime_ns, i.sha256, i.fingerprint"
        " FROM images i JOIN people p ON p.id = i.person_id ORDER BY i.id"
    )
    return (Enrolled(*row) for row in store.execute(query))


def shared_pictures(store: Store, source: str) -> Iterator[tuple[str, str]]:
    """(path, name of the other person) for every picture of `source` whose bytes are another person's too."""
    query = (
        "SELECT mine.path, p.name FROM images mine"
        " JOIN images other ON other.sha256 = mine.sha256 AND other.person_id <> mine.person_id"
        " JOIN people p ON p.id = other.person_id WHERE mine.source = ? ORDER BY mine.path, p.name"
    )
    return iter(store.execute(query, (source,)))


def names_alike(store: Store, names: Set[str]) -> list[tuple[str, ...]]:
    """People who have one name but for case and accents, one of them in `names`, by name."""
    groups: dict[str, list[str]] = {}
    for person in store.people():
        groups.setdefault(folded(person.name), []).append(person.name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1 and not names.isdisjoint(group))
