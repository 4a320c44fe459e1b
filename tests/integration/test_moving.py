"""Galleries that `backup.py` moves from SQLite to the real Milvus and back, with all that can be undone."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

# Where FACEWIRE_REQUIRE_MILVUS is set, tests/integration/test_milvus_server.py fails without it.
pytest.importorskip("pymilvus", reason="needs pymilvus (requirements-cluster.txt)")

from facewire.scripts.milvus_serving import Milvus
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.contract import contract
from facewire.server.gallery.milvus.gallery import MilvusGallery, connected
from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.maintenance.backup_command import main
from facewire.server.maintenance.moving.milvus_target import SUFFIX
from tests.support.galleries import picture, random_units
from tests.support.lives import lived, of, told, undone
from tests.support.living_server import SPEC
from tests.support.server_process import ROOT
from tests.support.synthetic_engine import embedding_of
from tests.support.waiting import eventually


@pytest.fixture
def place(milvus: Milvus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MilvusAddress]:
    monkeypatch.chdir(tmp_path)  # the files of a gallery in Milvus lie in data/
    yield MilvusAddress("127.0.0.1", milvus.port, f"move_{uuid.uuid4().hex}")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_there_and_back_and_nothing_is_lost(
    place: MilvusAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, after = tmp_path / "before.db", tmp_path / "after.db"
    with SqliteGallery.create(before, SPEC) as gallery:
        lived(gallery)
        original, ids = told(gallery), [record.id for record in gallery.people()[0]]
    assert run("export", place, "--db", before) == 0
    assert f"{place}: 4 people" in (said := capsys.readouterr().out)
    assert "with their history" in said
    with MilvusGallery.open(place) as there:
        assert told(there) == original
        assert there.search(embedding_of(1), 1)[0].name == "Cléo"
    assert run("import", place, "--db", after) == 0
    with SqliteGallery.open(after) as back, SqliteGallery.open(before) as first:
        assert told(back) == original
        assert [record.id for record in back.people()[0]] == ids
        assert back.history(1000) == first.history(1000)
        for record in first.people()[0]:
            here, there_ = (one.templates_of(record.name).embeddings for one in (first, back))
            np.testing.assert_allclose(here, there_, atol=1e-4)
    with MilvusGallery.open(place) as there, SqliteGallery.open(after) as back, SqliteGallery.open(before) as first:
        states = undone(first)
        assert len(states) == 10
        assert undone(back) == states
        assert undone(there) == states


def test_a_move_that_is_cut_off_leaves_nothing_and_a_gallery_is_not_overwritten(
    place: MilvusAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, many = tmp_path / "few.db", tmp_path / "many.db"
    with SqliteGallery.create(few, SPEC) as gallery:
        gallery.enrol("Ann", [of("a.png", 1)])
    vectors = random_units(np.random.default_rng(1), 3000, SPEC.dimension)
    with SqliteGallery.create(many, SPEC) as gallery:
        for name, chosen in (("Bob", vectors[:1]), ("Crowd", vectors[1:])):
            gallery.enrol(name, [picture(f"{name} {number}", one) for number, one in enumerate(chosen)])
    half = connected(replace(place, name=place.name + SUFFIX))
    with subprocess.Popen(
        [sys.executable, ROOT / "scripts" / "backup.py", "export", str(place), "--db", many]
    ) as moving:
        begun = lambda: contract(half) is not None  # noqa: E731
        assert eventually(begun) or eventually(begun)
        moving.kill()
    half.close()
    assert run("import", place, "--db", tmp_path / "no.db") == 2
    assert "no gallery at" in capsys.readouterr().err
    assert not (tmp_path / "no.db").exists()
    assert run("export", place, "--db", few) == 0
    capsys.readouterr()
    for arguments in (("export", place, "--db", many), ("import", place, "--db", many)):
        assert run(*arguments) == 2
        said = capsys.readouterr().err
        *_, last = said.splitlines()  # after a bar of what was read, where that took a moment
        assert "people already: name another place, or use --replace" in last
        assert "Traceback" not in said
    assert run("export", place, "--db", many, "--replace") == 0
    said = capsys.readouterr().out
    assert "2 people" in said
    (kept,) = (tmp_path / "data").glob("*-before-restore-*")
    assert kept.name in said
    with SqliteGallery.open(kept) as gallery:
        assert [record.name for record in gallery.people()[0]] == ["Ann"]
    with MilvusGallery.open(place) as there:
        assert there.counts() == Counts(2, 3000, 3000)
    # The other way, into a file that somebody has open.
    with SqliteGallery.open(few) as server:
        assert run("import", place, "--db", few, "--replace") == 0
        server.refresh()
        assert server.counts() == Counts(2, 3000, 3000)
    assert len(list(tmp_path.glob("few.db-before-restore-*"))) == 1
    assert not list(tmp_path.glob("*-mov*"))


def test_copies_and_exports_of_a_gallery_in_milvus(
    place: MilvusAddress, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db, copy, folder, again = (tmp_path / name for name in ("a.db", "copy.db", "folder", "again.db"))
    with SqliteGallery.create(db, SPEC) as gallery:
        gallery.enrol("Ann", [of("a.png", 1), of("a2.png", 2)], copies=True)
        gallery.enrol("Bob", [of("b.png", 3)])
        original = told(gallery)
    assert run("save", copy, "--db", db) == 0
    assert run("restore", copy, "--db", place) == 0
    assert "is restored: 2 people, 3 pictures" in capsys.readouterr().out
    assert run("save", again, "--db", place) == 0
    assert run("save", again, "--db", place) == 2
    with SqliteGallery.open(again) as saved:
        assert told(saved) == original
    assert run("check", again) == 0
    assert "2 people, 3 pictures" in capsys.readouterr().out
    assert run("export", folder, "--db", place) == 0
    people = json.loads((folder / "people.json").read_text())["people"]
    assert [(person["name"], len(person["images"])) for person in people] == [("Ann", 2), ("Bob", 1)]
    with MilvusGallery.open(place) as there:
        there.remove("Bob")
    capsys.readouterr()
    assert run("import", folder, "--db", place) == 0
    assert "2 people, 1 new picture with 1 template, 2 pictures were already there" in capsys.readouterr().out
    with MilvusGallery.open(place) as there:
        assert there.search(embedding_of(3), 1)[0].name == "Bob"
        assert there.history(1)[0][0].subjects == ("Ann", "Bob")
        assert {record.name: record.images for record in there.people()[0]} == {"Ann": 2, "Bob": 1}
