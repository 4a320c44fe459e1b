"""A server, a folder, and people that mean harm: nothing they are called reaches the terminal raw."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import time
import types
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from facewire.client.cli import COMMANDS, main
from facewire.client.commands.album import COMMANDS as ALBUM_COMMANDS
from facewire.protocol.albums.adding import AlbumAddZip, AlbumZipTaken
from facewire.protocol.codec import decode_request, encode_answer
from facewire.protocol.errors import ErrorCode
from facewire.protocol.framing import FrameDecoder, encode_frame
from facewire.protocol.messages import Answer, Failure, Request, Success
from facewire.protocol.schema import answer_of
from facewire.server.logs import HarmlessFormatter
from facewire.server.maintenance.build.report import write_log
from facewire.server.maintenance.create_db import main as create_db
from tests.support.servers import misbehaving
from tests.support.synthetic_engine import portrait

EVIL = "Eve\x1b]0;own\x07\x9b2J\rfine\u202egpj\u2066\u2028x\x7f\nclient_app: all is well"


def filled(hint: Any, *, empty: bool) -> Any:
    """A value of a type, every text in it evil; arrays have one element, or none."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{field.name: filled(hints[field.name], empty=empty) for field in fields(hint)})
    if origin is Literal:
        return arguments[0]
    if origin in (Union, types.UnionType):
        return filled(next(each for each in arguments if each is not types.NoneType), empty=empty)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return () if empty else (filled(arguments[0], empty=empty),)
        return tuple(filled(each, empty=empty) for each in arguments)
    if origin is not None and issubclass(origin, Mapping):
        return {EVIL: filled(arguments[1], empty=empty)}
    return {str: EVIL, int: 1, float: 0.5, bool: True, bytes: b"\xff\xd8\xff"}[hint]


def answer_to(request: Request, *, refuse: bool) -> Answer:
    if refuse:
        return Failure(
            request.id, ErrorCode.UNKNOWN_PERSON if request.body.op != "people" else ErrorCode.CONFLICT, EVIL
        )
    if isinstance(request.body, AlbumAddZip):
        ingested = filled(get_type_hints(AlbumZipTaken)["ingested"], empty=False)
        return Success(request.id, AlbumZipTaken("token", request.body.offset + len(request.body.data), ingested))
    later_page = bool(getattr(request.body, "offset", 0)) or getattr(request.body, "before", None) is not None
    return Success(request.id, filled(answer_of(type(request.body)), empty=later_page))


@contextlib.contextmanager
def evil_server(*, refuse: bool) -> Iterator[str]:
    def script(sock: socket.socket) -> None:
        decoder = FrameDecoder()
        while data := sock.recv(65536):
            decoder.feed(data)
            while (payload := decoder.next_frame()) is not None:
                sock.sendall(encode_frame(encode_answer(answer_to(decode_request(payload), refuse=refuse))))

    with misbehaving(script) as (_, port):
        yield str(port)


COMMAND_LINES: Mapping[str, list[str]] = {
    **{"identify": ["FILE", "-k", "2"], "enrol": [EVIL, "FILE"], "people": [], "show": [EVIL], "history": []},
    **{"rename": [EVIL, "x"], "merge": [EVIL, "x"], "split": [EVIL, "1", "--to", EVIL], "remove": [EVIL, EVIL]},
    **{"undo": [], "verify": ["FILE", "FILE"], "watch": ["FOLDER", "--all", "--every", "0.01"], "album": []},
    **{"ping": [], "health": [], "stats": [], "camera": ["FILE"]},
}
ALBUM_LINES: Mapping[str, list[str]] = {
    **{
        name: [EVIL] for name in ("create", "status", "folders", "process", "photos", "people", "faces", "undo", "days")
    },
    **{name: [EVIL] for name in ("history", "suggest", "recognise")},
    **{name: [EVIL, "1"] for name in ("remove", "photo", "hide", "enrol", "stranger", "favourite", "remove-face")},
    **{name: [EVIL, "1", "2"] for name in ("merge", "different", "split", "move", "not")},
    **{"draw": [EVIL, "1", "10", "10", "40", "40", "--name", EVIL], "redraw": [EVIL, "1", "10", "10", "40", "40"]},
    **{
        "names": ["--contains", EVIL],
        "list": [],
        "rename": [EVIL, EVIL],
        "delete": [EVIL, "--yes"],
        "add": [EVIL, "FOLDER", "ZIP"],
    },
    **{"import": [EVIL, EVIL], "label": [EVIL, EVIL, "x"], "search": [EVIL, "FILE"], "export": [EVIL, "EXPORT"]},
}


def test_every_command_is_tried() -> None:
    assert set(COMMAND_LINES) == set(COMMANDS)
    assert set(ALBUM_LINES) == set(ALBUM_COMMANDS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "pictures"
    name = EVIL.replace("/", "")
    (folder / name).mkdir(parents=True)
    (folder / name / f"{name}.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / name / f"{name}.txt").write_bytes(b"no picture")
    (folder / f"{name}.zip").write_bytes(b"PK")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return folder


def typed(words: list[str], folder: Path) -> list[str]:
    (inner,) = (path for path in folder.iterdir() if path.is_dir())
    stands_for = {"FOLDER": str(folder), "FILE": str(next(inner.glob("*.jpg"))), "ZIP": str(next(folder.glob("*.zip")))}
    return [stands_for.get(word, word).replace("EXPORT", "out\x1b.zip") for word in words]


def assert_harmless(text: str) -> None:
    raw = [character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp")]
    assert set(raw) <= {"\n", "\t"}, text
    assert "\nclient_app: all is well" not in text


LINES = [
    *([name, *words] for name, words in COMMAND_LINES.items() if name != "album"),
    *(["album", name, *words] for name, words in ALBUM_LINES.items()),
]


@pytest.mark.parametrize("refuse", [False, True], ids=["answers", "refusals"])
@pytest.mark.parametrize("words", LINES, ids=lambda words: " ".join(words[:2]).partition(EVIL)[0])
def test_names_and_messages_are_spelt_out(
    words: list[str], refuse: bool, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()

    def tick(seconds: float) -> None:
        if next(ticks) == 3:
            raise KeyboardInterrupt

    if words[0] == "watch":  # which goes on for ever
        monkeypatch.setattr(time, "sleep", tick)
    ended = pytest.raises(KeyboardInterrupt) if words[0] == "watch" else contextlib.nullcontext()
    with evil_server(refuse=refuse) as port, ended:
        main([*typed(words, folder), "--port", port])
    printed = capsys.readouterr()
    assert printed.out or printed.err
    assert_harmless(printed.out)
    assert_harmless(printed.err)


WITH_JSON = [
    words
    for words in LINES
    if words[0] not in ("enrol", "rename", "merge", "split", "remove", "undo", "watch", "ping", "camera")
]


@pytest.mark.parametrize("words", WITH_JSON, ids=lambda words: " ".join(words[:2]).partition(EVIL)[0])
def test_json_is_harmless_too(words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with evil_server(refuse=False) as port:
        main([*typed(words, folder), "--json", "--port", port])
    printed = capsys.readouterr()
    assert printed.out or printed.err
    assert_harmless(printed.out)


def test_what_is_typed_wrongly_is_spelt_out(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["--" + EVIL.replace(" ", "")],
        ["album", EVIL],
        ["enrol", "Ann", "a.jpg", "--accept", EVIL],
        ["--port", EVIL, "x"],
        ["undo", EVIL],
    ):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert_harmless(capsys.readouterr().err)
    for words in ([EVIL], ["verify", EVIL, EVIL], ["enrol", "Ann", EVIL], ["watch", EVIL], ["album", "add", "x", EVIL]):
        assert main(words) in (2, 3)
        assert_harmless(capsys.readouterr().err)


def test_create_db_shows_evil_files_harmlessly(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    person = folder / "Ann"
    person.mkdir()
    name = EVIL.replace("\n", "")
    (person / f"{name}.jpg").write_bytes(b"\xff\xd8\xff")
    (folder / name).mkdir()
    (folder / name / "a.jpg").write_bytes(portrait(1))
    assert create_db([str(folder), "--db", str(tmp_path / "g.db"), "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "would be read" in printed.out
    assert "would be skipped: name that can't be used" in printed.out
    write_log(tmp_path / "log.txt", [(f"{name}/a.jpg", name)])
    assert_harmless((tmp_path / "log.txt").read_text())
    assert_harmless(printed.out + printed.err)
    assert create_db([f"{folder}/{EVIL}/none", "--db", str(tmp_path / "g.db")]) == 2
    assert_harmless(capsys.readouterr().err)


def test_a_log_line_is_a_line() -> None:
    record = logging.LogRecord("facewire", logging.INFO, "", 0, "added %s", (EVIL,), None)
    assert_harmless(line := HarmlessFormatter("%(levelname)s %(message)s").format(record))
    assert "\n" not in line
