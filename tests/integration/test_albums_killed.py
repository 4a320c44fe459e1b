"""kill -9 at any moment: what was acknowledged is there, nothing is there twice, and work goes on."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import sqlite3
import subprocess
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from facewire.client import ConnectionLost
from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.adding import AlbumAdded, AlbumAddVideo, AlbumAddZip
from facewire.protocol.albums.collection import AlbumInfo
from facewire.protocol.messages import Progress
from tests.support.albums_server import POISON, POISONED_HEADER, DiedEarly, killable
from tests.support.synthetic_engine import portrait
from tests.support.waiting import PATIENCE_S, eventually

PHOTOS = 60


def photos() -> list[tuple[str, bytes]]:
    return [(f"{number}.png", portrait(number, shade=number)) for number in range(PHOTOS)]


def check(room: Path) -> None:
    """The database is sound, every original is what its name says, and there are no others."""
    with closing(sqlite3.connect(room / "albums" / "albums.db")) as db:
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
            began = client.albums.status("Trip")
            assert began.processed + began.waiting in (0, PHOTOS)  # none was asked for, or it goes on where it was
            before = began.waiting

            def kill_on_the_way(news: Progress, process: subprocess.Popen[str] = process) -> None:
                if news.done > 3:
                    process.kill()

            with pytest.raises(ConnectionLost):
                client.albums.process("Trip", on_progress=kill_on_the_way)
    with killable(tmp_path) as (client, _):
        info = client.albums.status("Trip")
        assert info.waiting < before
        assert not info.processing or info.processed + info.waiting == PHOTOS
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


def zipped(files: Sequence[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


def wait_until_added(albums: AlbumClient) -> AlbumInfo:
    for _ in poll():
        info = albums.status("Trip")
        if not info.adding:
            break
    return info


# A photo takes two: its bytes, and the folder that it gets its name in. The first of all is the ZIP itself.
@pytest.mark.parametrize("fsync", [2, 3, 9])
def test_killed_while_a_zip_is_unpacked(tmp_path: Path, fsync: int) -> None:
    """By itself the next server adds the rest, and only that; who lost the answer can ask what came of it."""
    files = [*photos()[:6], ("notes.txt", b"hello"), ("again.png", photos()[0][1]), ("broken.png", b"no"), photos()[7]]
    data = zipped(files)
    with killable(tmp_path, death=f"fsync {fsync}") as (client, _):
        client.albums.create("Trip")
        taken = client.ask(AlbumAddZip("Trip", data))
        last = AlbumAddZip("Trip", b"", taken.upload, len(data), last=True)
        with pytest.raises(ConnectionLost):
            client.ask(last)
    with killable(tmp_path) as (client, _):
        assert wait_until_added(client.albums).photos == 7
        ingested = client.ask(last).ingested
        assert ingested is not None
        assert (ingested.added, ingested.duplicates, ingested.skipped_total) == (7, 1, 2)
        assert [skipped.name for skipped in ingested.skipped] == ["notes.txt", "broken.png"]
        # Removed once it is answered for
        assert eventually(lambda: list((tmp_path / "albums" / "uploads").iterdir()) == [])
        check(tmp_path)


def test_killed_before_the_last_piece_of_a_zip_is_answered(tmp_path: Path) -> None:
    data = zipped(photos()[:3])
    with killable(tmp_path, death="fsync 1") as (client, _):
        client.albums.create("Trip")
        half = client.ask(AlbumAddZip("Trip", data[:100]))
        rest = AlbumAddZip("Trip", data[100:], half.upload, 100, last=True)
        with pytest.raises(ConnectionLost):
            client.ask(rest)
    with killable(tmp_path) as (client, _):
        assert client.albums.status("Trip").photos == 0
        assert not client.albums.status("Trip").adding
        ingested = client.ask(rest).ingested
        assert ingested is not None
        assert ingested.added == 3
        check(tmp_path)


def test_killed_between_the_pieces_of_a_video(tmp_path: Path) -> None:
    """The next server goes on where this one ended; of an upload that nobody goes on with nothing is in the album."""
    pytest.importorskip("av", reason="PyAV is not installed (requirements-video.txt)")
    from tests.support.videos import visit

    film = visit()
    with killable(tmp_path) as (client, process):
        client.albums.create("Trip")
        half = client.ask(AlbumAddVideo("Trip", "a.mp4", len(film), film[:900]))
        client.ask(AlbumAddVideo("Trip", "given up.mp4", len(film), film[:500]))
        process.kill()
    with killable(tmp_path) as (client, _):
        assert client.albums.status("Trip").photos == 0
        check(tmp_path)
        done = client.ask(AlbumAddVideo("Trip", "a.mp4", len(film), film[900:], half.upload, half.received))
        assert done.added is not None
        assert [photo.name for photo in client.albums.all_photos("Trip")] == ["a.mp4"]
        check(tmp_path)


# The first is of the upload itself; the third comes when it has its place, which nothing in the database says yet.
@pytest.mark.parametrize("fsync", [1, 3])
def test_killed_while_a_video_is_added(tmp_path: Path, fsync: int) -> None:
    """By itself the next server adds it, unless nobody was told that it arrived; who asks again is told."""
    pytest.importorskip("av", reason="PyAV is not installed (requirements-video.txt)")
    from tests.support.videos import visit

    film = visit()
    with killable(tmp_path, death=f"fsync {fsync}") as (client, _):
        client.albums.create("Trip")
        half = client.ask(AlbumAddVideo("Trip", "a.mp4", len(film), film[:900]))
        rest = AlbumAddVideo("Trip", "a.mp4", len(film), film[900:], half.upload, 900)
        with pytest.raises(ConnectionLost):
            client.ask(rest)
    with killable(tmp_path) as (client, _):
        assert wait_until_added(client.albums).photos == (fsync > 1)
        added = client.ask(rest).added
        assert added is not None and not added.duplicate
        assert client.albums.status("Trip").photos == 1
        assert eventually(lambda: list((tmp_path / "albums" / "uploads").iterdir()) == [])
        check(tmp_path)


def test_killed_again_and_again_while_a_folder_is_imported(tmp_path: Path) -> None:
    """Every life goes on where the last one ended, and what was taken out of the album meanwhile stays out."""
    folder = tmp_path / "import" / "holiday"
    for number, (name, data) in enumerate(photos()[:12]):
        (folder / f"day {number % 3}").mkdir(parents=True, exist_ok=True)
        (folder / f"day {number % 3}" / name).write_bytes(data)
    (folder / "z.png").write_bytes(photos()[20][1])  # comes first, for files come before folders
    with killable(tmp_path, death="fsync 9") as (client, _):
        client.albums.create("Trip")
        with pytest.raises(ConnectionLost):
            client.albums.import_folder("Trip", "holiday")
    # As `album.remove` does, without a server at work
    with closing(sqlite3.connect(tmp_path / "albums" / "albums.db")) as db, db:
        (removed,) = db.execute("SELECT name FROM photos WHERE id = 1").fetchone()
        db.execute("DELETE FROM photos WHERE id = 1")
        db.execute("DELETE FROM blobs WHERE sha256 NOT IN (SELECT sha256 FROM photos)")
    with pytest.raises((ConnectionLost, DiedEarly)), killable(tmp_path, death="fsync 9") as (client, process):
        process.wait(60)
        raise ConnectionLost
    with killable(tmp_path) as (client, _):
        assert wait_until_added(client.albums).photos == 12
        names = {photo.name for photo in client.albums.all_photos("Trip")}
        assert removed not in names
        check(tmp_path)
        again = client.albums.import_folder("Trip", "holiday")
        assert (again.added, again.duplicates) == (1, 12)  # asked for anew, it is added anew


def test_killed_while_it_finds_out_who_is_who(tmp_path: Path) -> None:
    with killable(tmp_path, death="grouping") as (client, _):
        client.albums.create("Trip")
        list(client.albums.add_many("Trip", photos()[:20]))
        with pytest.raises(ConnectionLost):
            client.albums.process("Trip")
    with killable(tmp_path) as (client, _):
        for _ in poll():
            info = client.albums.status("Trip")
            if not info.processing:
                break
        assert (info.waiting, info.with_faces) == (0, 20)
        assert sum(person.faces for person in client.albums.all_people("Trip")) == 20
        check(tmp_path)


class Story:
    """A ZIP, a folder, everybody found and two of them named; what was acknowledged is not asked for again."""

    def __init__(self, room: Path) -> None:
        self.zip = zipped(photos()[:25])
        for name, data in photos()[15:40]:
            (room / "import" / "more").mkdir(parents=True, exist_ok=True)
            (room / "import" / "more" / name).write_bytes(data)
        self.named: dict[str, str] = {}  # the sha256 of a person's photo -> their name
        self.left = [self.send_the_zip, self.import_the_folder, self.find_faces, self.name_two, self.find_faces]

    def go_on(self, albums: AlbumClient) -> None:
        if not albums.list().total:
            albums.create("Trip")
        photos = {photo.photo: photo.sha256 for photo in albums.all_photos("Trip")}
        faces = list(albums.all_faces("Trip"))
        assert self.named.items() <= {photos[face.photo]: face.name for face in faces}.items()
        while self.left:
            self.left[0](albums)
            self.left.pop(0)

    def send_the_zip(self, albums: AlbumClient) -> None:
        albums.add_zip("Trip", io.BytesIO(self.zip))

    def import_the_folder(self, albums: AlbumClient) -> None:
        albums.import_folder("Trip", "more")

    def find_faces(self, albums: AlbumClient) -> None:
        albums.process("Trip")

    def name_two(self, albums: AlbumClient) -> None:
        for name in ("Ada", "Ben"):
            person = next(person for person in albums.all_people("Trip") if person.name is None)
            albums.label("Trip", person.person, name)
            self.named |= {photo.sha256: name for photo in albums.all_photos("Trip", person=person.person)}


def files_done(room: Path) -> int:
    """How many files have been added or looked at, by what is on disk."""
    with closing(sqlite3.connect(f"{(room / 'albums' / 'albums.db').as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT (SELECT count(*) FROM photos) + (SELECT count(*) FROM looked)").fetchone()[0])


def kill_on_the_way(room: Path, process: subprocess.Popen[str], files: int, later_s: float) -> None:
    """Kills the server so many seconds after so many more files are done, or when there are no more to do.

    Every life does something: a file in whose midst the server dies three times in a row is skipped, see `poison.py`.
    """
    before = files_done(room)
    for _ in poll():
        if files_done(room) >= min(before + files, 80):
            break
    time.sleep(later_s)
    process.kill()


def test_killed_at_any_moment(tmp_path: Path) -> None:
    choice, story = random.Random(0), Story(tmp_path)
    for files in (3, 35, 10, 40):
        with killable(tmp_path, slow=0.02) as (client, process), ThreadPoolExecutor(1) as aside:
            killed = aside.submit(kill_on_the_way, tmp_path, process, files, choice.uniform(0, 0.05))
            with contextlib.suppress(ConnectionLost):
                story.go_on(client.albums)
            killed.result()
    with killable(tmp_path) as (client, _):
        story.go_on(client.albums)
        info = wait_until_added(client.albums)
        assert (info.photos, info.with_faces, info.waiting, info.faces) == (40, 40, 0, 40)
        assert {"Ada", "Ben"} <= {person.name for person in client.albums.all_people("Trip")}
        check(tmp_path)


def test_a_file_that_kills_the_server_does_so_three_times_at_most(tmp_path: Path) -> None:
    data = zipped([photos()[0], ("poison.tif", POISONED_HEADER), photos()[1]])
    with killable(tmp_path) as (client, _):
        client.albums.create("Trip")
        with pytest.raises(ConnectionLost):
            client.albums.add_zip("Trip", io.BytesIO(data))
    for _ in range(2):
        with pytest.raises((ConnectionLost, DiedEarly)), killable(tmp_path) as (client, process):
            process.wait(60)
            raise ConnectionLost
    with killable(tmp_path) as (client, _):
        assert wait_until_added(client.albums).photos == 2
        ingested = client.albums.add_zip("Trip", io.BytesIO(zipped([photos()[2]])))
        assert ingested.added == 1


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
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        yield
        time.sleep(0.05)
    pytest.fail("it took too long")


def test_a_picture_that_kills_the_server_does_so_three_times_at_most(tmp_path: Path) -> None:
    with killable(tmp_path) as (client, _):
        client.albums.create("Trip")
        client.albums.add("Trip", "poison.png", portrait(POISON))
        client.albums.add("Trip", "good.png", portrait(1))
    for _ in range(3):
        # The second time on as soon as it has started: the work was asked for, and goes on by itself.
        with pytest.raises((ConnectionLost, DiedEarly)), killable(tmp_path) as (client, _):
            client.albums.process("Trip")
    with killable(tmp_path) as (client, _):
        info = client.albums.process("Trip")
        assert (info.with_faces, info.unreadable) == (1, 1)
        (entry,) = client.albums.photos("Trip", show="unreadable").photos
        assert (entry.name, entry.reason) == (
            "poison.png",
            "the server crashed 3 times while processing this picture",
        )
