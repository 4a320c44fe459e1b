"""The commands that look after the gallery, against a real server: what they print, do, and exit with."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.client.cli import COMMANDS, main
from facewire.client.commands.watch import Watched
from tests.support.living_server import Living, living_server
from tests.support.synthetic_engine import draw, portrait

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Living]:
    with living_server(tmp_path / "g.db") as server:
        yield server


class Terminal:
    """Runs commands against a server; pictures lie in its folder."""

    def __init__(self, server: Living, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._server, self._capsys = server, capsys
        self.folder = folder
        self.err = ""

    def file(self, name: str, data: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    def run(self, *words: str, expect: int = 0) -> list[str]:
        code = main([*words, "--port", str(self._server.address[1])])
        captured = self._capsys.readouterr()
        self.err = captured.err
        assert code == expect, captured
        return captured.out.splitlines()

    def errors(self) -> str:
        """What was printed to stderr since."""
        return self._capsys.readouterr().err


@pytest.fixture
def terminal(server: Living, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(server, tmp_path / "pictures", capsys)


def test_a_life_at_the_command_line(terminal: Terminal) -> None:
    one, two = terminal.file("ann/1.png", portrait(1)), terminal.file("ann/2.png", portrait(2))
    assert terminal.run("enrol", "Ann", str(terminal.folder / "ann")) == [
        f"{one}: enrolled",
        f"{two}: enrolled",
        "Ann: 2 templates of 2 pictures",
    ]
    terminal.run("enrol", "Bob", terminal.file("bob.png", portrait(3)))
    assert [line.split()[0] for line in terminal.run("people")] == ["Ann", "Bob", "2"]
    assert terminal.run("people", "ann")[-1] == "1 person"
    assert terminal.run("split", "Ann", "2", "--to", "Cleo")[0] == "moved 1 template of Ann to Cleo   (change 3)"
    assert "Anna" in terminal.run("rename", "Ann", "Anna")[0]
    assert "merged Bob, Cleo into Anna (2 templates)" in terminal.run("merge", "Bob", "Cleo", "Anna")[0]
    assert [line.split()[0] for line in terminal.run("show", "Anna")[1:]] == ["1", "2", "3"]
    assert "undone: merged" in terminal.run("undo")[0]
    assert "removed Bob (1 template)" in terminal.run("remove", "Bob")[0]
    assert "removed 1 template of Anna" in terminal.run("remove", "Anna", "1")[0]
    terminal.run("undo", "2")
    assert [json.loads(line)["name"] for line in terminal.run("people", "--json")] == ["Anna", "Bob", "Cleo"]
    history = terminal.run("history", "-n", "3")
    assert len(history) == 3
    assert "(undone)" in history[1]
    assert all(line.endswith("  [from 127.0.0.1]") for line in history)
    assert {json.loads(line)["op"] for line in terminal.run("history", "Cleo", "--json")} == {"split", "merge", "undo"}


def test_enrolling_says_which_pictures_were_not_taken(terminal: Terminal) -> None:
    good, bad = terminal.file("a.png", portrait(1)), terminal.file("b.png", draw())
    lines = terminal.run("enrol", "Ann", good, bad, expect=1)
    assert lines[0] == f"{good}: enrolled"
    assert lines[1].startswith(f"{bad}: no_face: ")
    assert terminal.run("enrol", "Ann", good)[0].startswith(f"{good}: duplicate")
    gone = terminal.file("c.png", portrait(2))
    Path(gone).unlink()
    Path(gone).symlink_to("nowhere")
    assert terminal.run("enrol", "Ann", gone, expect=2) == []
    assert "no such file" in terminal.err


def test_many_pictures_go_in_several_requests(terminal: Terminal) -> None:
    for number in range(1, 40):
        terminal.file(f"ann/{number:02}.png", portrait(number))
    assert terminal.run("enrol", "Ann", str(terminal.folder / "ann"))[-1] == "Ann: 39 templates of 39 pictures"
    assert len(terminal.run("history")) == 3
    assert terminal.run("show", "Ann", "--crops", str(terminal.folder / "faces"))
    assert len(list((terminal.folder / "faces").glob("*.jpg"))) == 39


def test_erasing_asks_first(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.run("enrol", "Ann", terminal.file("a.png", portrait(1)))
    monkeypatch.setattr(sys, "stdin", io.StringIO("Ann\n"))
    terminal.run("remove", "Ann", "--erase", expect=2)  # nobody is at this terminal
    assert "--yes" in terminal.err
    terminal.run("remove", "Ann", "1", "--erase", expect=2)
    assert terminal.run("remove", "Ann", "--erase", "--yes")[0].startswith(
        "erased: 1 template and 1 crop of 1 picture,"
    )
    assert terminal.run("people") == ["0 people"]
    terminal.run("undo", expect=3)
    assert "nothing to undo" in terminal.err


def test_verifying(terminal: Terminal) -> None:
    one, same, other = (
        terminal.file(name, portrait(number, shade=shade))
        for name, number, shade in (("a.png", 1, 0), ("b.png", 1, 9), ("c.png", 2, 0))
    )
    assert terminal.run("verify", one, same)[0].startswith("the same person: similarity 1.000")
    assert terminal.run("verify", one, other, expect=1)[0].startswith("different people")
    assert json.loads(terminal.run("verify", one, same, "--json")[0])["same"] is True
    terminal.run("verify", one, "nowhere.png", expect=2)


@pytest.mark.parametrize(
    "words",
    [
        ("show", "Zoe"),
        ("rename", "Zoe", "Y"),
        ("merge", "Y", "Zoe"),
        ("remove", "Zoe"),
        ("split", "Zoe", "1", "--to", "Y"),
    ],
)
def test_an_unknown_person_is_said(terminal: Terminal, words: tuple[str, ...]) -> None:
    assert terminal.run(*words, expect=3) == []
    assert terminal.err == "client_app: nobody called Zoe is enrolled\n"


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main([name, "--help"])
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert "--port" in shown or name == "album"  # which has commands of its own, each with its options
    with pytest.raises(SystemExit):
        main(["--help"])
    overview = capsys.readouterr().out
    assert [name for name in COMMANDS if name != "identify" and name not in overview] == []


def test_a_picture_is_seen_once_it_is_whole_and_when_it_changes(tmp_path: Path) -> None:
    (tmp_path / "old.jpg").write_bytes(b"old")
    watched = Watched(tmp_path, seen_already=True)
    assert (watched.look(), watched.look()) == ([], [])
    new = tmp_path / "deep" / "new.JPG"
    new.parent.mkdir()
    new.write_bytes(b"half")
    assert watched.look() == []
    new.write_bytes(b"half and half")  # somebody still writes it
    assert watched.look() == []
    assert watched.look() == [new]
    assert watched.look() == []
    (tmp_path / ".hidden.jpg").write_bytes(b"no picture")
    (tmp_path / "old.jpg").write_bytes(b"changed")
    assert (watched.look(), watched.look()) == ([], [tmp_path / "old.jpg"])
    watched.forget([new])
    assert watched.look() == [new]
    new.unlink()
    assert watched.look() == []
    everything = Watched(tmp_path, seen_already=False)
    assert (everything.look(), everything.look()) == ([], [tmp_path / "old.jpg"])


def test_watching_tells_who_arrives_until_it_is_interrupted(server: Living, tmp_path: Path) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    with server.client() as client:
        client.enrol("Ann", portrait(1))
    command = ["client_app.py", "watch", str(folder), "--every", "0.05", "--no-emotion", "--json"]
    process = subprocess.Popen(
        [sys.executable, *command, "--port", str(server.address[1])], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith("watching ")
        for number, name in ((1, "Ann"), (2, None)):
            (folder / f"{number}.png").write_bytes(portrait(number, shade=50))
            seen = json.loads(process.stdout.readline())
            assert (Path(seen["file"]).name, seen["faces"][0]["name"]) == (f"{number}.png", name)
        (folder / "notes.txt").write_bytes(b"no picture")
        assert process.stderr.readline().startswith("skipped 1 file that is not a picture (can read JPEG, ")
        assert process.stderr.readline() == f"  {folder / 'notes.txt'}\n"
        (folder / "IMG_0001").write_bytes(portrait(1, shade=51))
        assert json.loads(process.stdout.readline())["faces"][0]["name"] == "Ann"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    finally:
        process.kill()
        process.communicate()


def test_a_mistyped_name_command_or_reason_is_told_what_may_be_meant(terminal: Terminal) -> None:
    one = terminal.file("1.png", portrait(1))
    terminal.run("enrol", "Ada Lovelace", one)
    for words in (
        ["show", "Ada Lovelce"],
        ["rename", "ada lovelace", "Ann"],
        ["merge", "Lovelace", "Zoe"],
        ["split", "Ada_Lovelace", "1", "--to", "Zoe"],
        ["remove", "Ada Lovelase"],
        ["remove", "Lovelace", "--erase", "--yes"],
    ):
        terminal.run(*words, expect=3)
        assert terminal.err.count("did you mean") == 1
        assert "did you mean Ada Lovelace?" in terminal.err.replace("'", "")
    terminal.run("show", "Zbigniew", expect=3)
    assert "did you mean" not in terminal.err
    terminal.run("enroll", "Ada", one, expect=2)
    assert "no such file or folder: enroll; did you mean 'enrol'?" in terminal.err
    terminal.run("splt", "Ada", "1", "--to", "X", expect=2)
    assert "did you mean 'split'?" in terminal.err
    for words, meant in (
        (["enrol", "Ada", one, "--accept", "blured"], "blurred"),
        (["album", "proces", "Trip"], "process"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert f"did you mean '{meant}'?" in terminal.errors()


def test_templates_go_by_the_name_of_their_picture_too(terminal: Terminal) -> None:
    terminal.run("enrol", "Ann", terminal.file("one.png", portrait(1)), terminal.file("two.png", portrait(2)))
    terminal.run("split", "Ann", "tow.png", "--to", "Bob", expect=2)
    assert "Ann has no picture called tow.png; did you mean 'two.png'?" in terminal.err
    assert "moved 1 template of Ann to Bob" in terminal.run("split", "Ann", "two.png", "--to", "Bob")[0]
    assert "removed 1 template of Ann" in terminal.run("remove", "Ann", "one.png")[0]


def test_of_several_faces_the_one_that_is_pointed_at(terminal: Terminal) -> None:
    both = terminal.file("both.png", draw((5, (2, 10, 24, 24)), (30, (34, 10, 20, 20))))
    five, thirty = terminal.file("five.png", portrait(5)), terminal.file("thirty.png", portrait(30))
    lines = terminal.run("enrol", "Ann", both, expect=1)
    assert "--several main takes the largest central one, --at X,Y the one there" in lines[0]
    assert not [word for word in ("'at'", "'several'", "accept ") if word in lines[0]]
    terminal.run("enrol", "Ann", both, "--at", "44,20")
    assert "Ann" in terminal.run(thirty)[1]
    terminal.run("enrol", "Ann", both, five, "--at", "44,20", expect=2)
    assert "--at is a place in one picture" in terminal.err

    same = terminal.run("verify", both, five)
    assert same[0].startswith("the same person: similarity ")
    assert "(needs " in same[0]
    assert "pairs of different people, " in same[1]
    assert "of one sex, age and appearance" in same[1]
    assert same[2] == f"  {both} shows 2 faces: the one at 14,22 was taken; to take another: --at 44,20"
    assert terminal.run("verify", both, five, "--at", "44,20", expect=1)[0].startswith("different people: ")
    assert terminal.run("verify", thirty, both, "--other-at", "44,20")[0].startswith("the same person: ")
    terminal.run("verify", both, five, "--at", "1,1", expect=3)
    assert "in the first picture, no face was found at (1, 1)" in terminal.err
    nobody = terminal.file("nobody.png", draw())
    terminal.run("verify", five, nobody, expect=3)
    assert "in the second picture, no face was found" in terminal.err
    assert "'other'" not in terminal.err


def test_a_rate_of_ones_own_and_one_that_can_not_be(terminal: Terminal) -> None:
    five = terminal.file("five.png", portrait(5))
    needs = [json.loads(terminal.run("verify", five, five, "--fmr", rate, "--json")[0]) for rate in ("0.01", "0.0001")]
    assert [answer["fmr"] for answer in needs] == [0.01, 0.0001]
    assert needs[0]["threshold"] < needs[1]["threshold"]
    assert json.loads(terminal.run("verify", five, five, "--json")[0])["fmr"] == 0.001
    for rate in ("0", "nan", "0.5", "1e-9", "often"):
        with pytest.raises(SystemExit):
            main(["verify", five, five, "--fmr", rate])
        assert "argument --fmr: must be" in terminal.errors()


def test_what_only_the_wire_knows_is_said_in_words_of_the_command_line(terminal: Terminal) -> None:
    terminal.run("undo", "101", expect=2)
    assert terminal.err == "client_app: N must be from 1 to 100, not 101\n"
