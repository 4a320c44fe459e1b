"""What a build asks of the gallery on disk: which files it holds already, and which bytes it holds twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from server.gallery.store import Store


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
