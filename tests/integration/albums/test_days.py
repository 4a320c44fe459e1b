"""When photos were taken: what EXIF says, else the name, else the file; photos by day, and a search within days."""

from __future__ import annotations

import io
import os
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.search import AlbumSample, AlbumWanted
from facewire.protocol.errors import ErrorCode, InvalidRequest
from facewire.server.albums.times import time_in
from facewire.server.vision.capture import capture_time
from tests.support.albums import album_service, serving_albums
from tests.support.pictures import opened, saved
from tests.support.synthetic_engine import draw, portrait
from tests.support.trip import ADA, BEN, LEFT, RIGHT, exported, of, refused

_EXPOSURE = 0x8769


def exif(taken: str, zone: str | None = None, *, digitised: str | None = None) -> bytes:
    """A block as cameras write it."""
    block = Image.Exif()
    block[0x0132] = "2001:01:01 00:00:00"  # when the file was changed, which says nothing
    exposure = block.get_ifd(_EXPOSURE)
    exposure[0x9003] = taken
    if zone is not None:
        exposure[0x9011] = zone
    if digitised is not None:
        exposure[0x9004] = digitised
    return block.tobytes()


def photo(number: int, form: str = "JPEG", shade: int = 1, **options: Any) -> bytes:
    return saved(opened(portrait(number, shade=shade)), form, **options)


@pytest.mark.parametrize(
    ("block", "taken"),
    [
        (exif("2024:01:31 14:25:30"), "2024-01-31T14:25:30"),
        (exif("2024:01:31 14:25:30", "+01:00"), "2024-01-31T14:25:30+01:00"),
        (exif("2024:01:31 14:25:30", "-09:30"), "2024-01-31T14:25:30-09:30"),
        (exif("2024:01:31 14:25:30", "Z"), "2024-01-31T14:25:30+00:00"),
        (exif("2024:01:31 14:25:30", "somewhere"), "2024-01-31T14:25:30"),
        (exif("0000:00:00 00:00:00", digitised="2023:05:06 07:08:09"), "2023-05-06T07:08:09"),
        (exif("0000:00:00 00:00:00"), ""),
        (exif("    :  :     :  :  "), ""),
        (exif("2024:02:30 14:25:30"), ""),
        (b"", ""),
        (b"Exif\0\0nothing", ""),
    ],
)
def test_what_exif_says(block: bytes, taken: str) -> None:
    assert capture_time(block) == taken
    for length in range(len(block)):
        assert capture_time(block[:length]) in (taken, taken[:19], "")


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("IMG_20240131_142530.jpg", "2024-01-31T14:25:30"),
        ("DCIM/PXL_20240131_142530123.jpg", "2024-01-31T14:25:30"),
        ("2024-01-31 14.25.30.jpg", "2024-01-31T14:25:30"),
        ("Photo 2024-01-31 at 14.25.30.png", "2024-01-31T14:25:30"),
        ("Screenshot_2024-01-31-14-25-30.png", "2024-01-31T14:25:30"),
        ("signal-2024-01-31-142530.jpg", "2024-01-31T14:25:30"),
        ("20240131142530.heic", "2024-01-31T14:25:30"),
        ("IMG-20240131-WA0007.jpg", "2024-01-31"),
        ("2024.01.31 birthday.jpg", "2024-01-31"),
        ("2024-01-31/IMG_0007.jpg", ""),
        ("IMG_20240431_101010.jpg", ""),
        ("IMG_20991231_101010.jpg", ""),
        ("DSC_120240131.jpg", ""),
        ("1920x1080.png", ""),
    ],
)
def test_what_a_name_says(name: str, time: str) -> None:
    assert time_in(name) == time


@pytest.fixture
def dated(albums: AlbumClient) -> AlbumClient:
    """An album of photos of three days, and one of which nothing is known."""
    albums.create("Days")
    block = exif("2024:01:31 23:30:00", "+01:00")
    for form in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"):
        options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form != "PNG" else {}
        albums.add(
            "Days", f"{form} 20230101.x", photo(ADA, form, exif=block, **options), modified="2022-01-01T00:00:00"
        )
    albums.add("Days", "IMG_20240201_080000.png", portrait(BEN, shade=1), modified="2022-01-01T00:00:00")
    albums.add("Days", "both.png", draw((ADA, LEFT), (BEN, RIGHT)), modified="2024-02-01T07:00:00.123+09:00")
    albums.add("Days", "who knows.png", portrait(BEN, shade=2))
    albums.process("Days")
    return albums


def test_photos_by_day(dated: AlbumClient) -> None:
    found = {entry.name.split()[0]: (entry.taken, entry.taken_from) for entry in dated.all_photos("Days")}
    assert found == {
        **dict.fromkeys(("JPEG", "PNG", "WEBP", "HEIF", "AVIF"), ("2024-01-31T23:30:00+01:00", "exif")),
        "IMG_20240201_080000.png": ("2024-02-01T08:00:00", "name"),
        "both.png": ("2024-02-01T07:00:00+09:00", "file"),
        "who": (None, None),
    }
    assert [(day.day, day.photos) for day in dated.all_days("Days")] == [
        ("2024-02-01", 2),
        ("2024-01-31", 5),
        (None, 1),
    ]
    first = next(iter(dated.all_days("Days"))).photo
    assert next(entry.name for entry in dated.all_photos("Days") if entry.photo == first) == "both.png"
    assert [day.day for day in dated.days("Days", offset=1, limit=1).days] == ["2024-01-31"]
    ben = of(dated, BEN, "Days").person
    assert [(day.day, day.photos) for day in dated.all_days("Days", person=ben)] == [("2024-02-01", 2), (None, 1)]
    inorder = [entry.name for entry in dated.all_photos("Days", order="taken")]
    assert inorder[5:] == ["both.png", "IMG_20240201_080000.png", "who knows.png"]
    by_day = [entry.name for entry in dated.all_photos("Days", order="days")]
    assert by_day == [*inorder[5:7], *inorder[:5], *inorder[7:]]  # the newest day first, but morning before evening
    assert [(day.day, day.photos) for day in dated.all_days("Days", until="2024-01-31")] == [("2024-01-31", 5)]
    assert [day.photos for day in dated.all_days("Days", contains="both")] == [1]
    assert dated.days("Days", show="waiting").total == 0


def test_favourites(dated: AlbumClient) -> None:
    one, two, *_ = (entry.photo for entry in dated.all_photos("Days", order="days"))
    assert dated.favourite("Days", [one, two, one]).favourites == 2
    with refused(ErrorCode.INVALID_REQUEST):
        dated.favourite("Days", [one, 999], False)
    assert [entry.photo for entry in dated.all_photos("Days", favourites=True, order="days")] == [one, two]
    assert [(day.day, day.photos) for day in dated.all_days("Days", favourites=True)] == [("2024-02-01", 2)]
    assert dated.favourite("Days", [two], False).favourites == 1
    assert [entry.favourite for entry in dated.all_photos("Days", order="days")][:2] == [True, False]
    assert dated.status("Days").favourites == 1


def test_people_by_when_they_were_last_seen(dated: AlbumClient) -> None:
    ada, ben = of(dated, ADA, "Days"), of(dated, BEN, "Days")
    assert (ada.seen, ben.seen) == ("2024-02-01", "2024-02-01")
    dated.add("Days", "IMG_20240301_080000.png", portrait(ADA, shade=70))
    dated.add("Days", "IMG_20230301_080000.png", portrait(52))
    dated.process("Days")
    once = of(dated, 52, "Days").person
    assert [one.person for one in dated.all_people("Days", order="seen")] == [ada.person, ben.person, once]
    assert [one.person for one in dated.all_people("Days", once="only")] == [once]
    assert {one.person for one in dated.all_people("Days", once="without")} == {ada.person, ben.person}
    dated.label("Days", once, "Zoé")
    dated.label("Days", ben.person, "ännchen")
    assert dated.people("Days", once="only").total == 0
    assert [one.name for one in dated.all_people("Days", order="name")] == ["ännchen", "Zoé", None]


def test_photos_and_searches_within_days(dated: AlbumClient) -> None:
    def names(**days: str) -> list[str]:
        page = dated.photos("Days", **days)  # type: ignore[arg-type]
        assert page.total == len(page.photos)
        return [entry.name for entry in page.photos]

    assert names(since="2024-02-01") == ["IMG_20240201_080000.png", "both.png"]
    assert len(names(until="2024-01-31")) == 5
    assert names(since="2024-02-01", until="2024-02-01") == ["IMG_20240201_080000.png", "both.png"]
    assert names(since="2024-02-02") == []
    wanted = [AlbumWanted((AlbumSample(portrait(BEN)),))]
    found = dated.search("Days", wanted, since="2024-02-01")
    assert (found.total, found.solo, found.group) == (2, 1, 1)
    assert dated.search("Days", wanted).total == 3
    archive = exported(dated, "Days", wanted=wanted, until="2024-02-01", sidecars=False)
    assert sorted(archive.namelist()) == ["IMG_20240201_080000.png", "both.png"]
    for wrong in ("2024", "2024-02-30", "20240201", "today"):
        with pytest.raises(InvalidRequest, match="'since' must be a day"):
            dated.photos("Days", since=wrong)
    with refused(ErrorCode.INVALID_REQUEST):
        dated.add("Days", "x.png", portrait(BEN, shade=7), modified="yesterday")


def test_the_times_of_files_in_zips_and_folders(albums: AlbumClient, tmp_path: Path) -> None:
    albums.create("Days")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, time in (("a.png", (2021, 3, 4, 5, 6, 8)), ("b.png", (1980, 1, 1, 0, 0, 0))):
            archive.writestr(zipfile.ZipInfo(name, time), portrait(ADA, shade=time[0]))
    albums.add_zip("Days", io.BytesIO(buffer.getvalue()))
    (tmp_path / "import" / "some").mkdir()
    file = tmp_path / "import" / "some" / "c.png"
    file.write_bytes(portrait(BEN))
    os.utime(file, (1_700_000_000, 1_700_000_000))
    albums.import_folder("Days", "some")
    taken = {entry.name: (entry.taken, entry.taken_from) for entry in albums.all_photos("Days")}
    assert taken["a.png"] == ("2021-03-04T05:06:08", "file")
    assert taken["b.png"] == (None, None)
    when, source = taken["some/c.png"]
    assert when is not None
    assert (when[:8], when[13:19], source) == ("2023-11-", ":13:20", "file")


def test_photos_that_older_versions_added_are_looked_at_after_the_next_start(tmp_path: Path) -> None:
    with album_service(tmp_path) as service, serving_albums(service) as client:
        client.albums.create("Days")
        client.albums.add("Days", "a.jpg", photo(ADA, exif=exif("2024:01:31 14:25:30")))
        client.albums.add("Days", "IMG_20240201_080000.png", portrait(BEN))
    with closing(sqlite3.connect(tmp_path / "albums" / "albums.db")) as db:
        db.execute("UPDATE photos SET taken = NULL, taken_from = NULL")
        db.commit()
    with album_service(tmp_path) as service, serving_albums(service) as client:
        client.albums.add_zip("Days", io.BytesIO(empty_zip()))  # comes after it in the queue
        assert [day.day for day in client.albums.all_days("Days")] == ["2024-02-01", "2024-01-31"]


def empty_zip() -> bytes:
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    return buffer.getvalue()
