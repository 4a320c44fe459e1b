"""Faces and names from photos' metadata, as other programs write it, and what we write for them."""

from __future__ import annotations

import io
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.client.album_client import AlbumClient
from tests.integration.albums.test_drawing import Missing
from tests.support.albums import album_service, serving_albums
from tests.support.exiftool import exiftool, tags_of
from tests.support.orientations import turned_file
from tests.support.pictures import opened
from tests.support.synthetic_engine import draw
from tests.support.trip import ADA, BEN, CLEO, exported, zipped

__all__ = ["exiftool"]  # a fixture from elsewhere

SIZE = (400, 300)
FACES = {"Ada": (60.0, 60.0, 80.0, 120.0), "Ben": (200.0, 20.0, 60.0, 60.0), "Cleo": (300.0, 150.0, 18.0, 18.0)}
"""Of these, the detector misses Cleo."""


def picture(shade: int, extension: str = ".png") -> bytes:
    colours = {"Ada": ADA, "Ben": BEN, "Cleo": CLEO}
    return draw(*((colours[name], box) for name, box in FACES.items()), size=SIZE, shade=shade, extension=extension)


def area(name: str, orientation: int = 1) -> tuple[float, float, float, float]:
    """A generous region around a face, by its centre and size, as parts of the picture as stored."""
    x, y, w, h = FACES[name]
    across, down, wide, high = (x + w / 2) / SIZE[0], (y + h / 2) / SIZE[1], 1.3 * w / SIZE[0], 1.3 * h / SIZE[1]
    return (down, 1 - across, high, wide) if orientation == 6 else (across, down, wide, high)


def mwg(orientation: int = 1, names: tuple[str, ...] = ("Ada", "Cleo")) -> str:
    width, height = SIZE if orientation == 1 else SIZE[::-1]
    regions = []
    for name in names:
        places = ",".join(f"{key}={value:.5f}" for key, value in zip("XYWH", area(name, orientation), strict=True))
        regions.append(f"{{Area={{{places},Unit=normalized}},Name={name},Type=Face}}")
    size = f"{{W={width},H={height},Unit=pixel}}"
    return f"-RegionInfo={{AppliedToDimensions={size},RegionList=[{','.join(regions)}]}}"


def microsoft() -> str:
    regions = []
    for name in ("Ada", "Cleo"):
        x, y, w, h = area(name)
        regions.append(f"{{PersonDisplayName={name},Rectangle={x - w / 2:.5f}|, {y - h / 2:.5f}|, {w:.5f}|, {h:.5f}}}")
    return f"-RegionInfoMP={{Regions=[{','.join(regions)}]}}"


@pytest.fixture
def folder(tmp_path: Path, exiftool: str) -> Path:
    """Photos in which other programs have named Ada and Cleo, and said nothing of Ben."""
    (tmp_path / "import").mkdir()
    folder = tmp_path / "import" / "named"
    folder.mkdir()
    for shade, name in enumerate(("digikam.jpg", "lightroom.jpg", "windows.jpg"), 1):
        (folder / name).write_bytes(picture(shade, ".jpg"))
    lying = turned_file("JPEG", 6, opened(picture(4)), quality=95, subsampling=0)
    (folder / "lying.jpg").write_bytes(lying)
    for shade, name in enumerate(("digikam.png", "adobe.png", "plain.png"), 5):
        (folder / name).write_bytes(picture(shade))

    def write(*arguments: str) -> None:
        subprocess.run([exiftool, "-q", "-overwrite_original", *arguments], cwd=folder, check=True)

    write(mwg(), "digikam.jpg")
    write("-api", "Compact=Shorthand", mwg(), "lightroom.jpg")
    write(microsoft(), "windows.jpg")
    write(mwg(6), "lying.jpg")
    write(mwg(), "digikam.png.xmp")
    write("-api", "Compact=Shorthand", mwg(), "adobe.xmp")
    return folder


@pytest.fixture
def albums(tmp_path: Path, folder: Path) -> Iterator[AlbumClient]:
    """Over a detector that misses Cleo."""
    with album_service(tmp_path, engine=Missing(model="Facenet512")) as service, serving_albums(service) as client:
        client.albums.create("Named")
        yield client.albums


def named(albums: AlbumClient, album: str) -> dict[str, dict[str, bool]]:
    """Photo -> who is in it by name, and whether as a face drawn by hand; each where that face is."""
    found: dict[str, dict[str, bool]] = {}
    for photo in albums.all_photos(album):
        for face in albums.all_faces(album, photo=photo.photo):
            if face.name is not None:
                grown = 1.3 if face.drawn else 1.0
                x, y, w, h = FACES[face.name]
                assert face.box[0] + face.box[2] / 2 == pytest.approx(x + w / 2, abs=3), photo.name
                assert face.box[1] + face.box[3] / 2 == pytest.approx(y + h / 2, abs=3), photo.name
                assert face.box[2:] == pytest.approx((w * grown, h * grown), abs=3), photo.name
                found.setdefault(photo.name.rpartition("/")[2], {})[face.name] = face.drawn
    return found


BOTH = {"Ada": False, "Cleo": True}
TOLD = ("digikam.jpg", "lightroom.jpg", "windows.jpg", "lying.jpg", "digikam.png", "adobe.png")


def test_names_come_from_what_other_programs_wrote(albums: AlbumClient, folder: Path) -> None:
    ingested = albums.import_folder("Named", "named", metadata=True)
    assert (ingested.added, ingested.skipped_total) == (7, 0)
    albums.process("Named")
    # In the photo that nobody named, Ada is recognised by the others.
    assert named(albums, "Named") == {**dict.fromkeys(TOLD, BOTH), "plain.png": {"Ada": False}}
    event = albums.history("Named").events[0]
    assert event.done == "took the names of 12 faces from 6 photos"
    albums.undo("Named", last=event.event)
    assert named(albums, "Named") == {}
    assert not any(face.drawn for face in albums.all_faces("Named"))
    albums.process("Named")  # what was taken back does not come again
    assert named(albums, "Named") == {}

    files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    albums.create("Zipped")
    with (folder.parent / "named.zip").open("w+b") as file:
        file.write(zipped(files))
        file.seek(0)
        assert albums.add_zip("Zipped", file, metadata=True).added == 7
    albums.process("Zipped")
    assert named(albums, "Zipped") == {**dict.fromkeys(TOLD, BOTH), "plain.png": {"Ada": False}}

    albums.create("Plain")
    albums.add("Plain", "digikam.jpg", files["digikam.jpg"])
    albums.process("Plain")
    assert named(albums, "Plain") == {}  # nobody asked for them
    again = albums.add("Plain", "digikam.jpg", files["digikam.jpg"], metadata=True)
    assert again.duplicate
    albums.add("Plain", "adobe.png", files["adobe.png"], metadata=True, sidecars=[files["adobe.xmp"], b"<no"])
    albums.process("Plain")
    assert named(albums, "Plain") == {"digikam.jpg": BOTH, "adobe.png": BOTH}

    archive = exported(albums, "Plain")
    albums.create("Again")
    for name in ("digikam.jpg", "adobe.png"):
        albums.add("Again", name, picture(9 + len(name)), metadata=True, sidecars=[archive.read(f"{name}.xmp")])
    albums.process("Again")
    assert {name: set(who) for name, who in named(albums, "Again").items()} == {
        "digikam.jpg": set(BOTH), "adobe.png": set(BOTH)
    }  # fmt: skip


def test_names_are_written_into_copies_of_jpegs(
    albums: AlbumClient, folder: Path, exiftool: str, tmp_path: Path
) -> None:
    rating = [
        "-Rating=4",
        "-Subject=sea",
        "-RegionInfo={RegionList=[{Name=Rex,Type=Pet,Area={X=0.5,Y=0.5,W=0.1,H=0.1}}]}",
    ]
    kept, plain = folder / "digikam.jpg", folder / "lying.jpg"
    subprocess.run([exiftool, "-q", "-overwrite_original", *rating, kept], check=True)
    subprocess.run([exiftool, "-q", "-overwrite_original", "-xmp:all=", plain], check=True)
    for path in (kept, plain, folder / "plain.png"):
        albums.add("Named", path.name, path.read_bytes())
    albums.process("Named")
    ada = next(face.person for face in albums.all_faces("Named") if face.box[3] > 100)
    assert ada is not None
    albums.label("Named", ada, "Ada")
    export = albums.export("Named", embedded=True)
    assert (export.embedded, export.beside) == (2, 1)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(albums.read_export(export))))
    assert archive.testzip() is None  # sizes and checksums are right
    assert set(archive.namelist()) == {"digikam.jpg", "lying.jpg", "plain.png", "plain.png.xmp", "labels.json"}
    archive.extractall(tmp_path / "out")
    with_xmp, without = tags_of(exiftool, tmp_path / "out" / "digikam.jpg", tmp_path / "out" / "lying.jpg")
    assert (with_xmp["Rating"], with_xmp["Subject"], with_xmp["PersonInImage"]) == (4, ["sea"], ["Ada"])
    assert [one["Name"] for one in with_xmp["RegionInfo"]["RegionList"]] == ["Ada", "Rex"]
    (region,) = without["RegionInfo"]["RegionList"]
    assert (without["PersonInImage"], without["Orientation"], region["Name"]) == (["Ada"], 6, "Ada")
    for path in (kept, plain):
        pixels = [opened(data).tobytes() for data in (path.read_bytes(), archive.read(path.name))]
        assert pixels[0] == pixels[1]
        albums.create(path.name)
        albums.add(path.name, path.name, archive.read(path.name), metadata=True)
        albums.process(path.name)
        assert named(albums, path.name) == {path.name: {"Ada": False}}
