"""kill -9 at any moment: what was acknowledged is there, nothing is there twice, and work goes on."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import ConnectionLost
from client.album_client import AlbumClient
from protocol.album_messages import AlbumAdded
from protocol.messages import Progress
from tests.support.albums_server import POISON, DiedEarly, killable
from tests.support.synthetic_engine import portrait

PHOTOS = 60


def photos() -> list[tuple[str, bytes]]:
    return [(f"{number}.png", portrait(number, shade=number)) for number in range(PHOTOS)]


def check(room: Path) -> None:
    """The database is sound, every original is what its name says, and there are no others."""
    with sqlite3.connect(room / "albums" / "albums.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        known = {row[0] for row in db.execute("SELECT sha256 FROM blobs")}
        faces = db.execute("SELECT detection_id, photo_id, count(*) FROM faces GROUP BY 1, 2 HAVING count(*) > 1")
        assert faces.fetchall() == []
    kept = {path.name: path for path in (room / "albums" / "originals").glob("*/*")}
    assert set(kept) == known
    for name, path in kept.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == name
    assert list((room / "albums" / "incoming").iterdir()) == []


def add_until_killed(albums: AlbumClient, process: subprocess.Popen[str], after: int) -> list[AlbumAdded]:
    """Adds, and kills the server when so many are acknowledged; the acknowledged ones."""
    acknowledged: list[AlbumAdded] = []
    try:
        for outcome in albums.add_many("Trip", photos()):
            assert isinstance(outcome, AlbumAdded)
            acknowledged.append(outcome)
            if len(acknowledged) == after:
                process.kill()
    except ConnectionLost:
        pass
    return acknowledged


def test_killed_while_photos_are_added(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    for after in (1, 33, PHOTOS):
        with killable(tmp_path) as (client, process):
            if not client.albums.list().total:
                client.albums.create("Trip")
            there = {photo.sha256: photo.photo for photo in client.albums.all_photos("Trip")}
            assert acknowledged.items() <= there.items()
            check(tmp_path)
            for added in add_until_killed(client.albums, process, after):
                assert acknowledged.setdefault(added.sha256, added.photo) == added.photo
    assert len(acknowledged) == PHOTOS


def test_killed_while_it_finds_faces(tmp_path: Path) -> None:
    with killable(tmp_path) as (client, _):
        client.albums.create("Trip")
        list(client.albums.add_many("Trip", photos()))
    for _ in range(2):
        with killable(tmp_path, slow=0.05) as (client, process):
            before = client.albums.status("Trip").waiting

            def kill_on_the_way(news: Progress, process: subprocess.Popen[str] = process) -> None:
                if news.done > 3:
                    process.kill()

            with pytest.raises(ConnectionLost):
                client.albums.process("Trip", on_progress=kill_on_the_way)
    with killable(tmp_path) as (client, _):
        info = client.albums.status("Trip")
        assert info.waiting < before
        info = client.albums.process("Trip")  # joins what the start took up again
        assert (info.waiting, info.with_faces, info.faces) == (0, PHOTOS, PHOTOS)
        assert sum(person.faces for person in client.albums.all_people("Trip")) == PHOTOS
        check(tmp_path)


def test_what_was_asked_for_is_done_without_asking_again(tmp_path: Path) -> None:
    with killable(tmp_path, slow=0.05) as (client, _):
        client.albums.create("Trip")
        list(client.albums.add_many("Trip", photos()[:20]))
        client.albums.process("Trip", wait=False)
    with killable(tmp_path) as (client, _):
        assert client.albums.status("Trip").processing or client.albums.status("Trip").waiting == 0
        for _ in poll():
            if not client.albums.status("Trip").processing:
                break
        assert client.albums.status("Trip").with_faces == 20


def test_killed_between_a_zip_and_its_answer(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in photos():
            archive.writestr(name, data)

    with killable(tmp_path) as (client, process):
        client.albums.create("Trip")

        def kill_on_the_way(news: Progress) -> None:
            process.kill()

        with contextlib.suppress(ConnectionLost):  # or it was quicker than the kill
            client.albums.add_zip("Trip", io.BytesIO(buffer.getvalue()), on_progress=kill_on_the_way)
    with killable(tmp_path) as (client, _):
        ingested = client.albums.add_zip("Trip", io.BytesIO(buffer.getvalue()))
        assert ingested.added + ingested.duplicates == PHOTOS
        assert client.albums.status("Trip").photos == PHOTOS
        check(tmp_path)


def test_killed_while_a_zip_is_downloaded(tmp_path: Path) -> None:
    target = tmp_path / "trip.zip"
    with killable(tmp_path) as (client, process):
        client.albums.create("Trip")
        list(client.albums.add_many("Trip", [(f"{n}.png", portrait(n) + bytes(200_000 + n)) for n in range(20)]))
        export = client.albums.export("Trip")
        with pytest.raises(ConnectionLost):
            client.albums.save_export(export, target, lambda done: process.kill() if done else None)
    assert not target.exists()
    with killable(tmp_path) as (client, _):
        client.albums.save_export(export, target)
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 21


def poll() -> Iterator[None]:
    """As often as it takes, but not for ever."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        yield
        time.sleep(0.05)
    pytest.fail("it took too long")


def test_a_picture_that_kills_the_server_does_so_twice_at_most(tmp_path: Path) -> None:
    with killable(tmp_path) as (client, _):
        client.albums.create("Trip")
        client.albums.add("Trip", "poison.png", portrait(POISON))
        client.albums.add("Trip", "good.png", portrait(1))
    for _ in range(2):
        # The second time as soon as it has started: the work was asked for, and goes on by itself.
        with pytest.raises((ConnectionLost, DiedEarly)), killable(tmp_path) as (client, _):
            client.albums.process("Trip")
    with killable(tmp_path) as (client, _):
        info = client.albums.process("Trip")
        assert (info.with_faces, info.unreadable) == (1, 1)
        (entry,) = client.albums.photos("Trip", show="unreadable").photos
        assert (entry.name, entry.reason) == (
            "poison.png",
            "the server died twice while it looked at this picture",
        )
