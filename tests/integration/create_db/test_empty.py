"""A gallery of nobody: made, served, filled by a client."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.server.app import build
from facewire.server.app import main as serve
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.maintenance.create_db import main
from facewire.server.settings import parse
from tests.support.project import Project
from tests.support.server_process import PATIENCE_S
from tests.support.synthetic_app import open_synthetic
from tests.support.synthetic_engine import DIMENSION, SyntheticEngine, portrait
from tests.support.synthetic_server import MODEL


def make(db: Path, *extra: str, model: str = MODEL) -> int:
    return main(["--empty", "--db", str(db), *extra], open_engine=lambda _: SyntheticEngine(model=model))


def test_an_empty_gallery_is_served_and_filled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    db = tmp_path / "out" / "people.db"
    assert make(db) == 0
    said = capsys.readouterr().out
    assert f"{db}, a gallery of {MODEL}: nobody is enrolled yet" in said
    assert f"python server_app.py --db {db}" in said
    assert "python client_app.py enrol NAME PICTURE" in said
    with ExitStack() as served, caplog.at_level(logging.INFO, "facewire"):
        listener = build(parse(["--db", str(db), "--port", "0", "--no-albums"]), served, opening=open_synthetic)
        listener.start()
        served.callback(listener.stop)
        client = served.enter_context(FaceClient(*listener.address, timeout=PATIENCE_S))
        (face,) = client.identify(portrait(1)).faces
        assert (face.decision, face.candidates, face.similarity) == ("unknown", (), None)
        client.enrol("Ann", portrait(1))
        assert client.identify(portrait(1, shade=2)).faces[0].name == "Ann"
    assert "nobody is enrolled yet; enrol the first person: " in caplog.text


def test_where_there_is_a_gallery_none_is_made(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.put("Ann/1.png", portrait(1))
    project.build()
    capsys.readouterr()
    assert make(project.db) == 2
    assert "is a gallery of Synthetic already, with 1 picture: name another place" in capsys.readouterr().err
    assert project.names() == ["Ann"]


def test_a_folder_fills_it_too(project: Project) -> None:
    assert make(project.db, model="Synthetic") == 0
    with SqliteGallery.open(project.db) as gallery:
        assert (gallery.counts().people, gallery.spec.dimension) == (0, DIMENSION)
    project.put("Ann/1.png", portrait(1))
    assert project.build() == 0
    assert project.names() == ["Ann"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name a FOLDER of people, or make a gallery of nobody with --empty"),
        (["--empty", "people"], "--empty makes a gallery of nobody: leave out FOLDER"),
        (["--empty", "--prune"], "leave out --prune"),
        (["--empty", "--dry-run"], "leave out --dry-run"),
    ],
)
def test_what_does_not_go_together(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_server_without_a_gallery_offers_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = tmp_path / "none.db"
    assert serve(["--db", str(db), "--port", "0"]) == 2
    assert f"with scripts/create_db.py --empty --db {db}" in capsys.readouterr().err
