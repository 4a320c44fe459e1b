"""Searching an album for what photos show, with a model that knows three colours (tests/support/tiny_clip.py)."""

from __future__ import annotations

import io
import sqlite3
import time
import zipfile
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.client.cli import main
from facewire.protocol.albums.search import AlbumWanted
from facewire.server.albums.service import AlbumService
from tests.support.albums import album_service, listening, serving_albums
from tests.support.fake_service import PATIENCE_S
from tests.support.synthetic_engine import portrait
from tests.support.tiny_clip import write_clip

ADA = 5


def scene(red: int, green: int, blue: int) -> bytes:
    """A picture of one colour, too dark for a face."""
    done, data = cv2.imencode(".png", np.full((48, 64, 3), (blue, green, red), np.uint8))
    assert done
    return data.tobytes()


SCENES = {"sky.png": scene(0, 0, 30), "lawn.png": scene(0, 30, 0), "poppies.png": scene(30, 0, 0)}


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip")


def add(client: FaceClient) -> None:
    client.albums.create("Trip")
    for name, data in SCENES.items():
        client.albums.add("Trip", name, data)
    client.albums.process("Trip")


def names(client: FaceClient, text: str) -> list[str]:
    """What is found, best first, once all photos are described."""
    until = time.monotonic() + PATIENCE_S
    while (found := client.albums.search("Trip", text=text)).total < client.albums.status("Trip").photos:
        assert time.monotonic() < until
        time.sleep(0.02)
    return [hit.photo.name for hit in found.photos]


def test_photos_are_found_by_what_they_show(tmp_path: Path, clip: Path) -> None:
    with album_service(tmp_path, clip=clip) as service, serving_albums(service) as client:
        add(client)
        assert client.albums.status("Trip").text_search
        assert names(client, "something red")[0] == "poppies.png"
        assert names(client, "green")[0] == "lawn.png"
        found = client.albums.search("Trip", text="BLUE", limit=1)
        assert ([hit.photo.name for hit in found.photos], found.total) == (["sky.png"], 3)
        assert found.photos[0].similarity == pytest.approx(1, abs=1e-3)


def test_together_with_people(tmp_path: Path, clip: Path) -> None:
    with album_service(tmp_path, clip=clip) as service, serving_albums(service) as client:
        add(client)
        for number in range(3):
            client.albums.add("Trip", f"ada {number}.png", portrait(ADA, shade=number))
        client.albums.process("Trip")
        names(client, "red")
        (ada,) = client.albums.people("Trip").people
        found = client.albums.search("Trip", [AlbumWanted(people=(ada.person,))], text="red")
        assert sorted(hit.photo.name for hit in found.photos) == ["ada 0.png", "ada 1.png", "ada 2.png"]
        similarities = [hit.similarity for hit in found.photos]
        assert similarities == sorted(similarities, reverse=True)
        assert all(hit.matches for hit in found.photos)


def test_photos_of_before_are_described_at_the_next_start(tmp_path: Path, clip: Path) -> None:
    with album_service(tmp_path) as service, serving_albums(service) as client:
        add(client)
        assert not client.albums.status("Trip").text_search
        with pytest.raises(ServerRefused, match="no model for searching by text"):
            client.albums.search("Trip", text="red")
    with album_service(tmp_path, clip=clip) as service, serving_albums(service) as client:
        assert names(client, "red")[0] == "poppies.png"


def test_a_removed_photo_and_another_model_leave_no_vector(tmp_path: Path, clip: Path) -> None:
    def kept() -> int:
        with closing(sqlite3.connect(tmp_path / "albums" / "albums.db")) as db:
            return int(db.execute("SELECT count(*) FROM clip_vectors").fetchone()[0])

    with album_service(tmp_path, clip=clip) as service, serving_albums(service) as client:
        add(client)
        names(client, "red")
        client.albums.remove("Trip", [client.albums.photos("Trip").photos[0].photo])
        assert kept() == 2
    (clip / "visual" / "preprocess_cfg.json").write_text('{"size": 32, "std": [1, 1, 1]}')
    with album_service(tmp_path, clip=clip) as service, serving_albums(service) as client:
        names(client, "red")
        assert kept() == 2


def test_on_the_command_line(tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(service: AlbumService, *words: str) -> tuple[int, list[str]]:
        with listening(service) as (host, port):
            code = main(["album", "search", "Trip", *words, "--host", host, "--port", str(port)])
        printed = capsys.readouterr()
        return code, (printed.out or printed.err).splitlines()

    with album_service(tmp_path, clip=clip) as service:
        with serving_albums(service) as client:
            add(client)
            names(client, "red")
        archive = tmp_path / "red.zip"
        code, lines = run(service, "--text", "a red field", "-n", "1", "--export", str(archive))
        assert code == 0
        assert "poppies.png  (no face)" in lines[1]
        assert "poppies.png" in zipfile.ZipFile(io.BytesIO(archive.read_bytes())).namelist()
        code, lines = run(service)
        assert code == 2
        assert "say whom to search for, or with --text what" in lines[-1]
