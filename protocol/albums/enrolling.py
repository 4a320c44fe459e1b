"""Recognising an album's people in the gallery, and enrolling them there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from facewire.protocol.gallery_messages import MAX_ACCEPTED, MAX_IMAGES, Acceptable, Shortcoming
from facewire.protocol.rights import Needs, all_of
from facewire.protocol.schema import Asks, Length, Range


@dataclass(frozen=True, slots=True)
class AlbumRecognise(Asks["AlbumRecognised"]):
    """Looks up unnamed people in the gallery. With `apply` they get the names found, as one correction; `people`: only
    these of them are looked up, all if it is empty."""

    op: ClassVar[str] = "album.recognise"
    needs: ClassVar[Needs] = all_of("albums", "identify")
    album: str
    apply: bool = False
    people: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AlbumRecognition:
    """The gallery's name for a person of the album."""

    person: int
    name: str
    similarity: float
    threshold: float


@dataclass(frozen=True, slots=True)
class AlbumRecognised:
    """Answer of `recognise`; `event`: the number of the correction, if one was made."""

    matches: tuple[AlbumRecognition, ...]
    event: int | None


@dataclass(frozen=True, slots=True)
class AlbumEnrol(Asks["AlbumEnrolled"]):
    """Enrols a named person of the album in the gallery with at most `templates` of their best faces.

    Their photos pass the same checks as pictures sent with `enrol`; `accept` as there.
    """

    op: ClassVar[str] = "album.enrol"
    needs: ClassVar[Needs] = all_of("albums", "enrol")
    album: str
    person: int
    templates: Annotated[int, Range(1, MAX_IMAGES)] = 5
    accept: Annotated[tuple[Acceptable, ...], Length(0, MAX_ACCEPTED)] = ()


@dataclass(frozen=True, slots=True)
class AlbumLeftOut:
    """A face that was not enrolled and its photo's name; the rest as in `Rejection`."""

    face: int
    photo: str
    reason: str
    message: str
    shortcomings: tuple[Shortcoming, ...] = ()


@dataclass(frozen=True, slots=True)
class AlbumEnrolled:
    """Answer of `enrol`: how many templates the gallery has of them now, and the faces that it refused."""

    name: str
    templates: int
    left_out: tuple[AlbumLeftOut, ...] = ()
