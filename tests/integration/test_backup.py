"""Copies taken and put back while the gallery is used, and people carried to another gallery."""

from __future__ import annotations

import json
import pickle
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.errors import StartError
from facewire.server.gallery.records import Counts, NewPicture
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage import schema
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.backup_command import main
from facewire.server.maintenance.create_db import main as create_db
from tests.support.galleries import picture, random_units, spec, unit

EAST, NORTH, UP = unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies" / "monday.db"


@pytest.fixture
def server(db: Path) -> Iterator[SqliteGallery]:
    """Somebody has the gallery open all the time."""
    with SqliteGallery.create(db, spec()) as gallery:
        gallery.enrol("Ann", [with_crop("a", EAST), picture("a2", NORTH)])
        gallery.enrol("Bob", [picture("b", UP)])
        yield gallery


def with_crop(path: str, embedding: NDArray[np.float32]) -> NewPicture:
    one = picture(path, embedding)
    return replace(one, templates=(replace(one.templates[0], crop=b"a small JPEG"),), fingerprint=bytes(192))


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def names(gallery: SqliteGallery) -> list[str]:
    return [record.name for record in gallery.people()[0]]


def content(db: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        query = (
            "SELECT p.name, p.created, i.sha256, i.path, i.fingerprint, t.x, t.landmarks, t.embedding, c.jpeg"
            " FROM templates t JOIN images i ON i.id = t.image_id JOIN people p ON p.id = t.person_id"
            " LEFT JOIN crops c ON c.id = t.id ORDER BY p.name, i.path"
        )
        return connection.execute(query).fetchall()


class TestCopies:
    def test_there_and_back_while_it_is_served(
        self, server: SqliteGallery, db: Path, copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = content(db)
        assert run("save", copy, "--db", db) == 0
        assert "2 people, 3 pictures" in capsys.readouterr().out
        assert stat.S_IMODE(copy.stat().st_mode) == 0o600
        assert [path.name for path in copy.parent.iterdir()] == [copy.name]
        server.remove("Ann")
        server.enrol("Cleo", [picture("c", EAST)])
        assert run("restore", copy, "--db", db) == 0
        said = capsys.readouterr().out
        assert "is restored: 2 people" in said
        assert "erase them again" in said
        server.refresh()
        assert names(server) == ["Ann", "Bob"]
        assert server.search(EAST, 1)[0].name == "Ann"
        assert content(db) == before
        (kept,) = db.parent.glob("people.db-before-restore-*")
        assert [row[0] for row in content(kept)] == ["Bob", "Cleo"]

    def test_ids_given_after_the_copy_are_not_given_again(self, server: SqliteGallery, db: Path, copy: Path) -> None:
        """Somebody may remember them: a client, or a server that has not looked yet."""
        run("save", copy, "--db", db)
        probe = unit(0, 0, 1, 1)
        server.enrol("Cleo", [picture("c", probe)])
        used = server.search(probe, 1)[0].template_id
        assert run("restore", copy, "--db", db) == 0
        with SqliteGallery.open(db) as other:
            other.enrol("Dora", [picture("d", probe)])
            assert other.search(probe, 1)[0].template_id > used
        server.refresh()
        assert names(server) == ["Ann", "Bob", "Dora"]

    def test_a_copy_taken_while_others_write_is_of_one_instant(
        self, server: SqliteGallery, db: Path, copy: Path
    ) -> None:
        vectors = random_units(np.random.default_rng(1), 80, 4)
        done = threading.Event()

        def write() -> None:
            for number in range(0, 80, 2):
                server.enrol("Pairs", [picture(f"{n}", vectors[n]) for n in (number, number + 1)])
            done.set()

        writer = threading.Thread(target=write)
        writer.start()
        copies = 0
        while not done.is_set() or copies < 2:
            assert run("save", copy, "--db", db, "--overwrite") == 0
            assert len(content(copy)) % 2 == 1  # three, and pairs
            copies += 1
        writer.join()
        assert server.counts().templates == 83

    def test_restored_where_there_is_nothing(self, server: SqliteGallery, db: Path, copy: Path, tmp_path: Path) -> None:
        run("save", copy, "--db", db)
        elsewhere = tmp_path / "new" / "place.db"
        assert run("restore", copy, "--db", elsewhere) == 0
        assert {path.name for path in elsewhere.parent.iterdir()} == {"place.db", "place.db-lock"}
        with SqliteGallery.open(elsewhere) as gallery:
            assert names(gallery) == ["Ann", "Bob"]

    def test_what_is_there_is_not_overwritten_unasked(self, server: SqliteGallery, db: Path, copy: Path) -> None:
        copy.write_bytes(b"last week's")
        assert run("save", copy, "--db", db) == 2
        assert copy.read_bytes() == b"last week's"

    def test_damaged_copies_are_refused_and_change_nothing(
        self, server: SqliteGallery, db: Path, copy: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run("save", copy, "--db", db)
        whole, before = copy.read_bytes(), content(db)
        middle = len(whole) // 2
        for broken in (whole[:middle], whole[:4096] + b"\xff" * 20_000 + whole[24_096:], b"", b"hello" * 1000):
            copy.write_bytes(broken)
            capsys.readouterr()
            assert run("check", copy) in (2, 3)
            assert run("restore", copy, "--db", db) in (2, 3)
            assert str(copy) in capsys.readouterr().err
        assert content(db) == before
        assert not list(db.parent.glob("*before-restore*")) + list(db.parent.glob("*-restoring*"))
        copy.write_bytes(whole)
        assert run("check", copy) == 0

    def test_a_copy_of_another_model_needs_saying_so(
        self, server: SqliteGallery, db: Path, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "other.db"
        SqliteGallery.create(other, spec(model="Other")).close()
        run("save", copy, "--db", other)
        assert run("restore", copy, "--db", db) == 2
        assert "of Other" in capsys.readouterr().err
        assert names(server) == ["Ann", "Bob"]
        assert run("restore", copy, "--db", db, "--other-model") == 0
        with SqliteGallery.open(db) as gallery:
            assert gallery.spec.model == "Other"

    def test_a_copy_of_an_older_schema_is_brought_up_to_date(self, server: SqliteGallery, db: Path, copy: Path) -> None:
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            schema.migrate(connection, schema.MIGRATIONS[:1])
            connection.execute("INSERT INTO specs VALUES (1, ?, ?)", (spec().fingerprint, spec().to_json()))
            connection.execute("INSERT INTO meta VALUES ('spec_id', 1)")
            connection.execute("INSERT INTO people VALUES (1, 'Old', '2020')")
        assert run("restore", copy, "--db", db) == 0
        server.refresh()
        assert names(server) == ["Old"]

    def test_a_gallery_in_use_is_no_copy(
        self, server: SqliteGallery, db: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("check", db) == 3
        assert "backup.py save" in capsys.readouterr().err
        assert run("restore", db, "--db", db) == 2

    def test_no_database(self, tmp_path: Path) -> None:
        assert run("save", tmp_path / "copy", "--db", tmp_path / "none.db") == 2
        assert list(tmp_path.iterdir()) == []


class TestExports:
    def test_there_and_back(self, server: SqliteGallery, db: Path, tmp_path: Path) -> None:
        assert run("export", tmp_path / "all", "--db", db) == 0
        other = tmp_path / "other.db"
        assert run("import", tmp_path / "all", "--db", other) == 0
        # when they were enrolled is not carried over: that is the other gallery's to say
        assert [row[:1] + row[2:] for row in content(other)] == [row[:1] + row[2:] for row in content(db)]
        assert stat.S_IMODE((tmp_path / "all").stat().st_mode) == 0o700

    def test_read_without_facewire_as_documented(self, server: SqliteGallery, db: Path, tmp_path: Path) -> None:
        run("export", tmp_path / "all", "--db", db)
        document = json.loads((tmp_path / "all" / "people.json").read_text())
        arrays = np.load(tmp_path / "all" / "templates.npz", allow_pickle=False)
        assert (document["format"], document["version"]) == ("facewire-people", 1)
        assert document["spec"]["model"] == "Test"
        (template,) = document["people"][0]["images"][0]["templates"]
        row = template["row"]
        assert arrays["embeddings"][row].tolist() == EAST.tolist()
        begin = arrays["crop_ends"][row - 1] if row else 0
        assert arrays["crops"][begin : arrays["crop_ends"][row]].tobytes() == b"a small JPEG"

    def test_one_person(self, server: SqliteGallery, db: Path, tmp_path: Path) -> None:
        assert run("export", tmp_path / "bob", "--db", db, "--person", "Bob") == 0
        document = json.loads((tmp_path / "bob" / "people.json").read_text())
        assert [person["name"] for person in document["people"]] == ["Bob"]
        assert len(np.load(tmp_path / "bob" / "templates.npz")["embeddings"]) == 1
        assert run("export", tmp_path / "nobody", "--db", db, "--person", "Zoe") == 2
        assert not (tmp_path / "nobody").exists()

    def test_into_a_gallery_that_is_served_twice_and_undone(
        self, server: SqliteGallery, db: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.db"
        with SqliteGallery.create(other, spec()) as more:
            more.enrol("Ann", [picture("a", EAST), picture("a3", unit(1, 2, 0, 0))])
            more.enrol("Cleo", [picture("c", unit(0, 1, 1, 0))])
        run("export", tmp_path / "more", "--db", other)
        for _ in range(2):
            assert run("import", tmp_path / "more", "--db", db) == 0
            server.refresh()
            assert server.counts() == Counts(3, 5, 5)
        assert server.undo().undone[0].op == "import"
        assert server.counts() == Counts(2, 3, 3)

    def test_another_model_is_refused(
        self, server: SqliteGallery, db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = tmp_path / "other.db"
        SqliteGallery.create(other, spec(model="Other")).close()
        run("export", tmp_path / "other", "--db", other)
        assert run("import", tmp_path / "other", "--db", db) == 3
        said = capsys.readouterr().err
        assert "holds embeddings of Other" in said
        assert "can't be compared" in said

    @pytest.mark.parametrize(
        "damage",
        [
            lambda d: d["people"][1]["images"][0].pop("sha256"),
            lambda d: d["people"][1]["images"][0]["templates"][0].update(row=99),
            lambda d: d["people"][1]["images"][0]["templates"][0].update(row=-1),
            lambda d: d["people"][1].update(name=""),
            lambda d: d["people"][1].update(images=5),
            lambda d: d.update(version=2),
            lambda d: d.update(format="other"),
            lambda d: d["spec"].pop("crop"),
        ],
    )
    def test_damaged_exports_change_nothing(
        self, server: SqliteGallery, db: Path, tmp_path: Path, damage: Callable[[Any], object]
    ) -> None:
        other = tmp_path / "other.db"
        with SqliteGallery.create(other, spec()) as more:
            for name in ("Xenia", "Yan"):
                more.enrol(name, [picture(name, UP)])
        run("export", tmp_path / "more", "--db", other)
        file = tmp_path / "more" / "people.json"
        document = json.loads(file.read_text())
        damage(document)
        file.write_text(json.dumps(document))
        assert run("import", tmp_path / "more", "--db", db) == 3
        server.refresh()
        assert names(server) == ["Ann", "Bob"]

    @pytest.mark.parametrize("damage", ["missing", "cut", "pickled", "shape", "nan"])
    def test_damaged_arrays_change_nothing(self, server: SqliteGallery, db: Path, tmp_path: Path, damage: str) -> None:
        run("export", tmp_path / "all", "--db", db)
        file = tmp_path / "all" / "templates.npz"
        arrays = dict(np.load(file))
        match damage:
            case "missing":
                file.unlink()
            case "cut":
                file.write_bytes(file.read_bytes()[:100])
            case "pickled":
                np.savez(file, **arrays | {"embeddings": np.array([object()], dtype=object)})
            case "shape":
                np.savez(file, **arrays | {"embeddings": arrays["embeddings"][:, :3]})
            case "nan":
                np.savez(file, **arrays | {"embeddings": arrays["embeddings"] * np.nan})
        target = tmp_path / "target.db"
        SqliteGallery.create(target, spec()).close()
        assert run("import", tmp_path / "all", "--db", target) == 3
        assert content(target) == []


class TestOtherPrograms:
    def arkangel(self, path: Path) -> Path:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE face_meta (id INTEGER, name TEXT)")
            connection.execute("CREATE TABLE face_embeddings (face_id INTEGER, dimension INTEGER, value REAL)")
        return path

    @pytest.mark.parametrize("command", ["import", "restore", "check"])
    def test_their_files_are_recognised_and_the_pictures_asked_for(
        self, server: SqliteGallery, db: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        representations = tmp_path / "ds_model_facenet512.pkl"
        representations.write_bytes(pickle.dumps([{"identity": "Ann/1.jpg", "embedding": [0.1] * 512}]))
        for file, word in ((representations, "pickle"), (self.arkangel(tmp_path / "faces.db"), "ARKANGEL")):
            assert run(command, file, "--db", db) == 2
            said = capsys.readouterr().err
            assert word in said
            assert "can't be compared with ours" in said
            assert "create_db.py PICTURES_FOLDER" in said

    def test_a_pickle_is_never_run(self, server: SqliteGallery, db: Path, tmp_path: Path) -> None:
        sprung = tmp_path / "sprung"

        class Trap:
            def __reduce__(self) -> tuple[object, ...]:
                return Path.touch, (sprung,)

        (tmp_path / "trap.pkl").write_bytes(pickle.dumps(Trap()))
        assert run("import", tmp_path / "trap.pkl", "--db", db) == 2
        assert not sprung.exists()

    def test_as_the_gallery_itself(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        theirs = self.arkangel(tmp_path / "faces.db")
        with pytest.raises(StartError, match=r"ARKANGEL database .* PICTURES_FOLDER"):
            Store.open(theirs)
        (tmp_path / "faces" / "Ann").mkdir(parents=True)
        assert create_db([str(tmp_path / "faces"), "--db", str(theirs)]) == 2
        assert "ARKANGEL" in capsys.readouterr().err

    def test_a_copy_is_no_export(self, server: SqliteGallery, db: Path, copy: Path) -> None:
        run("save", copy, "--db", db)
        assert run("import", copy, "--db", db) == 2
        assert run("import", copy.with_name("none"), "--db", db) == 2
