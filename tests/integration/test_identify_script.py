"""scripts/identify.py, without a server, prints what client_app.py prints with one."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from facewire.client.cli import main as client_app
from facewire.scripts.identify import main as identify
from facewire.scripts.milvus_serving import Milvus
from facewire.server.maintenance.backup_command import main as backup
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


def test_a_gallery_in_milvus_gives_the_same_names(
    best_kit: Kit, sample: Path, milvus: Milvus, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pytest.importorskip("pymilvus", reason="needs pymilvus (requirements-cluster.txt)")
    monkeypatch.chdir(tmp_path)  # the files of a gallery in Milvus lie in data/
    for name, value in best_kit.env.items():
        monkeypatch.setenv(name, value)
    there = f"milvus://127.0.0.1:{milvus.port}/identify_{uuid4().hex}"
    assert backup(["export", there, "--db", str(best_kit.db)]) == 0
    asked = [str(sample / "probes" / "group_of_five.jpg"), "--no-emotion", "--json", "-k", "2", *best_kit.flags]
    found = []
    for db in (str(best_kit.db), there):
        capsys.readouterr()
        assert identify([*asked, "--db", db]) == 0
        (line,) = answers(capsys.readouterr().out)
        assert isinstance(line, dict)
        found.append([(face["name"], face["decision"], round(face["similarity"], 2)) for face in line["faces"]])
    assert found[0] == found[1]
    assert len(found[0]) == 5


@pytest.mark.parametrize("command", [identify, backup])
def test_a_milvus_that_is_not_there_is_one_line(
    command: Callable[[list[str]], int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("pymilvus", reason="needs pymilvus (requirements-cluster.txt)")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"x")
    asked = ["a.jpg"] if command is identify else ["save", "copy.db"]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert command([*asked, "--db", f"milvus://127.0.0.1:{port}/people"]) == 3
    printed = capsys.readouterr().err
    assert "nothing is listening there (Connection refused): start Milvus, or name another address" in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "copy.db").exists()
