"""A gallery moved from one model to another while it serves, on real files, with two painted engines."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from facewire.server.errors import ModelMismatch
from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.create_db import main as create_db
from facewire.server.maintenance.migrate.respec import Respec
from facewire.server.maintenance.migrate_model import main
from facewire.server.vision.image import jpeg_bytes
from tests.support.galleries import picture, spec, template, unit
from tests.support.synthetic_engine import SyntheticEngine, embedding_of, portrait

OLD, NEW = "Synthetic", "Facenet"
PEOPLE = {"Ann": (1, 2), "Bob": (9,), "Cleo": (17, 18)}


class World:
    """A folder, its gallery, and what is asked of it."""

    def __init__(self, root: Path) -> None:
        self.folder, self.db = root / "faces", root / "people.db"
        self.log = root / "people.db.not-migrated.txt"
        self.engine = SyntheticEngine()
        for name, numbers in PEOPLE.items():
            (self.folder / name).mkdir(parents=True)
            for number in numbers:
                self.file(name, number).write_bytes(portrait(number))
        assert create_db([str(self.folder), "--db", str(self.db)], open_engine=lambda _: SyntheticEngine()) == 0

    def file(self, name: str, number: int) -> Path:
        return self.folder / name / f"{number}.png"

    def migrate(self, *options: str, model: str = NEW, engine: SyntheticEngine | None = None) -> int:
        self.engine = engine or SyntheticEngine(model=model)
        return main([*options, "--db", str(self.db), "--jobs", "2"], open_engine=lambda _: self.engine)

    def found(self, model: str) -> dict[int, str]:
        """Whom every painted face is found as; the gallery must be of that model."""
        with SqliteGallery.open(self.db) as gallery:
            assert gallery.spec.model == model
            nearest = {n: gallery.search(embedding_of(n, model), 1) for numbers in PEOPLE.values() for n in numbers}
            return {n: hits[0].name for n, hits in nearest.items() if hits and hits[0].similarity > 0.99}


EVERYBODY = {number: name for name, numbers in PEOPLE.items() for number in numbers}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_prepared_while_it_serves_then_switched_and_back(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with SqliteGallery.open(world.db) as server:
        assert world.migrate("--to", NEW, "--prepare") == 0
        assert "5 faces embedded with Facenet, 5 from their pictures, 0 from kept crops" in capsys.readouterr().out
        server.refresh()
        assert server.counts() == Counts(3, 5, 5)
        assert server.search(embedding_of(9), 5)[0].name == "Bob"
        assert server.spec.model == OLD
        # enrolled between the two runs, with a crop and no file
        crop = jpeg_bytes(SyntheticEngine().faces(portrait(30)).faces[0].crop)
        wired = picture("wire", embedding_of(30))
        server.enrol("Zoe", [replace(wired, templates=(replace(wired.templates[0], crop=crop),))])
        assert world.migrate("--to", NEW) == 0
        assert "1 face embedded with Facenet, 0 from their pictures, 1 from kept crops" in capsys.readouterr().out
        with pytest.raises(ModelMismatch, match=r"moved from Synthetic to Facenet .* restart the server"):
            server.refresh()
        with pytest.raises(ModelMismatch):
            server.search(embedding_of(9), 1)
        with pytest.raises(ModelMismatch):
            server.enrol("Yan", [picture("late", embedding_of(31))])
        assert world.found(NEW) == EVERYBODY
        with SqliteGallery.open(world.db) as restarted:
            assert restarted.search(embedding_of(30, NEW), 1)[0].name == "Zoe"
            assert restarted.counts() == Counts(4, 6, 6)
            shown = restarted.show("Zoe", 0, 9, crops=True)[1]
            assert [entry.crop for entry in shown] == [crop]
        assert world.migrate("--back") == 0
        assert world.engine.embedded == 0  # nobody was enrolled since
        server.refresh()
        assert server.search(embedding_of(30), 1)[0].name == "Zoe"
    assert world.found(OLD) == EVERYBODY


def test_the_result_is_what_a_build_with_the_new_model_gives(world: World, tmp_path: Path) -> None:
    anew = tmp_path / "anew.db"
    create_db([str(world.folder), "--db", str(anew)], open_engine=lambda _: SyntheticEngine(model=NEW))
    assert world.migrate("--to", NEW) == 0
    assert world.migrate("--forget-old") == 0
    assert faces(world.db) == faces(anew)


def faces(db: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        query = (
            "SELECT p.name, i.path, s.fingerprint, t.x, t.y, t.w, t.h, t.landmarks, t.detection, t.embedding, c.jpeg"
            " FROM templates t JOIN images i ON i.id = t.image_id JOIN people p ON p.id = t.person_id"
            " JOIN specs s ON s.id = t.spec_id JOIN crops c ON c.id = t.id ORDER BY p.name, i.path"
        )
        return connection.execute(query).fetchall()


def test_what_is_enrolled_after_the_switch_goes_back_too(world: World) -> None:
    assert world.migrate("--to", NEW) == 0
    with SqliteGallery.open(world.db) as gallery:
        gallery.remove("Cleo")
    world.file("Bob", 33).write_bytes(portrait(33))
    create_db([str(world.folder), "--db", str(world.db)], open_engine=lambda _: SyntheticEngine(model=NEW))
    assert world.migrate("--back", model=OLD) == 0
    assert world.engine.embedded == 3  # Cleo's two came back from the folder, and Bob's new one
    assert world.found(OLD) == EVERYBODY
    with SqliteGallery.open(world.db) as gallery:
        assert gallery.search(embedding_of(33), 1)[0].name == "Bob"


def test_the_way_back_without_the_old_network_leaves_behind_who_came_since(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.migrate("--to", NEW) == 0
    world.file("Bob", 33).write_bytes(portrait(33))
    create_db([str(world.folder), "--db", str(world.db)], open_engine=lambda _: SyntheticEngine(model=NEW))
    assert world.migrate("--back", model=NEW) == 2  # another network than the old model's
    assert "--leave-behind" in capsys.readouterr().err
    assert world.migrate("--back", "--leave-behind", model=NEW) == 0
    assert world.found(OLD) == EVERYBODY


def test_corrections_made_while_it_is_prepared_hold_after_the_switch(world: World) -> None:
    assert world.migrate("--to", NEW, "--prepare") == 0
    with SqliteGallery.open(world.db) as gallery:
        gallery.rename("Ann", "Anna")
        gallery.merge(["Bob"], "Cleo")
        gallery.undo()
        gallery.merge(["Bob"], "Anna")
        (first, _) = gallery.show("Cleo", 0, 9, crops=False)[1]
        gallery.split("Cleo", [first.id], "Dora")
        gallery.remove("Cleo")
    assert world.migrate("--to", NEW) == 0
    assert world.found(NEW) == {1: "Anna", 2: "Anna", 9: "Anna", 17: "Dora"}
    with SqliteGallery.open(world.db) as gallery:
        assert gallery.history(1)[0][0].op == "migrate"
        assert not any(event.undoable for event in gallery.history(99)[0])
    assert world.migrate("--back") == 0
    assert world.found(OLD) == {1: "Anna", 2: "Anna", 9: "Anna", 17: "Dora"}


def test_interrupted_it_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facewire.server.maintenance.command.BATCH", 1)
    monkeypatch.setattr("facewire.server.maintenance.command.WRITE_EVERY_S", 0)

    def stop(embedded: int) -> None:
        if embedded == 3:
            raise KeyboardInterrupt

    assert world.migrate("--to", NEW, engine=SyntheticEngine(model=NEW, before_embedding=stop)) == 130
    assert world.found(OLD) == EVERYBODY
    assert world.migrate("--to", NEW) == 0
    assert world.engine.embedded == 2
    assert world.found(NEW) == EVERYBODY


def test_pictures_gone_or_changed_fall_back_on_the_crop(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.file("Ann", 1).unlink()
    world.file("Ann", 2).write_bytes(portrait(40))
    assert world.migrate("--to", NEW) == 0
    assert "3 from their pictures, 2 from kept crops; 0 can't be" in capsys.readouterr().out
    assert world.found(NEW) == EVERYBODY


def test_faces_that_can_not_be_seen_again_stop_the_switch(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    with SqliteGallery.open(world.db) as gallery:
        blind = picture("wire", embedding_of(30))
        gallery.enrol("Zoe", [replace(blind, templates=(template(embedding_of(30)),))])
    assert world.migrate("--to", NEW) == 3
    said = capsys.readouterr()
    assert "1 face of 1 person can't be embedded again" in said.err
    assert world.log.read_text() == "Zoe\twire\tit came over the wire, and no crop of it was kept\n"
    assert world.found(OLD) == EVERYBODY
    assert world.migrate("--to", NEW, "--leave-behind") == 0
    assert "1 face is left behind" in capsys.readouterr().out
    assert world.found(NEW) == EVERYBODY
    assert world.migrate("--back") == 0
    with SqliteGallery.open(world.db) as gallery:
        assert gallery.search(embedding_of(30), 1)[0].name == "Zoe"


def test_what_is_enrolled_during_the_last_round_is_embedded_in_another(world: World) -> None:
    late = SyntheticEngine(model=NEW, before_embedding=lambda embedded: enrol_once(world))
    assert world.migrate("--to", NEW, engine=late) == 0
    assert late.embedded == 6
    with SqliteGallery.open(world.db) as gallery:
        assert gallery.search(embedding_of(30, NEW), 1)[0].name == "Zoe"


def enrol_once(world: World) -> None:
    crop = jpeg_bytes(SyntheticEngine().faces(portrait(30)).faces[0].crop)
    wired = picture("wire", embedding_of(30))
    with SqliteGallery.open(world.db) as server:
        server.enrol("Zoe", [replace(wired, templates=(replace(wired.templates[0], crop=crop),))])


def test_the_switch_is_all_or_nothing(world: World) -> None:
    world.migrate("--to", NEW, "--prepare")
    with closing(sqlite3.connect(world.db)) as connection:
        connection.execute(
            "CREATE TRIGGER fail BEFORE DELETE ON changes BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    assert world.migrate("--to", NEW) == 3
    assert world.found(OLD) == EVERYBODY


def test_status_nothing_to_do_and_no_way_back(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.migrate("--to", OLD, model=OLD) == 0
    assert "already uses Synthetic" in capsys.readouterr().out
    assert world.migrate("--back") == 2
    assert "no other model to return to" in capsys.readouterr().err
    world.migrate("--to", NEW)
    capsys.readouterr()
    assert world.migrate("--status") == 0
    shown = capsys.readouterr().out
    assert "5 templates (previous)" in shown
    assert "5 templates (current)" in shown
    assert world.migrate("--forget-old") == 0
    assert world.migrate("--back") == 2
    with closing(Store.open(world.db)) as store:
        assert store.execute("SELECT count(*) FROM templates").fetchone() == (5,)


def test_embeddings_of_another_dimension_are_refused(world: World) -> None:
    with closing(Store.open(world.db)) as store, pytest.raises(ModelMismatch):
        Respec(store, spec(4, NEW)).add([(1, unit(*[1.0] * 16))])


@pytest.mark.parametrize("arguments", [(), ("--to", NEW, "--back")])
def test_asked_wrongly(world: World, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--db", str(world.db)])
    assert ended.value.code == 2


def test_without_a_database(tmp_path: Path) -> None:
    assert main(["--status", "--db", str(tmp_path / "none.db")]) == 2
