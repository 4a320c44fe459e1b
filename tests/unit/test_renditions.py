"""Thumbnails and crops are made once, kept within bounds, and gone with their photo."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facewire.protocol.albums.adding import AlbumAdd, AlbumProcess, AlbumRemove
from facewire.protocol.albums.collection import AlbumCreate, AlbumDelete
from facewire.protocol.albums.looking import AlbumFace, AlbumPhoto, AlbumPicture
from facewire.server.albums.file_cache import FileCache
from facewire.server.albums.photos import FACE_SIZES, PHOTO_SIZES
from facewire.server.albums.pictures import face_crop, thumbnail
from facewire.server.albums.service import AlbumService
from facewire.server.albums.settings import AlbumLimits
from facewire.server.errors import BadRequest
from tests.support.albums import album_service, ask
from tests.support.decoders import shared_decoder
from tests.support.synthetic_engine import draw

BOX = (64.0, 64.0, 160.0, 160.0)
FACE = draw((5, BOX), size=(320, 240))
PIXELS = np.asarray(cv2.imdecode(np.frombuffer(FACE, np.uint8), cv2.IMREAD_COLOR))
LARGE = cv2.imencode(".jpg", cv2.resize(PIXELS, (1600, 1200)))[1].tobytes()
KEPT = AlbumLimits()
ONE, OTHER = "1" * 64, "2" * 64


@pytest.fixture
def service(tmp_path: Path) -> Iterator[AlbumService]:
    with album_service(tmp_path) as service:
        ask(service, AlbumCreate("Trip"))
        ask(service, AlbumAdd("Trip", "large.jpg", LARGE))
        yield service


@pytest.fixture
def faced(service: AlbumService) -> AlbumService:
    ask(service, AlbumRemove("Trip", (1,)))
    ask(service, AlbumAdd("Trip", "face.png", FACE))
    ask(service, AlbumProcess("Trip"))
    return service


def photo(service: AlbumService, size: int, album: str = "Trip", number: int = 1) -> AlbumPicture:
    answer = ask(service, AlbumPhoto(album, number, size))
    assert isinstance(answer, AlbumPicture)
    return answer


def crop(service: AlbumService, size: int) -> bytes:
    answer = ask(service, AlbumFace("Trip", 1, size))
    assert isinstance(answer, AlbumPicture)
    return answer.image


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.float64)


def kept(room: Path) -> list[Path]:
    return [path for path in (room / "albums" / "renditions").rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [1, 319, 320, 500, 1024, 1600, 4096])
def test_a_thumbnail_is_what_the_original_gives(service: AlbumService, size: int) -> None:
    data, width, height = thumbnail(shared_decoder(), LARGE, KEPT, size)
    for _ in range(2):
        small = photo(service, size)
        assert (small.width, small.height) == (width, height) == pixels(small.image).shape[1::-1]
        assert np.abs(pixels(small.image) - pixels(data)).mean() < 4


@pytest.mark.parametrize("size", [160, 320, 1024])
def test_a_crop_is_what_the_original_gives(faced: AlbumService, size: int) -> None:
    expected = pixels(face_crop(shared_decoder(), FACE, KEPT, BOX, (320, 240), size))
    for _ in range(2):
        found = pixels(crop(faced, size))
        assert found.shape == expected.shape
        assert np.abs(found - expected).mean() < 6


def test_the_original_is_needed_once(faced: AlbumService, tmp_path: Path) -> None:
    def look() -> list[object]:
        return [photo(faced, 320, number=2), photo(faced, 200, number=2), crop(faced, 320), crop(faced, 160)]

    before = look()
    (original,) = (tmp_path / "albums" / "originals").glob("*/*")
    original.unlink()
    assert look() == before
    with pytest.raises(BadRequest):
        photo(faced, 0, number=2)


def test_every_size_there_is_fills_nothing(faced: AlbumService, tmp_path: Path) -> None:
    for size in range(1, 4097, 97):
        photo(faced, size, number=2)
    for size in range(16, 1025, 67):
        crop(faced, size)
    assert len(kept(tmp_path)) == len(PHOTO_SIZES) + len(FACE_SIZES)


def test_they_go_with_the_last_album_that_has_the_photo(faced: AlbumService, tmp_path: Path) -> None:
    ask(faced, AlbumCreate("Other"))
    ask(faced, AlbumAdd("Other", "b.png", FACE))
    photo(faced, 320, number=2)
    crop(faced, 160)
    ask(faced, AlbumRemove("Trip", (2,)))
    assert len(kept(tmp_path)) == 2
    photo(faced, 1024, "Other", 3)
    assert len(kept(tmp_path)) == 3
    ask(faced, AlbumDelete("Other"))
    assert kept(tmp_path) == []


def test_what_a_crash_left_behind(service: AlbumService, tmp_path: Path) -> None:
    before = photo(service, 320)
    (whole,) = kept(tmp_path)
    whole.write_bytes(bytes(len(before.image)))  # a file system that had not got to the bytes
    assert photo(service, 320) == before
    assert whole.read_bytes() == before.image
    service.close()
    half, orphan = whole.with_name("half.new"), tmp_path / "albums" / "renditions" / "11" / ONE / "photo-320.jpg"
    half.write_bytes(b"half")
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(before.image)
    with album_service(tmp_path):
        assert kept(tmp_path) == [whole]


def test_what_was_used_longest_ago_makes_way(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, capacity=100)
    for number in range(10):
        cache.put(ONE, str(number), bytes(10))
        os.utime(tmp_path / "11" / ONE / str(number), (number, number))
    assert cache.get(ONE, "0") is not None  # and with that, it is the one used last
    cache.put(OTHER, "more", bytes(10))
    there = {path.name for path in tmp_path.glob("*/*/*")}
    assert there == {"0", "more", *map(str, range(4, 10))}
    again = FileCache(tmp_path, capacity=40)  # a smaller room after a restart
    again.put(OTHER, "last", bytes(10))
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*/*")) <= 40
    assert again.get(OTHER, "last") is not None


def test_a_full_disk_refuses_no_thumbnail(service: AlbumService, tmp_path: Path) -> None:
    folder = tmp_path / "albums" / "renditions"
    assert not folder.exists()
    folder.write_bytes(b"no folder can be made here")
    assert photo(service, 320).width == 320


def test_a_thumbnail_larger_than_what_may_be_added(tmp_path: Path) -> None:
    data = cv2.imencode(".png", np.zeros((900, 900, 3), np.uint8))[1].tobytes()
    with album_service(tmp_path, limits=AlbumLimits(photo_bytes=len(data))) as service:
        ask(service, AlbumCreate("Trip"))
        ask(service, AlbumAdd("Trip", "a.png", data))
        assert len(photo(service, 900).image) > len(data)
