"""scripts/identify.py, without a server, prints what client_app.py prints with one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facewire.client.cli import main as client_app
from facewire.scripts.identify import main as identify
from tests.integration.conftest import Kit
from tests.support.server_process import serving_process


def answers(printed: str) -> list[object]:
    """The JSON lines, less what a clock said."""
    lines = [json.loads(line) for line in printed.splitlines()]
    for line in lines:
        line.pop("timing_ms", None)
    return lines


def test_the_same_answers(
    best_kit: Kit,
    sample: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in best_kit.env.items():
        monkeypatch.setenv(name, value)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not a picture")
    asked = [str(sample / "probes" / name) for name in ("akira_monase.jpg", "group_of_five.jpg", "no_face.jpg")]
    asked += [str(broken), "--json", "-k", "2"]
    capsys.readouterr()
    without = identify([*asked, *best_kit.args])
    inside = capsys.readouterr().out
    with serving_process(*best_kit.args, env=best_kit.env) as server:
        exit_code = client_app([*asked, "--port", str(server.address[1])])
    outside = capsys.readouterr().out
    assert answers(inside) == answers(outside)
    assert without == exit_code == 3  # the broken picture
    assert "Akira Monase" in inside


def test_a_missing_database_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"x")
    assert identify([str(picture), "--db", str(tmp_path / "none.db")]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("identify.py: ")
    assert printed.count("\n") == 1
