"""What a gallery of any size costs to read: work is counted in SQLite's own steps, as seconds depend on the machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage import readers
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.backup import portable
from facewire.server.maintenance.migrate.respec import Respec
from facewire.server.maintenance.moving.sqlite_source import SqliteSource
from tests.support.galleries import picture, random_units, spec

FEW, MANY = 150, 1200
FACES = 3  # of each person, one in a picture
EVERY = 10  # steps of SQLite's virtual machine


def gallery(path: Path, people: int) -> Path:
    vectors = random_units(np.random.default_rng(1), people * FACES, spec().dimension)
    with SqliteGallery.create(path, spec()) as made:
        for number in range(people):
            mine = [picture(f"{number}/{at}", vectors[number * FACES + at]) for at in range(FACES)]
            made.enrol(f"Person {number}", mine)
    return path


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    room = tmp_path_factory.mktemp("work")
    return gallery(room / "few.db", FEW // FACES), gallery(room / "many.db", MANY // FACES)


def steps(store: Store, act: Callable[[], object]) -> int:
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    store._connection.set_progress_handler(count, EVERY)
    act()
    store._connection.set_progress_handler(None, 0)
    return counted


ALL: dict[str, Callable[[Store, Path], object]] = {
    "a build takes what is there": lambda store, room: list(store.contents()),
    "export": lambda store, room: portable.export(store, room / "exported"),
    "migrate_model": lambda store, room: Respec(store, spec(model="Other")).lacking(),
}


@pytest.mark.parametrize("act", list(ALL))
def test_everybody_costs_in_proportion(sizes: tuple[Path, Path], tmp_path: Path, act: str) -> None:
    work = []
    for number, path in enumerate(sizes):
        with closing(Store.open(path)) as store:
            (tmp_path / str(number)).mkdir()
            work.append(steps(store, lambda: ALL[act](store, tmp_path / str(number))))  # noqa: B023 - called at once
    assert work[1] < 1.5 * (MANY / FEW) * work[0]


def test_a_move_costs_in_proportion(sizes: tuple[Path, Path]) -> None:
    work = []
    for path in sizes:
        with closing(SqliteSource(path)) as source:
            work.append(steps(source._store, lambda: list(source.templates())))
    assert work[1] < 1.5 * (MANY / FEW) * work[0]


def test_one_person_costs_the_same_in_any_gallery(sizes: tuple[Path, Path]) -> None:
    work = []
    for path in sizes:
        with closing(Store.open(path)) as store:
            work.append(steps(store, lambda: readers.shown(store, "Person 7", 0, 10, crops=True)))
    assert work[1] < 2 * work[0] + 50
