"""Faces that users draw by hand, because the detector missed them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.albums.correcting import AlbumChanged
from facewire.protocol.albums.looking import AlbumFaceEntry, AlbumPerson, Box
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.gallery_messages import MAX_NUMBER
from facewire.protocol.rights import Needs, any_of
from facewire.protocol.schema import Asks, Range


@dataclass(frozen=True, slots=True)
class AlbumDrawFace(Asks["AlbumDrawn"]):
    """Adds a face that the detector missed, by a box in pixels of the upright photo.

    It belongs to `person`, or to whoever is called `name`, who need not exist yet; without both, to a new person. Parts
    of the box outside the photo are cut off. It stays where it was drawn, whatever the detector finds later.
    """

    op: ClassVar[str] = "album.draw_face"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    photo: int
    box: Box
    person: Annotated[int | None, Range(1, MAX_NUMBER)] = None
    name: str = ""

    def check(self) -> None:
        check_box(self.box)
        if self.person is not None and self.name.strip():
            raise InvalidRequest("give 'person' or 'name', not both")


@dataclass(frozen=True, slots=True)
class AlbumRedrawFace(Asks["AlbumDrawn"]):
    """Moves or resizes a face that was drawn by hand. Its person stays."""

    op: ClassVar[str] = "album.redraw_face"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    face: int
    box: Box

    def check(self) -> None:
        check_box(self.box)


@dataclass(frozen=True, slots=True)
class AlbumRemoveFace(Asks[AlbumChanged]):
    """Removes a face that was drawn by hand. Faces that the detector found can't be removed."""

    op: ClassVar[str] = "album.remove_face"
    needs: ClassVar[Needs] = any_of("albums")
    album: str
    face: int


@dataclass(frozen=True, slots=True)
class AlbumDrawn:
    """Answer of `draw_face` and `redraw_face`: as that of every correction, and the face as it is now."""

    event: int
    done: str
    people: tuple[AlbumPerson, ...]
    face: AlbumFaceEntry


def check_box(box: Box) -> None:
    """Raises InvalidRequest for a box that is none."""
    if not all(map(math.isfinite, box)) or box[2] <= 0 or box[3] <= 0:
        raise InvalidRequest("'box' must be x, y, width, height, with a width and a height above 0")
