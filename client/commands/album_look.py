"""Commands that look into an album: photos, photo, people, faces."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import get_args

from facewire.client.album_client import AlbumClient
from facewire.client.bar import Bar
from facewire.client.commands.album_common import (
    CONTAINS,
    DAYS,
    AlbumCommands,
    number,
    person_line,
    person_number,
    say,
    write,
)
from facewire.client.commands.common import Usage, argument
from facewire.client.report import clock, spans
from facewire.protocol.albums.looking import (
    MAX_THUMBNAIL,
    AlbumDaysListed,
    AlbumFacesListed,
    AlbumPeopleListed,
    AlbumPerson,
    AlbumPhotoEntry,
    AlbumPhotoPiece,
    AlbumPhotosListed,
    AlbumPicture,
    Once,
    Order,
    PeopleOrder,
    PeopleShown,
    Show,
)
from facewire.protocol.arguments import among, one_of, whole
from facewire.protocol.settings import between
from facewire.protocol.text import counted, printable

COMMANDS = AlbumCommands()

_SHOW = get_args(Show)
_PEOPLE_SHOWN = get_args(PeopleShown)
_PEOPLE_ORDER = get_args(PeopleOrder)
_ONCE = get_args(Once)


_CHOSEN = (
    argument(
        "--show", type=one_of(_SHOW), metavar=among(_SHOW), default="all", help="only these (default: %(default)s)"
    ),
    argument("--person", metavar="PERSON", help="only those that show this person (name or number)"),
    argument(
        "--contains",
        default="",
        metavar="TEXT",
        help="only those whose name, or the name of somebody in them, contains this, in any case, with or without"
        " accents",
    ),
    argument("--favourites", action="store_true", help="only those marked with `album favourite`"),
    *DAYS,
)
"""Which photos."""


@COMMANDS.command(
    "photos",
    "the photos",
    *_CHOSEN,
    argument("--by-day", action="store_true", help="from the first taken to the last, each with its time"),
    argument("--newest", action="store_true", help="the same, but the newest day first"),
)
def photos(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """The photos, with what became of them."""
    person = None if arguments.person is None else person_number(albums, arguments.album, arguments.person)
    order: Order = "days" if arguments.newest else "taken" if arguments.by_day else "name"
    chosen = albums.all_photos(
        arguments.album,
        show=arguments.show,
        person=person,
        contains=arguments.contains,
        order=order,
        since=arguments.since,
        until=arguments.until,
        favourites=arguments.favourites,
    )
    found = tuple(chosen)
    line = _photo_line if order == "name" else _dated_line
    return say(arguments, AlbumPhotosListed(found, len(found)), map(line, found))


@COMMANDS.command(
    "days",
    "the days on which photos were taken",
    *_CHOSEN,
)
def days(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """The days, newest first, with their photos counted."""
    person = None if arguments.person is None else person_number(albums, arguments.album, arguments.person)
    chosen = albums.all_days(
        arguments.album,
        show=arguments.show,
        person=person,
        contains=arguments.contains,
        since=arguments.since,
        until=arguments.until,
        favourites=arguments.favourites,
    )
    found = tuple(chosen)
    lines = (f"{printable(day.day or 'unknown'):10}  {counted(day.photos, 'photo')}" for day in found)
    return say(arguments, AlbumDaysListed(found, len(found)), lines)


@COMMANDS.command(
    "favourite",
    "mark photos as favourites (--not: take the mark away)",
    argument("photos", nargs="+", type=number, metavar="PHOTO", help="their numbers"),
    argument("--not", dest="no_longer", action="store_true", help="take the mark away"),
)
def favourite(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Marks photos."""
    marked = albums.favourite(arguments.album, arguments.photos, not arguments.no_longer)
    return say(arguments, marked, [counted(marked.favourites, "favourite")])


@COMMANDS.command(
    "photo",
    "save one photo, or a thumbnail",
    argument("photo", type=number, metavar="PHOTO", help="its number"),
    argument("-o", "--output", type=Path, metavar="FILE", help="(default: the photo's own name, here)"),
    argument(
        "--size",
        type=whole(between(1, MAX_THUMBNAIL)),
        default=0,
        metavar="PX",
        help="a JPEG whose longer side is at most this, instead of the original",
    ),
)
def photo(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Saves a photo. Raises Usage where a file is in the way."""
    if arguments.size:
        picture = albums.photo(arguments.album, arguments.photo, arguments.size)
        target, size = _target(arguments.output, picture.name), len(picture.image)
        write(target, picture.image)
    else:
        pieces = albums.read_photo(arguments.album, arguments.photo)
        first = next(pieces)
        picture = AlbumPicture(first.data, first.type, first.name, first.width, first.height)
        target, size = _target(arguments.output, picture.name), first.size_bytes
        _save(target, chain([first], pieces))
    return say(arguments, picture, [f"{printable(str(target))}: {picture.width}x{picture.height}, {size} bytes"])


@COMMANDS.command(
    "people",
    "the people found",
    argument("--hidden", action="store_true", help="the hidden ones instead"),
    argument(
        "--show",
        type=one_of(_PEOPLE_SHOWN),
        metavar=among(_PEOPLE_SHOWN),
        default="all",
        help="only these; strangers: whom nobody knows, unnamed: the others without a name (default: %(default)s)",
    ),
    argument(
        "--order",
        type=one_of(_PEOPLE_ORDER),
        metavar=among(_PEOPLE_ORDER),
        default="faces",
        help="most faces first, the named before the others; most photos, by name, or last seen first"
        " (default: %(default)s)",
    ),
    argument(
        "--once",
        type=one_of(_ONCE),
        metavar=among(_ONCE),
        default="with",
        help="with, without or only those without a name who are in a single photo (default: %(default)s)",
    ),
    argument("--faces", type=Path, metavar="DIR", help="write a picture of each there, as NUMBER-NAME.jpg"),
    CONTAINS,
)
def people(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Everybody, or some."""
    chosen = albums.all_people(
        arguments.album,
        hidden=arguments.hidden,
        contains=arguments.contains,
        show=arguments.show,
        order=arguments.order,
        once=arguments.once,
    )
    found = tuple(chosen)
    if arguments.faces is not None:
        _write_crops(albums, arguments.album, found, arguments.faces)
    return say(arguments, AlbumPeopleListed(found, len(found)), map(person_line, found))


@COMMANDS.command(
    "names",
    "the names given to people, in all albums",
    CONTAINS,
    argument("-n", type=number, default=20, metavar="N", help="at most this many (default: %(default)s)"),
    album=False,
)
def names(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Names, most photos first."""
    listed = albums.names(arguments.contains, min(arguments.n, 1000))
    lines = (
        f"{printable(one.name):28} {counted(one.photos, 'photo')} in {counted(one.albums, 'album')}"
        for one in listed.names
    )
    return say(arguments, listed, lines)


@COMMANDS.command(
    "faces",
    "the faces of a person or a photo",
    argument("--person", metavar="PERSON", help="of this person (name or number)"),
    argument("--photo", type=number, metavar="PHOTO", help="of this photo (number)"),
    argument("--crops", type=Path, metavar="DIR", help="write the faces there, as NUMBER.jpg"),
)
def faces(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Faces with their numbers, for split, move and not."""
    person = None if arguments.person is None else person_number(albums, arguments.album, arguments.person)
    found = tuple(albums.all_faces(arguments.album, person=person, photo=arguments.photo))
    if arguments.crops is not None:
        _make_folder(arguments.crops)
        with Bar("saving", "faces") as bar:
            for done, face in enumerate(found, 1):
                write(arguments.crops / f"{face.face}.jpg", albums.face(arguments.album, face.face).image)
                bar.at(done, len(found))
    lines = (
        f"{face.face:6d}  photo {face.photo}, "
        f"{printable(face.name) if face.name else f'person {face.person}' if face.person else 'not clustered yet'}"
        f"{', placed' if face.placed else ''}{', drawn' if face.drawn else ''}, {face.box[2]:.0f}x{face.box[3]:.0f} px"
        f"{f', {spans(face.seen)}' if face.seen else ''}"
        for face in found
    )
    return say(arguments, AlbumFacesListed(found, len(found)), lines)


def _target(output: Path | None, name: str) -> Path:
    """Where to save a photo of that name. Raises Usage where a file is in the way that was not chosen."""
    target = output or Path(_plain(name.rpartition("/")[2]))
    if output is None and target.exists():
        raise Usage(f"{target} already exists: choose another with --output")
    return target


def _save(target: Path, pieces: Iterable[AlbumPhotoPiece]) -> None:
    """Writes an original, however large; into a file under its own name once it is whole. Raises Usage."""
    is_device = target.exists() and not target.is_file()
    part = target if is_device else target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file, Bar(f"saving {printable(target.name)}", "B") as bar:
            for piece in pieces:
                file.write(piece.data)
                bar.at(file.tell(), piece.size_bytes)
        if not is_device:
            part.replace(target)
    except OSError as error:
        raise Usage(f"can't write {target}: {error.strerror}") from error
    finally:
        if not is_device:
            part.unlink(missing_ok=True)


def _photo_line(photo: AlbumPhotoEntry) -> str:
    """A photo on a line of a list."""
    state = {"faces": counted(photo.faces, "face"), "no_faces": "no face", "waiting": "waiting"}.get(photo.state)
    favourite = "  (favourite)" if photo.favourite else ""
    film = "" if photo.seconds is None else f" ({clock(photo.seconds)})"
    return (
        f"{photo.photo:6d}  {printable(photo.name)}{film}: {state or f'unreadable: {printable(photo.reason or str())}'}"
        f"{favourite}"
    )


def _dated_line(photo: AlbumPhotoEntry) -> str:
    """The same, after the time."""
    taken = (photo.taken or "unknown").replace("T", " ")
    return f"{printable(taken):25}  {_photo_line(photo)}"


def _write_crops(albums: AlbumClient, album: str, found: tuple[AlbumPerson, ...], folder: Path) -> None:
    _make_folder(folder)
    with Bar("saving", "people") as bar:
        for done, person in enumerate(found, 1):
            name = f"{person.person}-{_plain(person.name)}" if person.name else str(person.person)
            write(folder / f"{name}.jpg", albums.face(album, person.face).image)
            bar.at(done, len(found))


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Usage(f"can't make {path}: {error.strerror}") from error


def _plain(name: str) -> str:
    """A name that is one part of a path on any system: it came from a server."""
    safe = "".join(c if c.isalnum() or c in " ._-()" else "_" for c in name).strip(". ")
    return safe[:100] or "_"
