"""Faces as XMP, as other programs read them: relative to the picture as it is stored, whichever way it is shown."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facewire.client.album_client import AlbumClient
from facewire.server.albums.regions import Area
from tests.support.albums import album_service, serving_albums
from tests.support.exiftool import exiftool, tags_of
from tests.support.orientations import turned_file
from tests.support.pictures import opened
from tests.support.synthetic_engine import colour, draw
from tests.support.trip import ADA, exported, of

__all__ = ["exiftool"]  # a fixture from elsewhere

WIDTH, HEIGHT = 400, 300
SHOWN = (0.2, 0.3, 0.2, 0.4)
"""Of the face in the picture as shown: centre and size."""

LYING = (5, 6, 7, 8)
FILES: dict[str, tuple[str, int, dict[str, Any]]] = {
    **{f"{n}.jpg": ("JPEG", n, {"quality": 95, "subsampling": 0}) for n in range(1, 9)},
    **{f"{n}.tif": ("TIFF", n, {}) for n in (3, 6, 7)},
    **{f"{n}.png": ("PNG", n, {}) for n in (5, 8)},
    **{f"{n}.webp": ("WEBP", n, {"lossless": True}) for n in (4, 6)},
    **{f"{n}.heic": ("HEIF", n, {"quality": 95}) for n in (1, 6)},
    **{f"{n}.avif": ("AVIF", n, {"quality": 95}) for n in (6,)},
}
AS_SHOWN = ("HEIF", "AVIF")
"""Their containers turn the picture, and every reader obeys: what is stored is never seen."""


def face_of(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    """Centre and size as a box in pixels."""
    return (round((x - w / 2) * WIDTH), round((y - h / 2) * HEIGHT), round(w * WIDTH), round(h * HEIGHT))


@pytest.fixture
def turned(albums: AlbumClient) -> AlbumClient:
    """An album of one picture, stored in many ways; the face in it is called Ada."""
    albums.create("Turned")
    picture = opened(draw((ADA, face_of(*SHOWN)), size=(WIDTH, HEIGHT)))
    for name, (form, orientation, options) in FILES.items():
        albums.add("Turned", name, turned_file(form, orientation, picture, **options))
    albums.process("Turned")
    albums.label("Turned", of(albums, ADA, "Turned").person, "Ada")
    return albums


def test_other_programs_find_the_face_in_the_picture_as_stored(
    turned: AlbumClient, exiftool: str, tmp_path: Path
) -> None:
    archive = exported(turned, "Turned")
    archive.extractall(tmp_path / "out")
    sidecars = [tmp_path / "out" / f"{name}.xmp" for name in FILES]
    for name, tags in zip(FILES, tags_of(exiftool, *sidecars), strict=True):
        form, orientation, _ = FILES[name]
        assert tags["PersonInImage"] == ["Ada"], name
        regions = tags["RegionInfo"]["RegionList"]
        assert len(regions) == 1 or form in AS_SHOWN, name  # whose blur at the edge of a patch is another face or two
        region = max(regions, key=lambda one: float(one["Area"]["W"]))
        assert (region["Name"], region["Type"], region["Area"]["Unit"]) == ("Ada", "Face", "normalized")
        area = tuple(float(region["Area"][key]) for key in "XYWH")
        size = tuple(tags["RegionInfo"]["AppliedToDimensions"][key] for key in "WH")
        if form in AS_SHOWN:
            assert size == (WIDTH, HEIGHT)
            assert area == pytest.approx(SHOWN, abs=0.02), name
            continue
        assert size == ((HEIGHT, WIDTH) if orientation in LYING else (WIDTH, HEIGHT)), name
        assert is_the_face(untagged(archive.read(name), orientation), area), name
        if orientation in (6, 8):
            where = {6: (0.3, 0.8), 8: (0.7, 0.2)}[orientation]
            assert area == pytest.approx((*where, 0.4, 0.2), abs=0.01), name


def untagged(data: bytes, orientation: int) -> bytes:
    """The same, and nothing turns it; OpenCV turns a TIFF even where it is told not to."""
    if not data.startswith(b"II*"):
        return data
    tag, upright = (struct.pack("<HHLH", 0x0112, 3, 1, value) for value in (orientation, 1))
    assert data.count(tag) == 1
    return data.replace(tag, upright)


def is_the_face(data: bytes, area: tuple[float, ...]) -> bool:
    """Is this part of the stored pixels the face, and are those around it not?"""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), flags), int)
    height, width = pixels.shape[:2]
    x, y, w, h = (value * side for value, side in zip(area, (width, height, width, height), strict=True))
    left, top, right, bottom = (round(edge) for edge in (x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    face = np.abs(pixels - np.array(colour(ADA))).max(axis=2) < 40
    inside, around = face[top + 2 : bottom - 2, left + 2 : right - 2], face.copy()
    around[top - 2 : bottom + 2, left - 2 : right + 2] = False
    return bool(inside.all()) and not around.any()


def test_photos_that_older_versions_added_are_looked_at_when_they_are_exported(tmp_path: Path) -> None:
    picture = opened(draw((ADA, face_of(*SHOWN)), size=(WIDTH, HEIGHT)))
    with album_service(tmp_path) as service, serving_albums(service) as client:
        client.albums.create("Turned")
        client.albums.add("Turned", "6.png", turned_file("PNG", 6, picture))
        client.albums.process("Turned")
        client.albums.label("Turned", of(client.albums, ADA, "Turned").person, "Ada")
    with closing(sqlite3.connect(tmp_path / "albums" / "albums.db")) as db:
        db.execute("UPDATE blobs SET orientation = NULL")
        db.commit()
    with album_service(tmp_path) as service, serving_albums(service) as client:
        xmp = exported(client.albums, "Turned").read("6.png.xmp").decode()
    assert 'stArea:x="0.300000" stArea:y="0.800000" stArea:w="0.400000" stArea:h="0.200000"' in xmp
    assert f'stDim:w="{HEIGHT}" stDim:h="{WIDTH}"' in xmp


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_area_is_turned_there_and_back(orientation: int) -> None:
    area = Area(0.1, 0.25, 0.125, 0.5)
    back = area.as_stored(orientation).as_shown(orientation)
    assert astuple(back) == pytest.approx(astuple(area))
