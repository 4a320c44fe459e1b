"""Albums as ZIPs."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from facewire.client import FaceClient
from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.export import AlbumExportRead
from facewire.protocol.albums.search import AlbumSample, AlbumWanted
from facewire.protocol.errors import ErrorCode, InvalidRequest
from tests.support.albums import album_service, serving_albums
from tests.support.synthetic_engine import portrait
from tests.support.trip import ADA, BEN, LEFT, RIGHT, exported, of, refused


def test_an_album_with_labels_and_sidecars(trip: AlbumClient) -> None:
    trip.label("Trip", of(trip, ADA).person, "Ada & <co>")
    archive = exported(trip, "Trip")
    assert archive.testzip() is None
    names = archive.namelist()
    assert names == sorted(set(names), key=names.index)
    assert archive.read("day 1/ada 1.png") == portrait(ADA, shade=1)
    labels = json.loads(archive.read("labels.json"))
    assert [person["name"] for person in labels["people"]] == ["Ada & <co>"]
    assert {photo["file"] for photo in labels["photos"]} == {n for n in names if n.endswith(".png")}
    both = next(photo for photo in labels["photos"] if photo["file"] == "both.png")
    assert both["people"] == ["Ada & <co>"]
    assert sorted(face["box"] for face in both["faces"]) == [list(LEFT), list(RIGHT)]
    assert "day 2/ben 0.png.xmp" not in names
    root = ElementTree.fromstring(archive.read("both.png.xmp"))
    texts = [element.text for element in root.iter() if element.tag.endswith(("}li", "}Name")) and element.text]
    assert texts == ["Ada & <co>"] * 2


def test_a_person_a_search_and_some_photos(trip: AlbumClient) -> None:
    ben = of(trip, BEN)
    mine = ["both.png", "day 2/ben 0.png", "day 2/ben 1.png"]
    assert exported(trip, "Trip", people=[ben.person], sidecars=False).namelist() == mine
    wanted = [AlbumWanted((AlbumSample(portrait(BEN)),))]
    assert sorted(exported(trip, "Trip", wanted=wanted, sidecars=False).namelist()) == mine
    alone = exported(trip, "Trip", wanted=wanted, show="solo", sidecars=False)
    assert sorted(alone.namelist()) == mine[1:]
    with pytest.raises(InvalidRequest, match="results of a search"):
        trip.export("Trip", people=[ben.person], show="group")
    together = [ben.person, of(trip, ADA).person]
    assert exported(trip, "Trip", people=together, together="all", sidecars=False).namelist() == ["both.png"]
    photo = trip.photos("Trip").photos[-1]
    assert exported(trip, "Trip", photos=[photo.photo], sidecars=False).namelist() == [photo.name]


def test_names_do_not_meet_and_can_be_unpacked_anywhere(albums: AlbumClient) -> None:
    albums.create("Names")
    names = [
        "A.png",
        "a.PNG",
        "a.png",
        "CON.png",
        "x/aux",
        "x",
        "x/y.png",
        "what?.png",
        "end. ",
        "é.png",
        "e\u0301.png",
    ]
    for number, name in enumerate(names):
        albums.add("Names", name, portrait(1, shade=number))
    inside = exported(albums, "Names", sidecars=False).namelist()
    assert len({name.casefold() for name in inside}) == len(names)
    assert "_CON.png" in inside
    assert all("?" not in name and not name.startswith("/") for name in inside)
    assert all(name.lower().endswith(".png") for name in inside)


def test_any_piece_in_any_order(trip: AlbumClient, client: FaceClient) -> None:
    export = trip.export("Trip")
    whole = b"".join(trip.read_export(export))
    assert len(whole) == export.size_bytes
    for offset in (*range(0, len(whole), 97), len(whole) - 1, len(whole), len(whole) + 5):
        piece = client.ask(AlbumExportRead(export.export, offset, 300))
        assert piece.data == whole[offset : offset + 300]


def test_a_download_goes_on_after_a_restart_of_the_server(tmp_path: Path) -> None:
    with album_service(tmp_path) as service, serving_albums(service) as client:
        client.albums.create("Trip")
        client.albums.add("Trip", "a.png", portrait(ADA))
        export = client.albums.export("Trip")
        first = next(client.albums.read_export(export))[:50]
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "trip.zip"
    (tmp_path / "out" / f"trip.zip.{export.export[:12]}.part").write_bytes(first)
    with album_service(tmp_path) as service, serving_albums(service) as client:
        client.albums.save_export(export, target)
    assert zipfile.ZipFile(target).testzip() is None
    assert list((tmp_path / "out").iterdir()) == [target]


def test_an_export_of_what_is_gone(trip: AlbumClient) -> None:
    export = trip.export("Trip")
    trip.delete("Trip")
    with refused(ErrorCode.INVALID_REQUEST):
        list(trip.read_export(export))
