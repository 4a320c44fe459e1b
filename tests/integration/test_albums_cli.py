"""`client_app.py album ...` against a real server: the story as a person types it."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facewire.client.cli import main
from facewire.client.commands.album import COMMANDS
from tests.support.albums import album_service, listening
from tests.support.synthetic_engine import draw, portrait, tiny

ADA, BEN, CLEO = 5, 22, 41
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `client_app.py album WORDS`: its exit code, stdout, stderr."""
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    with album_service(tmp_path) as service, listening(service) as (host, port):

        def run(*words: str) -> tuple[int, str, str]:
            code = main(["album", *words, "--host", host, "--port", str(port)])
            printed = capsys.readouterr()
            return code, printed.out, printed.err

        yield run


@pytest.fixture
def trip(run: Run) -> Run:
    """An album Trip of a folder and a ZIP, processed."""
    Path("holiday/day 1").mkdir(parents=True)
    for number in range(3):
        Path(f"holiday/day 1/ada {number}.png").write_bytes(portrait(ADA, shade=number))
    Path("holiday/broken.jpg").write_bytes(b"no picture")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("ben.png", portrait(BEN))
        archive.writestr("both.png", draw((ADA, (2, 10, 24, 24)), (BEN, (34, 10, 20, 20))))
    Path("more.zip").write_bytes(buffer.getvalue())
    code, out, err = run("add", "Trip", "holiday", "more.zip", "--create", "--process")
    assert (code, out) == (1, "5 photos added, 0 already there, 1 not added\n")
    assert err.startswith("holiday/broken.jpg: ")
    return run


def people(run: Run) -> dict[int, int]:
    """Number -> faces."""
    _, out, _ = run("people", "Trip", "--json")
    return {person["person"]: person["faces"] for person in json.loads(out)["people"]}


def test_from_a_folder_to_names(trip: Run) -> None:
    ada, ben = people(trip)
    assert trip("label", "Trip", str(ada), "Ada")[0] == 0
    code, out, _ = trip("people", "Trip", "--faces", "crops")
    assert code == 0
    assert "Ada" in out.splitlines()[0]
    assert sorted(path.name for path in Path("crops").iterdir()) == sorted([f"{ada}-Ada.jpg", f"{ben}.jpg"])
    code, out, _ = trip("photos", "Trip", "--person", "Ada")
    assert [line.split("  ")[-1].split(":")[0] for line in out.splitlines()] == [
        "both.png",
        *(f"holiday/day 1/ada {number}.png" for number in range(3)),
    ]
    assert trip("photos", "Trip", "--contains", "ÁDA 1")[1].splitlines()[0].endswith("holiday/day 1/ada 1.png: 1 face")
    assert [line.split()[1] for line in trip("people", "Trip", "--contains", "ADA")[1].splitlines()] == ["Ada"]
    assert trip("list", "--contains", "TRÍP")[1].startswith("Trip ")
    assert trip("list", "--contains", "x")[1] == "no album's name contains that\n"
    left = trip("people", "Trip", "--show", "unnamed", "--order", "photos")[1]
    assert left.split()[0] == str(ben)
    assert "nobody knows" in trip("stranger", "Trip", str(ben))[1]
    assert trip("people", "Trip", "--show", "unnamed")[1] == ""
    assert "will ask about" in trip("stranger", "Trip", str(ben), "--not")[1]
    trip("undo", "Trip")
    trip("undo", "Trip")
    assert trip("label", "Trip", "Nobody", "X")[0] == 2
    assert "undo would take back: named " in trip("status", "Trip")[1]


def test_days(run: Run) -> None:
    for name, shade in (("IMG_20240131_142530.png", 1), ("IMG-20240202-WA0001.png", 2), ("holiday.png", 3)):
        Path(name).write_bytes(portrait(ADA, shade=shade))
        os.utime(name, (1_700_000_000, 1_700_000_000))  # 14 November 2023, in the evening in London
    Path("selfie.png").write_bytes(portrait(ADA))
    assert run("add", "Trip", *map(str, Path().glob("[Ih]*.png")), "--create", "--process")[0] == 0
    lines = run("days", "Trip")[1].splitlines()
    assert lines[:2] == ["2024-02-02  1 photo", "2024-01-31  1 photo"]
    assert lines[2].startswith("2023-11-1")
    lines = run("photos", "Trip", "--by-day", "--since", "2024-01-01")[1].splitlines()
    assert [line[:25].strip() for line in lines] == ["2024-01-31 14:25:30", "2024-02-02"]
    assert run("search", "Trip", "selfie.png", "--until", "2024-01-31")[1].startswith("2 photos: 2 solo")
    assert run("export", "Trip", "out.zip", "--since", "2024-02-01", "--no-labels")[0] == 0
    assert zipfile.ZipFile("out.zip").namelist() == ["IMG-20240202-WA0001.png"]
    lines = run("photos", "Trip", "--newest")[1].splitlines()
    assert [line[:10].strip() for line in lines][:2] == ["2024-02-02", "2024-01-31"]
    assert run("favourite", "Trip", lines[0].split()[1])[1] == "1 favourite\n"
    assert run("photos", "Trip", "--favourites")[1].endswith("1 face  (favourite)\n")
    code, _, err = run("photos", "Trip", "--since", "yesterday")
    assert code == 2
    assert "must be a day, such as 2024-01-31" in err


def test_corrections(trip: Run) -> None:
    ada, ben = people(trip)
    trip("label", "Trip", str(ada), "Ada")
    assert "merged 2 people into Ada" in trip("merge", "Trip", "Ada", str(ben))[1]
    assert people(trip) == {ada: 6}
    change = re.search(r"merged 2 people into Ada   \(change (\d+)\)", trip("status", "Trip")[1])
    assert change is not None
    code, _, err = trip("undo", "Trip", "--last", str(int(change[1]) - 1))
    assert code == 3
    assert "another change came after it" in err
    assert "undone: merged" in trip("undo", "Trip", "--last", change[1])[1]
    assert people(trip) == {ada: 4, ben: 2}
    face = json.loads(trip("faces", "Trip", "--person", "Ada", "--json")[1])["faces"][0]["face"]
    assert trip("not", "Trip", "Ada", str(face))[0] == 0
    assert people(trip)[ada] == 3
    assert trip("move", "Trip", "Ada", str(face))[0] == 0
    assert trip("split", "Trip", "Ada", str(face), "--name", "Eve")[0] == 0
    assert trip("hide", "Trip", "Eve")[0] == 0
    assert "Eve" in trip("people", "Trip", "--hidden")[1]
    assert trip("hide", "Trip", "Eve", "--show")[0] == 0
    assert trip("different", "Trip", "Ada", str(ben))[0] == 0
    history = trip("history", "Trip")[1]
    assert history.count("\n") == 8
    assert history.count("(undone)") == 1


def test_drawn_faces_and_names_from_metadata(run: Run) -> None:
    Path("named").mkdir()
    Path("named/ada.png").write_bytes(portrait(ADA))
    Path("named/ada.png.xmp").write_bytes(XMP.encode())
    code, out, _ = run("add", "Trip", "named", "--metadata", "--create", "--process")
    assert (code, out) == (0, "1 photo added, 0 already there\n")
    assert run("faces", "Trip")[1] == "     1  photo 1, Ada, placed, 16x16 px\n"
    code, out, _ = run("draw", "Trip", "1", "0", "0", "12", "12", "--name", "Ben")
    assert code == 0
    assert out.startswith("drew Ben in named/ada.png: face 2, in which no face can be made out")
    assert run("redraw", "Trip", "2", "30", "30", "14", "15")[0] == 0
    assert run("faces", "Trip", "--person", "Ben")[1] == "     2  photo 1, Ben, placed, drawn, 14x15 px\n"
    assert run("remove-face", "Trip", "2")[:2] == (0, "removed the box of Ben from named/ada.png\n")
    assert run("draw", "Trip", "1", "0", "0", "12", "12", "--name", "Ben", "--person", "Ada")[0] == 2
    code, out, _ = run("export", "Trip", "out.zip", "--embed")
    assert out.endswith("names are in 0 JPEGs, and beside 1 other picture\n")
    assert run("export", "Trip", "out.zip", "--embed", "--no-labels")[0] == 2


XMP = (
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    'xmlns:m="http://www.metadataworkinggroup.com/schemas/regions/" xmlns:a="http://ns.adobe.com/xmp/sType/Area#">'
    '<m:Regions rdf:parseType="Resource"><m:RegionList><rdf:Bag><rdf:li m:Name="Ada" m:Type="Face"><m:Area '
    'a:x="0.5" a:y="0.5" a:w="0.4" a:h="0.4"/></rdf:li></rdf:Bag></m:RegionList></m:Regions>'
    "</rdf:Description></rdf:RDF>"
)


def test_enrolling_says_which_faces_were_not_taken_and_why(run: Run) -> None:
    Path("ada.png").write_bytes(portrait(ADA))
    Path("far.png").write_bytes(tiny(ADA))
    assert run("create", "Trip")[0] == run("add", "Trip", "ada.png", "far.png")[0] == run("process", "Trip")[0] == 0
    person = json.loads(run("people", "Trip", "--json")[1])["people"][0]["person"]
    run("label", "Trip", str(person), "Ada")
    code, out, _ = run("enrol", "Trip", "Ada")
    assert code == 1
    assert out.splitlines()[0].startswith("far.png: too_small: the face is too small (")
    assert out.splitlines()[1] == "Ada: 1 template in the gallery"
    code, out, _ = run("enrol", "Trip", "Ada", "--accept", "too_small")
    assert code == 0
    assert out.splitlines()[-1] == "Ada: 2 templates in the gallery"


def test_search_and_export(trip: Run) -> None:
    Path("selfie.png").write_bytes(portrait(BEN, shade=7))
    Path("stranger.png").write_bytes(portrait(CLEO))
    code, out, _ = trip("search", "Trip", "selfie.png")
    assert code == 0
    assert out.splitlines()[0] == "2 photos: 1 solo, 1 group"
    code, out, _ = trip("search", "Trip", "stranger.png")
    assert code == 1
    assert out.startswith("nobody here resembles stranger.png")
    ada = max(people(trip), key=people(trip).__getitem__)
    code, out, _ = trip("search", "Trip", "selfie.png", "--with", f"person:{ada}", "--all", "--export", "both.zip")
    assert (code, out.splitlines()[0]) == (0, "1 photo: 0 solo, 1 group")
    assert "both.png" in zipfile.ZipFile("both.zip").namelist()
    assert trip("export", "Trip", "all.zip", "--no-labels")[0] == 0
    assert len(zipfile.ZipFile("all.zip").namelist()) == 5
    Path("group.png").write_bytes(draw((ADA, (2, 10, 20, 20)), (BEN, (34, 10, 24, 24))))
    code, out, err = trip("search", "Trip", "group.png", "--leave-out", "group.png", "1")
    assert "shows 2 faces" in err
    assert out.splitlines()[0] == "4 photos: 3 solo, 1 group"


def test_photos_are_saved_once_only(trip: Run) -> None:
    number = json.loads(trip("photos", "Trip", "--json")[1])["photos"][0]["photo"]
    assert trip("photo", "Trip", str(number))[0] == 0
    assert Path("ben.png").is_file()
    code, _, err = trip("photo", "Trip", str(number))
    assert code == 2
    assert "--output" in err
    assert trip("photo", "Trip", str(number), "--size", "20", "-o", "small.jpg")[0] == 0


def test_adding_again_adds_nothing(trip: Run) -> None:
    code, out, _ = trip("add", "Trip", "holiday/day 1", "more.zip")
    assert (code, out) == (0, "0 photos added, 5 already there\n")


def test_folders_of_the_server(run: Run, tmp_path: Path) -> None:
    (tmp_path / "import" / "holiday" / "day 1").mkdir(parents=True)
    (tmp_path / "import" / "holiday" / "a.png").write_bytes(portrait(ADA))
    assert run("folders")[:2] == (0, "holiday\n0 pictures in this folder itself\n")
    assert run("folders", "holiday")[:2] == (0, "holiday/day 1\n1 picture in this folder itself\n")
    assert json.loads(run("folders", "--json")[1])["folders"] == ["holiday"]


def test_what_is_asked_wrongly(run: Run) -> None:
    assert run("status", "Nowhere")[0] == 3
    run("create", "Trip")
    assert run("create", "Trip")[0] == 3
    assert run("delete", "Trip")[0] == 2
    assert run("add", "Trip", "missing.png")[0] == 2
    assert run("list")[1].startswith("Trip")
    assert run("delete", "Trip", "--yes")[0] == 0
    assert "no albums yet" in run("list")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["album", command, "--help"])
    assert stopped.value.code == 0
    assert "usage: client_app.py album " + command in capsys.readouterr().out
