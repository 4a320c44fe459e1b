"""`client_app.py ping`, `health` and `stats`, against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.client.cli import main
from tests.support.synthetic_engine import portrait
from tests.support.synthetic_server import synthetic_server


@pytest.fixture
def where(tmp_path: Path) -> Iterator[list[str]]:
    """The flags that name a server on which Ada is enrolled."""
    with synthetic_server(tmp_path / "people.db") as (host, port):
        with FaceClient(host, port) as client:
            client.enrol("Ada", portrait(1))
        yield ["--host", host, "--port", str(port)]


def test_a_server_that_answers(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ping", *where]) == 0
    assert capsys.readouterr().out.startswith("facewire ")


def test_a_healthy_one(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", *where]) == 0
    assert capsys.readouterr().out.startswith("healthy; Facenet512, 1 person, 1 template")
    assert main(["health", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["healthy"] is True


def test_one_whose_database_was_taken_away(
    where: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "people.db").rename(tmp_path / "elsewhere.db")
    assert main(["health", *where]) == 1
    assert capsys.readouterr().out.startswith("not healthy: ")


def test_what_it_counted(where: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["requests"]["enrol"] == 1
    assert main(["stats", *where]) == 0
    assert "requests: enrol 1, " in capsys.readouterr().out


def test_nobody_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ping", "--port", "1", "--timeout", "5"]) == 3
    assert "start one with" in capsys.readouterr().err
