"""Commands that show albums: list, status, photos, photo, people, faces."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from facewire.client.album_client import AlbumClient
from facewire.client.commands.album_common import add_album, number, person_line, person_number, say, write
from facewire.client.commands.album_fill import describe_album
from facewire.client.commands.common import Usage
from facewire.client.progress import Progress
from facewire.protocol.albums.collection import AlbumsListed
from facewire.protocol.albums.looking import (
    MAX_THUMBNAIL,
    AlbumFacesListed,
    AlbumPeopleListed,
    AlbumPerson,
    AlbumPhotoEntry,
    AlbumPhotosListed,
    Show,
)
from facewire.protocol.text import counted, counted_people, printable


def add_nothing(parser: argparse.ArgumentParser) -> None:
    """A command without options of its own."""


def list_albums(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Every album."""
    listed = albums.list()
    lines = [
        f"{printable(info.album):30} {counted(info.photos, 'photo')}, {counted_people(info.people)},"
        f" {info.named} with a name" + (f", {counted(info.waiting, 'photo')} waiting" if info.waiting else "")
        for info in listed.albums
    ]
    empty = "no albums yet: `client_app.py album create NAME` makes one"
    say(AlbumsListed(listed.albums, listed.total), lines or [empty], as_json=arguments.json)
    return 0


def status(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """One album."""
    info = albums.status(arguments.album)
    say(info, describe_album(info), as_json=arguments.json)
    return 0


def add_photos(parser: argparse.ArgumentParser) -> None:
    """The options of photos."""
    add_album(parser)
    parser.add_argument("--show", choices=get_args(Show), default="all", help="only these (default: %(default)s)")
    parser.add_argument("--person", metavar="PERSON", help="only those that show this one (name or number)")


def photos(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """The photos, with what became of them."""
    person = None if arguments.person is None else person_number(albums, arguments.album, arguments.person)
    found = tuple(albums.all_photos(arguments.album, show=arguments.show, person=person))
    say(AlbumPhotosListed(found, len(found)), map(photo_line, found), as_json=arguments.json)
    return 0


def photo_line(photo: AlbumPhotoEntry) -> str:
    """A photo on a line of a list."""
    state = {"faces": counted(photo.faces, "face"), "no_faces": "no face", "waiting": "waiting"}.get(photo.state)
    return f"{photo.photo:6d}  {printable(photo.name)}: {state or f'unreadable: {printable(photo.reason or str())}'}"


def add_photo(parser: argparse.ArgumentParser) -> None:
    """The options of photo."""
    add_album(parser)
    parser.add_argument("photo", type=number, metavar="PHOTO", help="its number")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="(default: the photo's own name, here)")
    parser.add_argument(
        "--size", type=_size, default=0, metavar="PX", help="a JPEG at most so long, instead of the original"
    )


def photo(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Saves a photo. Raises Usage where a file is in the way."""
    picture = albums.photo(arguments.album, arguments.photo, arguments.size)
    target: Path = arguments.output or Path(_plain(picture.name.rpartition("/")[2]))
    if arguments.output is None and target.exists():
        raise Usage(f"{target} is there already: name another with --output")
    write(target, picture.image)
    say(
        picture,
        [f"{printable(str(target))}: {picture.width}x{picture.height}, {len(picture.image)} bytes"],
        as_json=arguments.json,
    )
    return 0


def add_people(parser: argparse.ArgumentParser) -> None:
    """The options of people."""
    add_album(parser)
    parser.add_argument("--hidden", action="store_true", help="the hidden ones instead")
    parser.add_argument("--faces", type=Path, metavar="DIR", help="write a picture of each there, as NUMBER-NAME.jpg")


def people(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Everybody: those with a name first, then by their faces."""
    found = tuple(albums.all_people(arguments.album, hidden=arguments.hidden))
    if arguments.faces is not None:
        _write_crops(albums, arguments.album, found, arguments.faces)
    say(AlbumPeopleListed(found, len(found)), map(person_line, found), as_json=arguments.json)
    return 0


def add_faces(parser: argparse.ArgumentParser) -> None:
    """The options of faces."""
    add_album(parser)
    parser.add_argument("--person", metavar="PERSON", help="of this one (name or number)")
    parser.add_argument("--photo", type=number, metavar="PHOTO", help="of this one (number)")
    parser.add_argument("--crops", type=Path, metavar="DIR", help="write the faces there, as NUMBER.jpg")


def faces(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Faces with their numbers, for split, move and not."""
    person = None if arguments.person is None else person_number(albums, arguments.album, arguments.person)
    found = tuple(albums.all_faces(arguments.album, person=person, photo=arguments.photo))
    if arguments.crops is not None:
        with _folder(arguments.crops), Progress("saving", "faces") as bar:
            for done, face in enumerate(found, 1):
                write(arguments.crops / f"{face.face}.jpg", albums.face(arguments.album, face.face).image)
                bar.at(done, len(found))
    lines = (
        f"{face.face:6d}  photo {face.photo}, "
        f"{printable(face.name) if face.name else f'person {face.person}' if face.person else 'not clustered yet'}"
        f"{', placed' if face.placed else ''}, {face.box[2]:.0f}x{face.box[3]:.0f} px"
        for face in found
    )
    say(AlbumFacesListed(found, len(found)), lines, as_json=arguments.json)
    return 0


def _write_crops(albums: AlbumClient, album: str, found: tuple[AlbumPerson, ...], folder: Path) -> None:
    with _folder(folder), Progress("saving", "people") as bar:
        for done, person in enumerate(found, 1):
            name = f"{person.person}-{_plain(person.name)}" if person.name else str(person.person)
            write(folder / f"{name}.jpg", albums.face(album, person.face).image)
            bar.at(done, len(found))


class _folder:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Usage(f"can't make {self._path}: {error.strerror}") from error

    def __exit__(self, *error: object) -> None:
        return


def _plain(name: str) -> str:
    """A name that is one part of a path on any system: it came from a server."""
    safe = "".join(c if c.isalnum() or c in " ._-()" else "_" for c in name).strip(". ")
    return safe[:100] or "_"


def _size(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MAX_THUMBNAIL:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MAX_THUMBNAIL}")
    return value
