"""README's commands that change the gallery, run as they stand there."""

from __future__ import annotations

import io
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.client.cli import main
from tests.support.living_server import Living, living_server
from tests.support.synthetic_engine import portrait

README = Path(__file__).parents[2] / "README.md"
LAUNCHER = ["python", "client_app.py"]


def commands() -> list[list[str]]:
    (block,) = re.findall(r"^### Change the gallery$.*?^```sh$(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.M)
    return [shlex.split(line, comments=True) for line in block.strip().splitlines()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Living]:
    with living_server(tmp_path / "g.db") as server:
        yield server


class Typing(io.StringIO):
    """Somebody at a terminal."""

    def isatty(self) -> bool:
        return True


def test_the_gallerys_commands_run_in_the_order_they_are_written(
    server: Living, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "stdin", Typing("Ada Lovelace\n"))
    for number in (1, 2):
        Path(f"ada{number}.jpg").write_bytes(portrait(5, shade=3 * number))
    run = []
    for words in commands():
        assert words[:2] == LAUNCHER
        if words[2] in ("watch", "camera"):  # which end by Ctrl-C alone
            continue
        assert main([*words[2:], "--port", str(server.address[1])]) == 0, (words, capsys.readouterr())
        run.append(words[2])
    assert run == ["enrol", "show", "split", "merge", "history", "undo", "verify", "remove"]
    assert len(list(Path("faces").glob("*.jpg"))) == 2
    assert "merged Mary Somerville into Ada Lovelace" in capsys.readouterr().out
    with server.client() as client:
        assert [person.name for person in client.all_people()] == ["Mary Somerville"]
