"""create_db, migrate_model and backup.py on a database that a real server has open, with a client asking meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.client.errors import ServerRefused
from facewire.protocol.errors import ErrorCode
from facewire.server.maintenance.backup_command import main as backup
from facewire.server.maintenance.create_db import main as create_db
from facewire.server.maintenance.migrate_model import main as migrate_model
from tests.support.synthetic_engine import SyntheticEngine, portrait
from tests.support.synthetic_server import MODEL, synthetic_server
from tests.support.waiting import PATIENCE_S, eventually


class World:
    def __init__(self, root: Path) -> None:
        self.folder, self.db, self.copy = root / "faces", root / "people.db", root / "copy.db"

    def put(self, person: str, number: int) -> Path:
        file = self.folder / person / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(portrait(number))
        return file

    def build(self, *options: str, model: str = MODEL) -> None:
        arguments = [str(self.folder), "--db", str(self.db), *options]
        assert create_db(arguments, open_engine=lambda _: SyntheticEngine(model=model)) == 0

    def migrate(self, *options: str) -> None:
        arguments = [*options, "--db", str(self.db)]
        assert migrate_model(arguments, open_engine=lambda _: SyntheticEngine(model="Facenet")) == 0


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for number in range(1, 5):
        world.put("Ann", number)
    world.put("Bob", 40)
    world.build()
    return world


@pytest.fixture
def address(world: World) -> Iterator[tuple[str, int]]:
    with synthetic_server(world.db) as address:
        yield address


@pytest.fixture
def client(address: tuple[str, int]) -> Iterator[FaceClient]:
    with FaceClient(*address, timeout=PATIENCE_S) as client:
        yield client


def nearest(client: FaceClient, number: int) -> str | None:
    """Who a painted face is, if it is enrolled."""
    (face,) = client.identify(portrait(number, shade=1)).faces
    return face.candidates[0].name if face.candidates and face.similarity and face.similarity > 0.99 else None


@contextmanager
def asking(address: tuple[str, int]) -> Iterator[list[str | None]]:
    """Bob is asked after all the time, over a connection of its own; the answers. An error fails the test."""
    answers: list[str | None] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def ask() -> None:
        try:
            with FaceClient(*address, timeout=PATIENCE_S) as mine:
                while not done.is_set():
                    answers.append(nearest(mine, 40))
        except Exception as error:  # noqa: BLE001 - whatever it was, the test should show it
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()
    assert errors == []


def test_new_changed_and_pruned_pictures_are_taken_in_and_no_request_fails(
    world: World, address: tuple[str, int], client: FaceClient
) -> None:
    with asking(address) as answers:
        world.put("Cleo", 20)
        world.put("Ann", 1).write_bytes(portrait(21))
        world.build()
        assert eventually(lambda: nearest(client, 20) == "Cleo")
        assert (nearest(client, 21), nearest(client, 1)) == ("Ann", None)
        (world.folder / "Ann" / "2.png").unlink()
        world.build("--prune")
        assert eventually(lambda: nearest(client, 2) is None)
    assert set(answers) == {"Bob"}
    assert client.stats().people == 3


def test_what_a_client_changed_is_not_undone_by_a_build(world: World, client: FaceClient) -> None:
    client.enrol("Zoe", portrait(30), label="wire")
    client.rename("Bob", "Robert")
    world.put("Cleo", 20)
    world.build()
    assert eventually(lambda: nearest(client, 20) == "Cleo")
    assert (nearest(client, 30), nearest(client, 40)) == ("Zoe", "Robert")
    assert client.undo().undone[0].op == "build"
    assert nearest(client, 20) is None


def test_a_copy_of_an_enrolled_picture_is_refused_with_a_reason(client: FaceClient) -> None:
    client.enrol("Zoe", portrait(30), label="one")
    answer = client.enrol("Zoe", portrait(30, extension=".jpg"), label="two")
    assert len(answer.rejected) == 1
    assert answer.person is not None
    assert answer.person.templates == 1
    assert client.enrol("Zoe", portrait(30, shade=1), label="three").rejected == ()


def test_another_model_takes_over(world: World, address: tuple[str, int], client: FaceClient) -> None:
    with asking(address) as answers:
        world.migrate("--to", "Facenet", "--prepare")
        client.enrol("Zoe", portrait(30), label="wire")
        world.migrate("--to", "Facenet", "--prepare")
    assert set(answers) == {"Bob"}
    world.migrate("--to", "Facenet")

    def refuses() -> bool:
        try:
            nearest(client, 40)
        except ServerRefused as error:
            assert error.code is ErrorCode.MODEL_MISMATCH
            return "moved from Facenet512 to Facenet" in str(error) and "restart the server" in str(error)
        return False

    assert eventually(refuses)
    for ask in (client.health, lambda: client.enrol("Yan", portrait(31))):
        with pytest.raises(ServerRefused, match="restart the server"):
            ask()
    assert client.ping().version == 1
    world.migrate("--back")

    def answers_again() -> bool:
        try:
            return nearest(client, 40) == "Bob"
        except ServerRefused:
            return False

    assert eventually(answers_again)
    assert nearest(client, 30) == "Zoe"


def test_saved_and_restored(world: World, address: tuple[str, int], client: FaceClient) -> None:
    with asking(address) as answers:
        assert backup(["save", str(world.copy), "--db", str(world.db)]) == 0
        client.enrol("Zoe", portrait(30), label="wire")
        assert backup(["restore", str(world.copy), "--db", str(world.db)]) == 0
        assert eventually(lambda: nearest(client, 30) is None)
    assert set(answers) == {"Bob"}
    client.enrol("Zoe", portrait(30), label="wire again")
    assert nearest(client, 30) == "Zoe"
