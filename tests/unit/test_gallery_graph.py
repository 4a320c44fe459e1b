"""A gallery large enough for a graph: built beside the answers, kept, opened again, never believed blindly."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from server.gallery import graph_file, graph_keeper
from server.gallery.gallery import Gallery
from server.gallery.graph import Graph
from server.gallery.records import Match
from tests.support.galleries import people_like, picture, random_units, spec

DIMENSION = 16
PEOPLE, TEMPLATES = 10, 300
SMALL = 50 * DIMENSION * 4
"""Bytes: galleries of more than fifty templates have a graph here."""
PATIENCE_S = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "facewire.gallery")


@pytest.fixture(autouse=True)
def every_thread_ends() -> Iterator[None]:
    yield
    assert graph_threads() == []


def graph_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "graph"]


def index_file(path: Path) -> Path:
    return path.with_name("people.db-index")


def fill(gallery: Gallery, seed: int = 0, count: int = TEMPLATES) -> None:
    """`count` templates of PEOPLE people, an enrolment each person."""
    vectors, owners = people_like(np.random.default_rng(seed), PEOPLE, count, DIMENSION)
    for person in range(PEOPLE):
        mine = np.flatnonzero(owners == person)
        gallery.enrol(f"P{person}", [picture(f"{seed}/{number}", vectors[number]) for number in mine])


def build(path: Path) -> None:
    """A closed gallery at `path` with its graph beside it."""
    with Gallery.create(path, spec(DIMENSION), exact_bytes=SMALL) as gallery:
        fill(gallery)
        assert gallery.wait_until_indexed(PATIENCE_S)


def remove_somebody(gallery: Gallery, count: int = 1) -> None:
    """The first `count` templates that `fill` enrols."""
    _, owners = people_like(np.random.default_rng(0), PEOPLE, TEMPLATES, DIMENSION)
    for number in range(count):
        gallery.remove_picture(f"P{owners[number]}", picture(f"0/{number}").sha256)


def answers(gallery: Gallery) -> list[tuple[Match, ...]]:
    return [gallery.search(probe, 3) for probe in random_units(np.random.default_rng(8), 20, DIMENSION)]


def exact_answers(path: Path) -> list[tuple[Match, ...]]:
    """The oracle: what is on disk, searched exactly."""
    with Gallery.open(path) as gallery:
        return answers(gallery)


def reopened(path: Path, caplog: pytest.LogCaptureFixture) -> str:
    """What the log says when a gallery is opened and its graph settles; its answers are held to the oracle's."""
    caplog.clear()
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        assert answers(gallery) == exact_answers(path)
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) == exact_answers(path)
    return caplog.text


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Graphs take templates only while it is set, as it is at first."""
    gate, add = threading.Event(), Graph.add
    gate.set()

    def wait_and_add(graph: Graph, template_ids: NDArray[np.int64], embeddings: NDArray[np.float32]) -> None:
        gate.wait(PATIENCE_S)
        add(graph, template_ids, embeddings)

    monkeypatch.setattr(Graph, "add", wait_and_add)
    yield gate
    gate.set()


def test_a_small_gallery_has_no_graph(path: Path) -> None:
    with Gallery.create(path, spec(DIMENSION)) as gallery:
        fill(gallery)
        assert gallery.wait_until_indexed(0)
        assert graph_threads() == []
    assert not index_file(path).exists()


def test_a_graph_is_built_once_and_opened_from_then_on(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(path)
    assert "built a search graph" in caplog.text
    written = index_file(path).stat()
    for _ in range(2):
        text = reopened(path, caplog)
        assert "opened: a graph of 300 templates" in text
        assert "built a search graph" not in text
    assert index_file(path).stat().st_mtime_ns == written.st_mtime_ns  # nothing changed, nothing is written


def test_answers_are_exact_while_the_graph_is_built(path: Path, gate: threading.Event) -> None:
    gate.clear()
    with Gallery.create(path, spec(DIMENSION), exact_bytes=SMALL) as gallery:
        fill(gallery)
        assert answers(gallery) == exact_answers(path)
        fill(gallery, seed=1)
        assert answers(gallery) == exact_answers(path)
        assert not gallery.wait_until_indexed(0)
        gate.set()
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) == exact_answers(path)


def test_enrolled_means_found_before_the_graph_knows(path: Path, gate: threading.Event) -> None:
    build(path)
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        assert gallery.wait_until_indexed(PATIENCE_S)
        gate.clear()
        probe = random_units(np.random.default_rng(3), 1, DIMENSION)[0]
        gallery.enrol("New", [picture("new", probe)])
        assert gallery.search(probe, 1)[0].name == "New"
        assert answers(gallery) == exact_answers(path)
        gallery.remove_picture("New", picture("new", probe).sha256)
        assert gallery.search(probe, 1)[0].name != "New"
        gate.set()


def test_changes_need_no_new_graph(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(path)
    caplog.clear()
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        fill(gallery, seed=1, count=60)
        remove_somebody(gallery)
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) == exact_answers(path)
    assert "opened: a graph of 360 templates" in reopened(path, caplog)
    assert "built a search graph" not in caplog.text


def test_a_file_that_lacks_the_newest_is_brought_up_to_date(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(path)
    with Gallery.open(path) as gallery:  # without its graph
        fill(gallery, seed=1, count=60)
    assert "built a search graph" not in reopened(path, caplog)
    assert "opened: a graph of 360 templates" in reopened(path, caplog)


def remove_behind_its_back(path: Path) -> None:
    with Gallery.open(path) as gallery:
        remove_somebody(gallery)


def build_another(path: Path) -> None:
    """As many templates under the same ids, but of others: somebody put another database in this one's place."""
    another = path.with_name("another.db")
    with Gallery.create(another, spec(DIMENSION)) as gallery:
        fill(gallery, seed=7)
    another.replace(path)


def rebuild_for_another_model(path: Path) -> None:
    another = path.with_name("another.db")
    with Gallery.create(another, spec(DIMENSION, "Other")) as gallery:
        fill(gallery)
    another.replace(path)


def cut(path: Path, keep: Callable[[int], int]) -> None:
    content = index_file(path).read_bytes()
    index_file(path).write_bytes(content[: keep(len(content))])


def flip(path: Path, where: Callable[[int], int]) -> None:
    content = bytearray(index_file(path).read_bytes())
    content[where(len(content))] ^= 0x10
    index_file(path).write_bytes(content)


SPOILINGS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: index_file(path).unlink(),
    "empty": lambda path: cut(path, lambda size: 0),
    "cut to a few bytes": lambda path: cut(path, lambda size: 20),
    "cut in half": lambda path: cut(path, lambda size: size // 2),
    "cut by a byte": lambda path: cut(path, lambda size: size - 1),
    "a bit flipped in the graph": lambda path: flip(path, lambda size: size // 3),
    "a bit flipped in the label": lambda path: flip(path, lambda size: size - graph_file.FOOTER.size - 20),
    "a bit flipped in the length": lambda path: flip(path, lambda size: size - graph_file.FOOTER.size + 7),
    "a bit flipped in the mark": lambda path: flip(path, lambda size: size - 1),
    "somebody else's": lambda path: index_file(path).write_bytes(b"hello" * 1000),
    "of a template removed since": remove_behind_its_back,
    "of another database": build_another,
    "of another model": rebuild_for_another_model,
}


@pytest.mark.parametrize("spoiling", SPOILINGS)
def test_a_file_that_does_not_fit_is_built_anew(path: Path, caplog: pytest.LogCaptureFixture, spoiling: str) -> None:
    build(path)
    SPOILINGS[spoiling](path)
    assert "built a search graph" in reopened(path, caplog)
    assert "built a search graph" not in reopened(path, caplog)


def test_a_new_database_does_not_inherit_the_file(path: Path) -> None:
    build(path)
    path.unlink()
    Gallery.create(path, spec(DIMENSION)).close()
    assert not index_file(path).exists()


def test_another_usearch_builds_anew(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(path)
    monkeypatch.setitem(graph_file.IDENTITY, "usearch", "2.99.0")
    assert "built a search graph" in reopened(path, caplog)


def test_a_file_that_cannot_be_written_is_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Gallery.create(path, spec(DIMENSION)).close()
    index_file(path).mkdir()  # not a read-only folder, since root writes to those
    with Gallery.open(path) as gallery:
        fill(gallery)
    for _ in range(2):
        assert "built a search graph" in reopened(path, caplog)
        assert "can't be written" in caplog.text
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["people.db", "people.db-index"]


def test_a_full_disk_costs_only_the_file(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Graph.save
    monkeypatch.setattr(Graph, "save", lambda graph, path: save(graph, Path("/dev/full")))
    build(path)
    assert "can't be written" in caplog.text
    assert [entry.name for entry in path.parent.iterdir()] == ["people.db"]


def test_a_crash_costs_only_what_came_after_the_last_saving(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Gallery.create(path, spec(DIMENSION), exact_bytes=SMALL) as gallery:
        fill(gallery)
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert "built a search graph" not in reopened(
            path, caplog
        )  # by another process, as it were, while this one runs


def test_closing_while_the_graph_is_built_keeps_what_there_is(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery.create(path, spec(DIMENSION), exact_bytes=SMALL)
    add, half_way, go_on = Graph.add, threading.Event(), threading.Event()

    def stop_half_way(graph: Graph, template_ids: NDArray[np.int64], embeddings: NDArray[np.float32]) -> None:
        add(graph, template_ids, embeddings)
        if len(graph) >= 200:
            half_way.set()
            go_on.wait(PATIENCE_S)

    monkeypatch.setattr(Graph, "add", stop_half_way)
    fill(gallery)
    assert half_way.wait(PATIENCE_S)
    closing = threading.Thread(target=gallery.close)
    closing.start()
    gallery._keeper._closing.wait(PATIENCE_S)
    go_on.set()
    closing.join()
    assert graph_threads() == []
    assert answers(gallery) == exact_answers(path)
    monkeypatch.undo()
    caplog.set_level(logging.INFO, "facewire.gallery")
    assert "opened: a graph of 2" in reopened(path, caplog)
    assert "opened: a graph of 300 templates" in reopened(path, caplog)


def test_a_graph_of_the_dead_is_built_anew(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build(path)
    caplog.clear()
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        remove_somebody(gallery, TEMPLATES // graph_keeper.DEAD_SHARE + 1)
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) == exact_answers(path)
    assert "built a search graph of" in caplog.text
    assert "built a search graph" not in reopened(path, caplog)


def test_a_gallery_may_be_emptied_and_filled_again(path: Path) -> None:
    build(path)
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        remove_somebody(gallery, TEMPLATES)
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) == [()] * 20
        fill(gallery, seed=1)
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) == exact_answers(path)


def test_what_changes_nothing_needs_no_waiting(path: Path) -> None:
    build(path)
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        remove_somebody(gallery)
        remove_somebody(gallery)
        assert gallery.wait_until_indexed(PATIENCE_S)


def test_a_graph_that_fails_leaves_the_exact_search(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(graph: Graph, template_ids: NDArray[np.int64], embeddings: NDArray[np.float32]) -> None:
        raise RuntimeError("Out of memory!")

    monkeypatch.setattr(Graph, "add", fail)
    build(path)
    assert "search stays exact" in caplog.text
    monkeypatch.undo()
    reopened(path, caplog)


def test_everybody_is_found_while_others_come_and_go(path: Path) -> None:
    """Searches beside enrolments and removals: those who stay are always found, a newcomer from the first moment."""
    build(path)
    vectors, owners = people_like(np.random.default_rng(0), PEOPLE, TEMPLATES, DIMENSION)
    newcomers = random_units(np.random.default_rng(11), 45, DIMENSION)
    done, wrong = threading.Event(), []

    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        assert gallery.wait_until_indexed(PATIENCE_S)

        def look(first: int) -> None:
            number = first
            while not done.is_set():
                match = gallery.search(vectors[number % TEMPLATES], 1)[0]
                if match.name != f"P{owners[number % TEMPLATES]}" or match.similarity < 0.999:
                    wrong.append(match)
                number += 1

        def come_and_go(first: int) -> None:
            for number in range(first, first + 15):
                new = picture(f"new/{number}", newcomers[number])
                gallery.enrol(f"New{number}", [new])
                if gallery.search(newcomers[number], 1)[0].name != f"New{number}":
                    wrong.append(number)
                if number % 2:
                    gallery.remove_picture(f"New{number}", new.sha256)

        lookers = [threading.Thread(target=look, args=(first,)) for first in (0, 150)]
        comers = [threading.Thread(target=come_and_go, args=(first,)) for first in (0, 15, 30)]
        for thread in (*lookers, *comers):
            thread.start()
        for thread in comers:
            thread.join()
        done.set()
        for thread in lookers:
            thread.join()
        assert wrong == []
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) == exact_answers(path)


def test_what_comes_back_by_an_undoing_is_found_at_once_and_by_the_graph(path: Path) -> None:
    """The graph was built anew without it, and its number is lower than the last that the graph has."""
    build(path)
    removals = TEMPLATES // graph_keeper.DEAD_SHARE + 1
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        before = answers(gallery)
        remove_somebody(gallery, removals)
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) != before
        gallery.undo(removals)
        assert answers(gallery) == before
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert answers(gallery) == before
        published = gallery._keeper._graph
        assert published is not None
        rows = gallery._snapshot.rows
        assert not published[0].lacks(rows.template_ids).any()
        assert published[1] == rows.lineage
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        assert answers(gallery) == before


def test_the_erased_are_not_in_the_graph_nor_in_its_file(path: Path) -> None:
    build(path)
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        assert gallery.wait_until_indexed(PATIENCE_S)
        _, kept = gallery.show("P3", 0, TEMPLATES, crops=False)
        gone = np.array([template.id for template in kept])
        leftover = path.with_name("people.db-index-killed")  # of a writer that was killed
        leftover.write_bytes(b"whose vectors?")
        gallery.erase("P3")
        assert not leftover.exists()
        assert gallery.wait_until_indexed(PATIENCE_S)
        assert gallery._keeper._graph is not None
        assert gallery._keeper._graph[0].lacks(gone).all()
        assert answers(gallery) == exact_answers(path)
    with Gallery.open(path, exact_bytes=SMALL) as gallery:
        saved = gallery._keeper._file.read(gallery._snapshot.rows)
        assert saved is not None
        assert saved.lacks(gone).all()


def test_another_process_forgets_the_erased_too(path: Path) -> None:
    build(path)
    with Gallery.open(path, exact_bytes=SMALL) as ours, Gallery.open(path, exact_bytes=SMALL) as theirs:
        assert ours.wait_until_indexed(PATIENCE_S)
        _, kept = theirs.show("P3", 0, TEMPLATES, crops=False)
        theirs.erase("P3")
        assert ours.refresh()
        assert not ours.refresh()
        assert ours.wait_until_indexed(PATIENCE_S)
        assert ours._keeper._graph is not None
        assert ours._keeper._graph[0].lacks(np.array([template.id for template in kept])).all()
        assert answers(ours) == answers(theirs) == exact_answers(path)
