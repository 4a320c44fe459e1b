"""The album used by most tests of albums, and queries on it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from facewire.client import ServerRefused
from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.adding import AlbumAdded
from facewire.protocol.albums.looking import AlbumPerson
from facewire.protocol.errors import ErrorCode
from facewire.server.gallery.records import KeptTemplate
from facewire.server.gallery.sqlite import SqliteGallery as Gallery
from tests.support.synthetic_engine import draw, portrait

ADA, BEN, CLEO = 5, 22, 41  # numbers of colours, which stand for people
LEFT, RIGHT = (2.0, 10.0, 24.0, 24.0), (34.0, 10.0, 24.0, 24.0)


def fill_trip(albums: AlbumClient) -> None:
    """Creates and processes an album called Trip: three photos of Ada, two of Ben, one of both, one of nobody."""
    albums.create("Trip")
    photos = [
        *((f"day 1/ada {n}.png", portrait(ADA, shade=n)) for n in range(3)),
        *((f"day 2/ben {n}.png", portrait(BEN, shade=n)) for n in range(2)),
        ("both.png", draw((ADA, LEFT), (BEN, RIGHT))),
        ("sea.png", draw()),
    ]
    assert all(isinstance(added, AlbumAdded) for added in albums.add_many("Trip", photos))
    albums.process("Trip")


def of(albums: AlbumClient, number: int, album: str = "Trip") -> AlbumPerson:
    """The album's person for a drawn face."""
    found = albums.search_samples(album, [portrait(number)])
    persons = {match.person for photo in found.photos for match in photo.matches}
    (person,) = persons
    return next(entry for entry in albums.all_people(album) if entry.person == person)


def templates_of(name: str, room: Path) -> tuple[KeptTemplate, ...]:
    """A person's templates in the gallery next to the albums."""
    with Gallery.open(room / "gallery.db") as gallery:
        return gallery.show(name, 0, 100, crops=True)[1]


def refused(code: ErrorCode) -> pytest.RaisesExc[ServerRefused]:
    return pytest.RaisesExc(ServerRefused, check=lambda error: error.code is code)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def exported(albums: AlbumClient, album: str, **options: Any) -> zipfile.ZipFile:
    export = albums.export(album, **options)
    return zipfile.ZipFile(io.BytesIO(b"".join(albums.read_export(export))))
