"""Videos larger than any frame: sent, unpacked, imported, watched, shown and exported without being in memory."""

from __future__ import annotations

import io
import os
import re
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.client.album_client import AlbumClient
from facewire.client.album_files import LARGEST_WHOLE_VIDEO
from facewire.client.cli import main as client_app
from facewire.protocol.albums.adding import AlbumAdded, AlbumAddVideo
from facewire.protocol.albums.collection import AlbumCreate
from facewire.protocol.errors import ErrorCode
from facewire.protocol.messages import Progress
from facewire.protocol.settings import MEBIBYTE
from facewire.server.albums.service import AlbumService
from facewire.server.albums.settings import AlbumLimits
from facewire.server.errors import BadRequest, OverLimit
from tests.support.albums import album_service, ask, listening, serving_albums
from tests.support.albums_server import killable
from tests.support.synthetic_engine import portrait
from tests.support.videos import LEFT, encoded, free_box, padded, scene, visit

LIMITS = AlbumLimits(photo_bytes=MEBIBYTE, video_bytes=20 * MEBIBYTE)
MAX_FRAME = 3 * MEBIBYTE  # so that nothing passes that isn't in pieces
LARGE = LARGEST_WHOLE_VIDEO + MEBIBYTE
PARTY = padded(visit(), LARGE)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[AlbumService]:
    with album_service(tmp_path, limits=LIMITS) as service:
        yield service


@pytest.fixture
def client(service: AlbumService) -> Iterator[FaceClient]:
    with serving_albums(service, max_frame=MAX_FRAME) as client:
        client.albums.create("Trip")
        yield client


@pytest.fixture
def albums(client: FaceClient) -> AlbumClient:
    return client.albums


def original(albums: AlbumClient, photo: int) -> bytes:
    return b"".join(piece.data for piece in albums.read_photo("Trip", photo))


def left_over(room: Path) -> list[Path]:
    """Files that are neither originals nor needed any more."""
    return [path for name in ("incoming", "uploads") for path in (room / "albums" / name).iterdir()]


def test_it_is_watched_shown_and_exported(albums: AlbumClient, tmp_path: Path) -> None:
    sent: list[int] = []
    news: list[Progress] = []
    added = albums.add_video(
        "Trip", "day/party.mp4", io.BytesIO(PARTY), len(PARTY), on_sent=sent.append, on_progress=news.append
    )
    assert (added.name, added.duplicate, added.width, added.height) == ("day/party.mp4", False, 192, 128)
    assert sent == sorted(sent) and sent[-1] == len(PARTY) and len(sent) > 5
    assert albums.process("Trip").faces == 2
    (photo,) = albums.photos("Trip").photos
    assert (photo.seconds, photo.size_bytes) == (6.0, len(PARTY))
    assert albums.photo("Trip", added.photo, 320).type == "image/jpeg"
    assert albums.face("Trip", albums.faces("Trip").faces[0].face).type == "image/jpeg"
    assert original(albums, added.photo) == PARTY
    with pytest.raises(ServerRefused, match=r"album\.photo_read"):
        albums.photo("Trip", added.photo)
    albums.save_export(albums.export("Trip"), tmp_path / "trip.zip")
    with zipfile.ZipFile(tmp_path / "trip.zip") as file:
        assert file.read("day/party.mp4") == PARTY
    assert left_over(tmp_path) == []


def test_add_chooses_pieces_by_itself(albums: AlbumClient, tmp_path: Path) -> None:
    photos = [("a.png", portrait(1)), ("b.mp4", PARTY), ("c.txt", b"no"), ("d.mp4", PARTY), ("e.png", portrait(2))]
    outcomes = list(albums.add_many("Trip", photos))
    assert [isinstance(each, AlbumAdded) and each.duplicate for each in outcomes] == [False, False, False, True, False]
    assert isinstance(outcomes[2], ServerRefused)
    assert albums.add("Trip", "f.mp4", PARTY).duplicate
    assert albums.status("Trip").photos == 3
    assert left_over(tmp_path) == []


def test_in_a_zip_and_in_a_folder(albums: AlbumClient, tmp_path: Path) -> None:
    picture = portrait(3) + bytes(LIMITS.photo_bytes)  # too large for a picture, as ever
    other = padded(encoded(scene([(5, LEFT)], 1), form="mov"), LARGE)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, data in (("party.mp4", PARTY), ("large.png", picture), ("torn.mp4", other)):
            file.writestr(name, data)
    torn = bytearray(packed.getvalue())
    torn[torn.index(b"torn.mp4") + LARGE // 2] ^= 1  # its checksum tells
    ingested = albums.add_zip("Trip", io.BytesIO(torn))
    assert (ingested.added, ingested.duplicates) == (1, 0)
    assert {skip.name: skip.reason[:16] for skip in ingested.skipped} == {
        "large.png": "the file has 104", "torn.mp4": "damaged, or pack"
    }  # fmt: skip
    folder = tmp_path / "import" / "holiday"
    folder.mkdir()
    for name, data in (("party.mp4", PARTY), ("other.mov", other), ("large.png", picture)):
        (folder / name).write_bytes(data)
    ingested = albums.import_folder("Trip", "holiday")
    assert (ingested.added, ingested.duplicates, ingested.skipped_total) == (1, 1, 1)
    assert albums.process("Trip").with_faces == 2
    assert sorted(photo.size_bytes for photo in albums.photos("Trip").photos) == [LARGE, LARGE]
    assert left_over(tmp_path) == []


def test_one_that_was_still_being_copied_is_replaced(albums: AlbumClient, tmp_path: Path) -> None:
    whole = encoded(scene([(5, LEFT)], 6), faststart=True)
    folder = tmp_path / "import" / "holiday"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(whole[: len(whole) * 2 // 3].ljust(len(whole) - 9, b"\0"))
    assert albums.import_folder("Trip", "holiday").added == 1
    (folder / "a.mp4").write_bytes(whole)
    assert albums.import_folder("Trip", "holiday").added == 1
    (photo,) = albums.photos("Trip").photos
    assert original(albums, photo.photo) == whole


def test_too_large_or_no_video_is_refused_at_once(albums: AlbumClient, client: FaceClient, tmp_path: Path) -> None:
    too_large = LIMITS.video_bytes + 1
    for size, data, reason in (
        (too_large, PARTY[:100], "the video has 20971521 bytes, the limit is 20971520"),
        (LARGE, portrait(1), "unsupported video format"),
    ):
        with pytest.raises(ServerRefused, match=reason) as refused:
            client.ask(AlbumAddVideo("Trip", "a.mp4", size, data))
        assert refused.value.code is ErrorCode.INVALID_IMAGE
    folder = tmp_path / "import" / "holiday"
    folder.mkdir()
    with (folder / "long.mp4").open("wb") as file:
        file.write(visit())
        file.truncate(too_large)
    (skipped,) = albums.import_folder("Trip", "holiday").skipped
    assert skipped.reason.startswith("the video has 20971521 bytes")
    assert left_over(tmp_path) == []


def test_what_turns_out_to_be_broken_is_refused_and_forgotten(client: FaceClient, tmp_path: Path) -> None:
    broken = b"\0\0\0\x18ftypmp42" + bytes(LARGE)
    with pytest.raises(ServerRefused) as refused:
        client.albums.add("Trip", "broken.mp4", broken)
    assert refused.value.code is ErrorCode.INVALID_IMAGE
    assert left_over(tmp_path) == []
    assert not client.albums.status("Trip").adding


def test_pieces_that_come_again_late_or_too_early(client: FaceClient) -> None:
    """Sending again is harmless; what is asked for again afterwards is answered again."""
    film = visit()
    half = len(film) // 2
    first = client.ask(AlbumAddVideo("Trip", "a.mp4", len(film), film[:half]))
    with pytest.raises(ServerRefused, match="continue from there"):
        client.ask(AlbumAddVideo("Trip", "a.mp4", len(film), film[half + 9 :], first.upload, half + 9))
    again = client.ask(AlbumAddVideo("Trip", "a.mp4", len(film), film[9:half], first.upload, 9))
    assert (again.received, again.added) == (half, None)
    last = AlbumAddVideo("Trip", "a.mp4", len(film), film[half:], first.upload, half)
    done = client.ask(last)
    assert done.added is not None and done.received == len(film)
    assert client.ask(last) == done
    client.albums.create("Other")
    with pytest.raises(ServerRefused, match="no such upload"):
        client.ask(AlbumAddVideo("Other", "a.mp4", len(film), film[half:], first.upload, half))


def test_one_that_is_given_up_is_forgotten_as_a_zip_is(tmp_path: Path) -> None:
    film = visit()
    first = AlbumAddVideo("Trip", "a.mp4", len(film), film[:900])
    with album_service(tmp_path) as service:
        ask(service, AlbumCreate("Trip"))
        old, young = (ask(service, first).upload for _ in range(2))
    hours_ago = time.time() - 7200
    os.utime(tmp_path / "albums" / "uploads" / old, (hours_ago, hours_ago))
    with album_service(tmp_path) as service:
        assert [path.name for path in left_over(tmp_path)] == [young]
        with pytest.raises(BadRequest, match="start again"):
            ask(service, replace(first, data=film[900:], upload=old, offset=900))
        assert ask(service, replace(first, data=film[900:], upload=young, offset=900)).added is not None


def test_an_album_that_is_full_says_so_before_it_is_sent(tmp_path: Path) -> None:
    film = visit()
    with album_service(tmp_path, limits=AlbumLimits(album_bytes=len(film) - 1)) as service:
        ask(service, AlbumCreate("Trip"))
        with pytest.raises(OverLimit):
            ask(service, AlbumAddVideo("Trip", "a.mp4", len(film), film[:900]))
    assert left_over(tmp_path) == []


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("party.mp4").write_bytes(PARTY)
    Path("a.png").write_bytes(portrait(1))
    with (
        album_service(tmp_path, limits=LIMITS) as service,
        listening(service, max_frame=MAX_FRAME) as (host, port),
    ):

        def run(*words: str) -> str:
            assert client_app(["album", *words, "--host", host, "--port", str(port)]) == 0
            return capsys.readouterr().out

        assert run("add", "Trip", "party.mp4", "a.png", "--create") == "2 photos added, 0 already there\n"
        number = next(line.split()[0] for line in run("photos", "Trip").splitlines() if "party.mp4" in line)
        assert run("photo", "Trip", number, "-o", "copy.mp4") == f"copy.mp4: 192x128, {len(PARTY)} bytes\n"
    assert Path("copy.mp4").read_bytes() == PARTY
    assert not Path("copy.mp4.part").exists()


def peak(pid: int) -> int:
    """The most memory that the process ever had resident, in bytes."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        pytest.skip("this system does not tell what memory a process has")
    return int(found[1]) * 1024


def test_what_is_large_is_never_in_memory(tmp_path: Path) -> None:
    """Sent, imported, watched and read."""
    size = 128 * MEBIBYTE
    folder = tmp_path / "import" / "holiday"
    folder.mkdir(parents=True)
    film = visit()
    with (folder / "large.mp4").open("wb") as file:
        file.write(film + free_box(size - len(film)))
        file.truncate(size)
    with killable(tmp_path) as (client, process):
        albums = client.albums
        albums.create("Trip")
        albums.add_video("Trip", "small.mp4", io.BytesIO(padded(film, LARGE)), LARGE)
        albums.process("Trip")
        before = peak(process.pid)
        with (folder / "large.mp4").open("rb") as file:
            added = albums.add_video("Trip", "large.mp4", file, size)
        assert albums.import_folder("Trip", "holiday").duplicates == 1
        assert albums.process("Trip").with_faces == 2
        assert sum(len(piece.data) for piece in albums.read_photo("Trip", added.photo, size - 9 * MEBIBYTE)) == 9 << 20
        assert peak(process.pid) - before < 48 * MEBIBYTE
