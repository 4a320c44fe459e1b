"""What systems leave beside pictures: the same is passed over at every door, and counted."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from facewire.client.commands.watch import Watched
from facewire.client.pictures import find_pictures
from facewire.protocol.clutter import LeftOut, files_below, is_clutter
from facewire.server.albums.folders import listing
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.zips import PhotoZip
from facewire.server.maintenance.build.folder import scan

FOLDERS = (
    *("@eaDir", "#recycle", "$RECYCLE.BIN", "$Recycle.Bin", "lost+found", ".thumbnails", "__MACOSX", "RECYCLER"),
    *("System Volume Information", "system volume information", ".Trash-1000", ".Trashes", "@Recycle", "FOUND.000"),
    *("@Recently-Snapshot", ".stfolder", ".stversions", ".git", ".picasaoriginals", ".dtrash", "iPod Photo Cache"),
    *(".AppleDouble", "#snapshot", "@__thumb", "Network Trash Folder", ".@__thumb", ".Spotlight-V100", "~snapshot"),
)
FILES = (
    "Thumbs.db",
    "thumbs.DB",
    ".DS_Store",
    "desktop.ini",
    "Desktop.ini",
    "._IMG_0001.jpg",
    "$RABC123.jpg",
    "a.jpg@SynoEAStream",
)
NAMES = (
    "Ada",
    "Git",
    "Thumbs",
    "recycle",
    "Trash",
    "eaDir",
    "Lost and Found",
    "a.jpg",
    "desktop.jpg",
    "#1",
    "@home",
    "$100",
    "..",
    "é",
)


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_service_folders_and_files(name: str) -> None:
    assert is_clutter(name)


@pytest.mark.parametrize("name", NAMES)
def test_people_and_photos(name: str) -> None:
    assert not is_clutter(name)


@pytest.fixture
def heap(tmp_path: Path) -> Path:
    """Two people, and what a NAS, Windows and macOS put beside them."""
    heap = tmp_path / "heap"
    for name in (
        "Ada/1.jpg",
        "Ben/2.jpg",
        *(f"{folder}/x.jpg" for folder in FOLDERS),
        "Ada/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
    ):
        (heap / name).parent.mkdir(parents=True, exist_ok=True)
        (heap / name).write_bytes(b"\xff\xd8\xff")
    for name in FILES:
        (heap / "Ada" / name).write_bytes(b"\xff\xd8\xff")
    return heap


def test_every_door_passes_them_over_and_counts_them(heap: Path, tmp_path: Path) -> None:
    left_out, pictures = LeftOut(), {"Ada/1.jpg", "Ben/2.jpg"}

    def relative(paths: list[Path]) -> set[str]:
        return {path.relative_to(heap).as_posix() for path in paths}

    assert relative(list(files_below(heap, left_out))) == pictures
    assert left_out == LeftOut(len(FOLDERS) + 1, len(FILES))

    built = scan(heap)  # create_db
    assert {file.path for file in built.files} == pictures
    assert {file.person for file in built.files} == {"Ada", "Ben"}
    assert (built.skipped, built.left_out) == ([], left_out)

    found = find_pictures([heap])  # client_app.py FOLDER, enrol
    assert relative(found.pictures) == pictures
    assert (found.others, found.about_others()) == ([], [left_out.said()])

    watched = Watched(heap, seen_already=False)
    watched.look()
    assert relative(watched.look()) == pictures
    assert watched.left_out == left_out

    assert listing(heap, "").folders == ("Ada", "Ben")  # the page's folders of the server
    assert listing(heap, "Ada").pictures == 1

    with zipfile.ZipFile(tmp_path / "heap.zip", "w") as archive:
        for path in heap.rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(heap).as_posix())
    with PhotoZip(tmp_path / "heap.zip", AlbumLimits()) as photos:
        assert {entry.name for entry in photos.photos()} == pictures
        assert photos.left_out == left_out


def test_a_service_folder_that_is_asked_for_by_name_is_looked_through(heap: Path) -> None:
    assert [path.name for path in find_pictures([heap / "@eaDir"]).pictures] == ["x.jpg"]
    assert [path.name for path in find_pictures([heap / "Ada" / "._IMG_0001.jpg"]).pictures] == ["._IMG_0001.jpg"]


def test_what_is_said() -> None:
    assert LeftOut(3, 0).said() == "3 service folders left out"
    assert LeftOut(1, 2).said() == "1 service folder and 2 service files left out"
    assert LeftOut().said() == ""
