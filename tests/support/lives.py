"""A gallery with something of every kind in it, and all that a gallery tells of itself."""

from __future__ import annotations

from dataclasses import replace

from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Counts, NewPicture
from tests.support.galleries import picture
from tests.support.synthetic_engine import embedding_of


def of(path: str, *numbers: int, source: str | None = None) -> NewPicture:
    """A picture of these faces, with crops."""
    one = picture(path, *map(embedding_of, numbers))
    faces = tuple(
        replace(face, box=(10.0 * at, 2, 3, 4), crop=f"crop of {number}".encode())
        for at, (face, number) in enumerate(zip(one.templates, numbers, strict=True))
    )
    return replace(one, templates=faces, source=source, mtime_ns=5 if source else None, fingerprint=bytes(range(192)))


def lived(gallery: Gallery) -> None:
    """A life with something of every kind in it."""
    gallery.enrol("Ann", [of("a.png", 1), of("a2.png", 2, source="/people")], copies=True)
    gallery.enrol("Gone", [of("gone.png", 9)])
    gallery.erase("Gone")
    gallery.enrol("Bob", [of("b.png", 3, 4), of("b2.png", 5)], copies=True)
    gallery.enrol("Cleo", [of("c.png", 6)])
    gallery.rename("Cleo", "Cléo")
    gallery.enrol("Cleo", [of("c2.png", 6)])
    gallery.remove("Cleo")
    gallery.undo()
    first = gallery.show("Bob", 0, 9, crops=False)[1][0].id
    gallery.split("Bob", [first], "Dora")
    gallery.merge(["Ann"], "Cléo")
    gallery.enrol("Empty", [of("e.png", 7)])
    gallery.remove("Empty", [gallery.show("Empty", 0, 1, crops=False)[1][0].id])
    gallery.remove("Dora")


def told(gallery: Gallery) -> tuple[object, Counts, object, object]:
    """All that the gallery answers about itself, but for the ids of templates and events."""
    people = [replace(record, id=0, first=0) for record in gallery.people()[0]]
    numbers = {event.id: at for at, event in enumerate(reversed(gallery.history(1000)[0]))}
    history = [
        replace(event, id=numbers[event.id], undone_by=numbers.get(event.undone_by or 0))
        for event in gallery.history(1000)[0]
    ]
    shown = [[replace(kept, id=0) for kept in gallery.show(record.name, 0, 100, crops=True)[1]] for record in people]
    return people, gallery.counts(), history, shown


def undone(gallery: Gallery) -> list[object]:
    """What it tells before each undo, until nothing is left to be undone."""
    states: list[object] = [told(gallery)]
    while any(event.undoable for event in gallery.history(1000)[0]):
        gallery.undo()
        people, counts, _, shown = told(gallery)  # the time of an undo is its own
        states.append((people, counts, shown))
    return states
