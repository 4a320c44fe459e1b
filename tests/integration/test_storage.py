"""Disks that are full, read-only or gone: real ones, where the machine lets us mount them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facewire.protocol.albums.adding import AlbumAdd, AlbumAddZip
from facewire.protocol.albums.collection import AlbumCreate, AlbumDelete, AlbumList, AlbumStatus
from facewire.protocol.schema import Asks
from facewire.server.albums.database import Database
from facewire.server.albums.service import AlbumService
from facewire.server.errors import StartError, StorageFailed
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage.store import Store
from tests.support.albums import album_service, ask
from tests.support.galleries import picture, random_units, spec
from tests.support.synthetic_engine import portrait

DIMENSION = 64
VECTORS = random_units(np.random.default_rng(3), 400, DIMENSION)


class Disk:
    """A file system of `size` in memory, at a folder."""

    def __init__(self, folder: Path, size: str) -> None:
        self.path = folder
        folder.mkdir()
        try:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a file system needs the right to")

    def fill(self) -> None:
        with (self.path / "ballast").open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    def empty(self) -> None:
        (self.path / "ballast").unlink()

    def write_protect(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "-l", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk", "4m")
    yield disk
    disk.unmount()


def enrol(gallery: SqliteGallery, name: str, first: int, count: int) -> None:
    gallery.enrol(name, [picture(f"{name}/{n}", VECTORS[n]) for n in range(first, first + count)])


def test_a_full_disk_is_said_by_the_gallery_and_changes_go_on_when_there_is_room(disk: Disk) -> None:
    path = disk.path / "g.db"
    with SqliteGallery.create(path, spec(DIMENSION)) as gallery:
        enrol(gallery, "Ann", 0, 10)
        disk.fill()
        with pytest.raises(StorageFailed, match="the disk is full: make room"):
            for number in range(20):
                enrol(gallery, f"Bob{number}", 10 + 10 * number, 10)
        disk.empty()
        before = gallery.people()[1]
        enrol(gallery, "Cid", 300, 10)
        assert gallery.people()[1] == before + 1
    with SqliteGallery.open(path) as gallery:
        assert gallery.people()[1] == before + 1


def test_creating_a_gallery_on_a_full_disk_leaves_nothing(disk: Disk) -> None:
    disk.fill()
    path = disk.path / "g.db"
    with pytest.raises(StartError, match="the disk is full"):
        Store.create(path, spec(DIMENSION))
    assert not path.exists()
    disk.empty()
    Store.create(path, spec(DIMENSION)).close()


def test_a_full_disk_is_said_by_albums(disk: Disk) -> None:
    with album_service(disk.path) as service:
        ask(service, AlbumCreate("Trip"))
        disk.fill()
        bodies: tuple[Asks[Any], ...] = (
            AlbumAdd("Trip", "a.png", portrait(5)),
            AlbumAddZip("Trip", bytes(100_000), "", 0, last=False),
        )
        for body in bodies:
            with pytest.raises(StorageFailed, match="the disk is full"):
                ask(service, body)
        with pytest.raises(StorageFailed, match="the disk is full"):
            for number in range(500):
                ask(service, AlbumCreate(f"Album {number}"))
        disk.empty()
        ask(service, AlbumAdd("Trip", "a.png", portrait(5)))
        assert ask(service, AlbumStatus("Trip")).photos == 1


def test_a_read_only_file_system_is_said_in_one_line(disk: Disk) -> None:
    path = disk.path / "g.db"
    with SqliteGallery.create(path, spec(DIMENSION)) as gallery:
        enrol(gallery, "Ann", 0, 3)
    disk.write_protect()
    with pytest.raises(StartError, match=r"cannot open .*g\.db: the file system is read-only: mount it"):
        SqliteGallery.open(path)
    with pytest.raises(StartError, match="the file system is read-only"):
        Store.create(disk.path / "other.db", spec(DIMENSION))
    with pytest.raises(StartError, match="the file system is read-only"):
        Database.open(disk.path / "albums")


def test_what_the_system_will_not_let_grow_is_said(tmp_path: Path) -> None:
    """As a quota, or ulimit -f, does."""
    code = (
        "import resource, sys; from pathlib import Path; import tests.integration.test_storage as here\n"
        "with here.SqliteGallery.create(Path(sys.argv[1]), here.spec(here.DIMENSION)) as gallery:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
        "    try:\n        for n in range(20): here.enrol(gallery, f'P{n}', n * 10, 10)\n"
        "    except here.StorageFailed as error: print(error)\n"
    )
    root = Path(__file__).parents[2]
    shown = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "g.db")], cwd=root, capture_output=True, text=True
    )
    assert "the file would grow beyond what the system allows" in shown.stdout, shown.stdout + shown.stderr


def test_a_folder_without_the_right_to_write_is_said(tmp_path: Path) -> None:
    if not os.getuid():
        pytest.skip("root may write anywhere")
    path = tmp_path / "closed" / "g.db"
    path.parent.mkdir()
    Store.create(path, spec(DIMENSION)).close()
    path.parent.chmod(0o500)
    try:
        with pytest.raises(StartError, match="the server's user may not write there"):
            Store.open(path)
    finally:
        path.parent.chmod(0o700)


# ---------------------------------------------------------------------------------------------- whose files they are


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if not path.is_symlink()
    }


@pytest.mark.usefixtures("open_umask")
def test_new_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    with SqliteGallery.create(tmp_path / "g.db", spec(DIMENSION)) as gallery:
        enrol(gallery, "Ann", 0, 5)
        assert modes(tmp_path) == {"g.db": 0o600, "g.db-wal": 0o600, "g.db-shm": 0o600}
    room = tmp_path / "room"
    room.mkdir()
    with album_service(room) as service:
        ask(service, AlbumCreate("Trip"))
        ask(service, AlbumAdd("Trip", "a.png", portrait(5)))
        root = room / "albums"
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert {mode for name, mode in modes(root).items() if "/" not in name} == {0o700, 0o600}


def test_what_everybody_could_read_is_taken_from_them_and_a_group_keeps_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "g.db"
    Store.create(path, spec(DIMENSION)).close()
    path.chmod(0o644)
    with closing(Store.open(path)):
        assert set(modes(tmp_path).values()) == {0o600}
    assert "was readable by everybody" in caplog.text
    path.chmod(0o660)
    with closing(Store.open(path)):
        assert modes(tmp_path)["g.db"] == 0o660


def test_a_file_that_is_no_gallery_stays_as_it_is(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(portrait(1))
    photo.chmod(0o644)
    with pytest.raises(StartError, match="not a database"):
        Store.open(photo)
    assert modes(tmp_path) == {"photo.jpg": 0o644}


# ---------------------------------------------------------------------------------------------- albums that vanish


def names(service: AlbumService) -> list[str]:
    return [album.album for album in ask(service, AlbumList()).albums]


def test_albums_deleted_under_the_server_take_no_change(tmp_path: Path) -> None:
    with album_service(tmp_path) as service:
        ask(service, AlbumCreate("Trip"))
        folder = tmp_path / "albums"
        folder.rename(tmp_path / "elsewhere")
        bodies: tuple[Asks[Any], ...] = (
            AlbumCreate("Zoo"),
            AlbumAdd("Trip", "a.png", portrait(5)),
            AlbumDelete("Trip"),
        )
        for body in bodies:
            with pytest.raises(StorageFailed):
                ask(service, body)
        assert "albums.db was deleted or moved while" in service.trouble()
        (tmp_path / "elsewhere").rename(folder)
        assert service.trouble() == ""
        ask(service, AlbumCreate("Zoo"))
    with album_service(tmp_path) as service:
        assert names(service) == ["Trip", "Zoo"]


CRASH = """
import os, signal, sys
from pathlib import Path
import tests.integration.test_storage as here
database = here.Database.open(Path(sys.argv[1]))
with database.writing() as db:
    db.execute("INSERT INTO albums (name, created) VALUES (?, 'now')", (sys.argv[2],))
os.kill(os.getpid(), signal.SIGKILL)
"""


def crash(root: Path, album: str) -> None:
    subprocess.run([sys.executable, "-c", CRASH, str(root), album], cwd=Path(__file__).parents[2], check=False)
    assert (root / "albums.db-wal").stat().st_size


def in_database(root: Path) -> list[str]:
    with closing(Database.open(root)) as database, database.reading() as db:
        return [row[0] for row in db.execute("SELECT name FROM albums ORDER BY name")]


def test_the_log_of_other_albums_is_set_aside_and_ones_own_replayed(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for root, album in ((ours, "Ours"), (theirs, "Theirs")):
        crash(root, album)
        assert in_database(root) == [album]
    crash(ours, "More")
    assert in_database(ours) == ["More", "Ours"]
    crash(ours, "Lost")
    (ours / "albums.db").write_bytes((theirs / "albums.db").read_bytes())
    assert in_database(ours) == ["Theirs"]
    assert any(path.name.endswith("-wal") for path in ours.glob("albums.db-set-aside-*"))
