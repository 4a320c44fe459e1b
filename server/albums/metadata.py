"""Faces and names from photos' own metadata: kept when a photo is added, taken over when its faces have been found.

A region that lies on a detected face names it; one that lies on none becomes a face, as if it had been drawn by hand.
All of them together are one change, which can be undone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facewire.protocol.text import counted
from facewire.server.albums import catalogue, corrections, detections, faces
from facewire.server.albums.database import Database
from facewire.server.albums.detections import SAME_FACE
from facewire.server.albums.drawing import within
from facewire.server.albums.journal import Correction
from facewire.server.albums.packets import packets
from facewire.server.albums.regrouping import new_person
from facewire.server.albums.xmp import MOST_REGIONS, regions_of
from facewire.server.errors import InvalidImage
from facewire.server.gallery.records import Box, NewTemplate
from facewire.server.names import person_name
from facewire.server.vision.detector import overlap
from facewire.server.vision.image import Header, lies

LEAST_OVERLAP = 0.1
"""Intersection over union from which a region means a face, whose centre must lie in it: regions are often of the whole
head, or drawn generously."""

_AT_ONCE = 1000  # photos whose names are taken over in one change

Look = Callable[[str, Sequence[Box]], list[NewTemplate]]
"""What is in these boxes of the original with this sha256."""


@dataclass(frozen=True, slots=True)
class Named:
    """A name and where its face is, in pixels of the photo as shown."""

    name: str
    box: Box


def names_in(data: bytes, sidecars: Sequence[bytes], header: Header) -> list[Named]:
    """The named faces in a picture's sidecars and in itself; one that several sources tell of, once."""
    stored = (header.height, header.width) if lies(header.recorded) else (header.width, header.height)
    found: list[Named] = []
    for packet in (*sidecars, *packets(data)):
        for region in regions_of(packet, *stored):
            area = region.area if region.shown else region.area.as_shown(header.recorded)
            name = _acceptable(region.name)
            left, top = (area.x - area.w / 2) * header.width, (area.y - area.h / 2) * header.height
            box = within((left, top, area.w * header.width, area.h * header.height), header.width, header.height)
            if name and box and not any(one.name == name or overlap(one.box, box) >= SAME_FACE for one in found):
                found.append(Named(name, box))
    return found[:MOST_REGIONS]


def keep(db: sqlite3.Connection, photo: int, found: Sequence[Named]) -> None:
    """Remembers the names until the photo's faces have been found."""
    if found:
        db.execute("DELETE FROM regions WHERE photo_id = ?", (photo,))
    db.executemany(
        "INSERT INTO regions VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(photo, number, one.name, *one.box) for number, one in enumerate(found)],
    )


def take_over(db: Database, album: int, look: Look, spec: int) -> int:
    """Turns the names that were kept for an album into people. Returns how many faces got one."""
    taken = 0
    while True:
        with db.reading() as reader:
            photos = reader.execute(
                "SELECT p.id, p.sha256 FROM photos p WHERE p.album_id = ? AND p.state IN ('faces', 'no_faces') "
                "AND EXISTS (SELECT 1 FROM regions r WHERE r.photo_id = p.id) ORDER BY p.id LIMIT ?",
                (album, _AT_ONCE),
            ).fetchall()
            plans = [_plan(reader, row["id"], row["sha256"]) for row in photos]
        if not plans:
            return taken
        looked = [_looked(plan, look) for plan in plans]
        with db.writing() as writer:
            catalogue.must_exist(writer, album)
            taken += _apply(writer, album, plans, looked, spec)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What becomes of a photo's regions: `found`: names of faces; `missed`: names where no face was found."""

    photo: int
    sha256: str
    found: list[tuple[int, str]]
    missed: list[Named]


def _plan(db: sqlite3.Connection, photo: int, sha256: str) -> _Plan:
    rows = db.execute("SELECT name, x, y, w, h FROM regions WHERE photo_id = ? ORDER BY n", (photo,))
    regions = [Named(row["name"], (row["x"], row["y"], row["w"], row["h"])) for row in rows]
    there = faces.boxes_of(db, photo)
    likely = sorted(
        (-overlap(region.box, box), place, face)
        for place, region in enumerate(regions)
        for face, box in there
        if overlap(region.box, box) >= LEAST_OVERLAP and _holds(region.box, box)
    )
    face_of: dict[int, int] = {}
    for _, place, face in likely:
        if place not in face_of and face not in face_of.values():
            face_of[place] = face
    found = [(face, regions[place].name) for place, face in face_of.items()]
    missed = [
        region
        for place, region in enumerate(regions)
        if place not in face_of and all(overlap(region.box, box) < SAME_FACE for _, box in there)
    ]
    return _Plan(photo, sha256, found, missed)


def _looked(plan: _Plan, look: Look) -> list[NewTemplate]:
    if not plan.missed:
        return []
    try:
        return look(plan.sha256, [one.box for one in plan.missed])
    except (InvalidImage, FileNotFoundError):  # removed or damaged meanwhile: nothing can be drawn in it
        return []


def _apply(
    db: sqlite3.Connection, album: int, plans: Sequence[_Plan], looked: Sequence[Sequence[NewTemplate]], spec: int
) -> int:
    correction, people, placed = Correction(db, album), dict[str, int](), 0

    def person(name: str) -> int:
        if name not in people:
            people[name], _ = corrections.person_for(correction, None, name)
        return people[name]

    for plan, templates in zip(plans, looked, strict=True):
        if db.execute("SELECT 1 FROM photos WHERE id = ?", (plan.photo,)).fetchone() is None:
            continue  # removed meanwhile
        for face, name in plan.found:
            if _can_be_named(db, album, face):
                correction.place([face], person(name))
                placed += 1
        for region, template in zip(plan.missed, templates, strict=False):
            face = correction.draw(plan.photo, detections.store_drawn(db, plan.photo, plan.sha256, spec, template))
            correction.place([face], person(region.name))
            placed += 1
        db.execute("DELETE FROM regions WHERE photo_id = ?", (plan.photo,))
    if placed:
        correction.commit(f"took the names of {counted(placed, 'face')} from {counted(len(plans), 'photo')}")
    return placed


def _can_be_named(db: sqlite3.Connection, album: int, face: int) -> bool:
    """Is it there, and has no user said who it is? A face of nobody yet gets a person, to whom undo gives it back."""
    row = db.execute(
        "SELECT f.person_id, f.placed, n.name FROM faces f LEFT JOIN people n ON n.id = f.person_id WHERE f.id = ?",
        (face,),
    ).fetchone()
    if row is None or (row["placed"] and row["name"] is not None):
        return False
    if row["person_id"] is None:
        db.execute("UPDATE faces SET person_id = ? WHERE id = ?", (new_person(db, album), face))
    return True


def _holds(region: Box, box: Box) -> bool:
    """Does the box's centre lie in the region?"""
    x, y = box[0] + box[2] / 2, box[1] + box[3] / 2
    return region[0] <= x <= region[0] + region[2] and region[1] <= y <= region[1] + region[3]


def _acceptable(name: str) -> str:
    """The name as people's names are kept; empty if it can't be one."""
    try:
        return person_name(name)
    except ValueError:
        return ""
