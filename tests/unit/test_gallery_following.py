"""One database, several galleries: what one commits, the others take in, and end up as if opened anew."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facewire.server.errors import ModelMismatch
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage import journal
from facewire.server.gallery.storage.store import Store
from facewire.server.spec import EmbeddingSpec
from tests.support.galleries import cohort_file, picture, random_units, remove_picture, spec, unit
from tests.support.waiting import eventually

EAST, NORTH, UP = unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture
def server(path: Path) -> Iterator[SqliteGallery]:
    with SqliteGallery.create(path, spec()) as gallery:
        yield gallery


@pytest.fixture
def other(server: SqliteGallery, path: Path) -> Iterator[SqliteGallery]:
    with SqliteGallery.open(path) as gallery:
        yield gallery


def sql(path: Path, *statements: str) -> None:
    """What some other process does, in one transaction and one event."""
    with closing(Store.open(path)) as store, store.transaction():
        draft = journal.begin(store, "build")
        for statement in statements:
            store.execute(statement)
        journal.finish(store, draft)


def use_spec(path: Path, other: EmbeddingSpec) -> None:
    with closing(Store.open(path)) as store, store.transaction():
        store.adopt_spec(other)
        store.begin_epoch()


def view(gallery: SqliteGallery) -> tuple[object, ...]:
    """Everything that a reader can see."""
    rows = gallery.templates()
    probes = random_units(np.random.default_rng(1), 8, 4)
    return (
        gallery.people(),
        gallery.counts(),
        rows.embeddings.tolist(),
        rows.person_ids.tolist(),
        [gallery.search(probe, 5) for probe in probes],
    )


def test_nothing_new_is_nothing_to_do(server: SqliteGallery) -> None:
    server.enrol("Ann", [picture("a", EAST)])
    version = server.version
    assert not server.refresh()
    assert server.version == version


def test_what_another_process_enrols_removes_and_renames(
    server: SqliteGallery, other: SqliteGallery, path: Path
) -> None:
    server.enrol("Ann", [picture("a", EAST), picture("a2", NORTH)])
    other.enrol("Bob", [picture("b", UP)])
    assert server.search(UP, 1)[0].name == "Ann"  # not looked yet
    assert server.refresh()
    assert server.search(UP, 1)[0].name == "Bob"
    remove_picture(other, "Ann", "a")
    other.rename("Bob", "Cleo")
    server.refresh()
    assert [match.name for match in server.search(EAST, 3)] == ["Ann", "Cleo"]
    sql(path, "UPDATE templates SET person_id = (SELECT id FROM people WHERE name = 'Cleo')")
    server.refresh()
    assert [match.name for match in server.search(EAST, 3)] == ["Cleo"]
    assert not server.refresh()


def test_a_writer_takes_in_what_others_wrote_first(server: SqliteGallery, other: SqliteGallery) -> None:
    other.enrol("Bob", [picture("b", UP)])
    server.enrol("Ann", [picture("a", EAST)])
    assert server.search(UP, 1)[0].name == "Bob"
    assert [record.name for record in server.people()[0]] == ["Ann", "Bob"]


def test_older_views_stay_as_they_were(server: SqliteGallery, other: SqliteGallery) -> None:
    server.enrol("Ann", [picture("a", EAST)])
    before = server.templates()
    other.enrol("Bob", [picture("b", UP)])
    remove_picture(other, "Ann", "a")
    server.refresh()
    assert before.embeddings.tolist() == [EAST.tolist()]


def test_searching_in_few_directions_finds_what_others_enrolled(server: SqliteGallery, path: Path) -> None:
    vectors = random_units(np.random.default_rng(3), 300, 4)
    with SqliteGallery.open(path, cohort=cohort_file(path.with_name("cohort.npz"))) as ours:
        for number, vector in enumerate(vectors):
            (server if number % 2 else ours).enrol(f"P{number}", [picture(f"{number}", vector)])
        ours.refresh()
        assert [ours.search(vector, 1)[0].name for vector in vectors] == [f"P{n}" for n in range(300)]


def test_a_template_that_comes_back_is_found_in_few_directions(server: SqliteGallery, path: Path) -> None:
    """Undone by another process; its number is lower than the last."""
    vectors = random_units(np.random.default_rng(4), 300, 4)
    for number, vector in enumerate(vectors):
        server.enrol(f"P{number}", [picture(f"{number}", vector)])
    server.remove("P6")
    with SqliteGallery.open(path, cohort=cohort_file(path.with_name("cohort.npz"))) as ours:
        server.undo()
        ours.refresh()
        assert [ours.search(vector, 1)[0].name for vector in vectors] == [f"P{n}" for n in range(300)]


def test_a_new_epoch_reads_every_embedding_again(server: SqliteGallery, path: Path) -> None:
    server.enrol("Ann", [picture("a", EAST)])
    with closing(Store.open(path)) as store, store.transaction():
        draft = journal.begin(store, "build")
        store.execute("UPDATE templates SET embedding = ?", (UP.tobytes(),))
        journal.finish(store, draft)
        store.execute("DELETE FROM changes")  # as if it were another database's journal
        store.begin_epoch()
    server.refresh()
    assert server.search(UP, 1)[0].similarity == pytest.approx(1)


def test_another_model_is_refused_until_it_is_gone_again(
    server: SqliteGallery, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.enrol("Ann", [picture("a", EAST)])
    server.watch(0.005)
    use_spec(path, spec(model="Other"))
    assert eventually(lambda: len(caplog.records) > 0)
    for ask in (lambda: server.search(EAST, 1), server.check_current, lambda: server.enrol("B", [picture("b", UP)])):
        with pytest.raises(ModelMismatch, match="moved from Test to Other since it was opened: restart the server"):
            ask()
    use_spec(path, spec())

    def answers() -> bool:
        try:
            return server.search(EAST, 1)[0].name == "Ann"
        except ModelMismatch:
            return False

    assert eventually(answers)
    server.enrol("B", [picture("b", UP)])
    assert len(caplog.records) == 1  # said once


def test_a_database_that_can_not_be_read_is_said_once_and_read_later(
    server: SqliteGallery, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server.enrol("Ann", [picture("a", EAST)])
    server.watch(0.005)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("BEGIN; ALTER TABLE events RENAME TO aside; COMMIT")
        assert eventually(lambda: len(caplog.records) > 0)
        assert server.search(EAST, 1)[0].name == "Ann"
        connection.executescript("BEGIN; ALTER TABLE aside RENAME TO events; COMMIT")
    with SqliteGallery.open(path) as other:
        other.rename("Ann", "Bob")
    assert eventually(lambda: server.search(EAST, 1)[0].name == "Bob")
    assert len(caplog.records) == 1


def test_the_watch_notices_by_itself_and_ends_with_the_gallery(path: Path) -> None:
    with SqliteGallery.create(path, spec()) as server, SqliteGallery.open(path) as other:
        server.watch(0.01)
        other.enrol("Bob", [picture("b", UP)])
        assert eventually(lambda: [match.name for match in server.search(UP, 1)] == ["Bob"])
    assert not [thread for thread in threading.enumerate() if thread.name == "gallery-watch"]


def test_writers_of_several_galleries_wait_for_each_other_and_lose_nothing(server: SqliteGallery, path: Path) -> None:
    vectors = random_units(np.random.default_rng(5), 120, 4)
    failed: list[BaseException] = []

    def write(first: int) -> None:
        try:
            with SqliteGallery.open(path) as mine:
                for number in range(first, first + 30):
                    mine.enrol(f"P{number % 5}", [picture(f"{number}", vectors[number])])
        except Exception as error:  # noqa: BLE001 - whatever it was, the test should show it
            failed.append(error)

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 30, 60, 90)]
    server.watch(0.001)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    server.refresh()
    with SqliteGallery.open(path) as reopened:
        assert view(server) == view(reopened)
        assert server.counts().templates == 120


step = st.tuples(st.integers(0, 1), st.sampled_from(["enrol", "remove", "merge", "undo", "look"]), st.integers(0, 9))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, max_size=14))
def test_after_looking_everybody_sees_what_a_fresh_start_sees(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("following") / "people.db"
    vectors = random_units(np.random.default_rng(6), 10, 4)
    with SqliteGallery.create(path, spec()) as one, SqliteGallery.open(path) as two:
        galleries = (one, two)
        for who, what, number in steps:
            name, gallery = f"P{number % 3}", galleries[who]
            match what:
                case "enrol":
                    gallery.enrol(name, [picture(f"{number}", vectors[number])])
                case "remove":
                    gallery.enrol(name, [picture(f"keep {number}", vectors[0])])
                    remove_picture(gallery, name, f"{number}")
                case "merge":
                    for person in (name, f"Q{number}"):
                        gallery.enrol(person, [picture("keep", vectors[1])])
                    gallery.merge([name], f"Q{number}")
                case "undo":
                    gallery.enrol(name, [picture("undone", vectors[2])])
                    gallery.undo()
                case "look":
                    gallery.refresh()
        for gallery in galleries:
            gallery.refresh()
        with SqliteGallery.open(path) as fresh:
            assert view(one) == view(two) == view(fresh)
