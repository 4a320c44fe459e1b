"""Commands that look into an album: photos, photo, people, faces."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from facewire.client.album_client import AlbumClient
from facewire.client.bar import Bar
from facewire.client.commands.album_common import (
    AlbumCommands,
    number,
    person_line,
    person_number,
    say,
    write,
)
from facewire.client.commands.common import Usage, argument
from facewire.protocol.albums.looking import (
    MAX_THUMBNAIL,
    AlbumFacesListed,
    AlbumPeopleListed,
    AlbumPerson,
    AlbumPhotoEntry,
    AlbumPhotosListed,
    Show,
)
from facewire.protocol.arguments import among, one_of, whole
from facewire.protocol.settings import between
from facewire.protocol.text import counted, printable

COMMANDS = AlbumCommands()

_SHOW = get_args(Show)


@COMMANDS.command(
    "photos",
    "the photos",
    argument(
        "--show", type=one_of(_SHOW), metavar=among(_SHOW), default="all", help="only these (default: %(default)s)"
    ),
    argument("--person", metavar="PERSON", help="only those that show this person (name or number)"),
)
def photos(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """The photos, with what became of them."""
    person = None if arguments.person is None else person_number(albums, arguments.album, arguments.person)
    found = tuple(albums.all_photos(arguments.album, show=arguments.show, person=person))
    return say(arguments, AlbumPhotosListed(found, len(found)), map(_photo_line, found))


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
    picture = albums.photo(arguments.album, arguments.photo, arguments.size)
    target: Path = arguments.output or Path(_plain(picture.name.rpartition("/")[2]))
    if arguments.output is None and target.exists():
        raise Usage(f"{target} is there already: name another with --output")
    write(target, picture.image)
    return say(
        arguments, picture, [f"{printable(str(target))}: {picture.width}x{picture.height}, {len(picture.image)} bytes"]
    )


@COMMANDS.command(
    "people",
    "the people found",
    argument("--hidden", action="store_true", help="the hidden ones instead"),
    argument("--faces", type=Path, metavar="DIR", help="write a picture of each there, as NUMBER-NAME.jpg"),
)
def people(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Everybody: those with a name first, then by their faces."""
    found = tuple(albums.all_people(arguments.album, hidden=arguments.hidden))
    if arguments.faces is not None:
        _write_crops(albums, arguments.album, found, arguments.faces)
    return say(arguments, AlbumPeopleListed(found, len(found)), map(person_line, found))


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
        f"{', placed' if face.placed else ''}, {face.box[2]:.0f}x{face.box[3]:.0f} px"
        for face in found
    )
    return say(arguments, AlbumFacesListed(found, len(found)), lines)


def _photo_line(photo: AlbumPhotoEntry) -> str:
    """A photo on a line of a list."""
    state = {"faces": counted(photo.faces, "face"), "no_faces": "no face", "waiting": "waiting"}.get(photo.state)
    return f"{photo.photo:6d}  {printable(photo.name)}: {state or f'unreadable: {printable(photo.reason or str())}'}"


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
