"""A gallery searched in few directions: what it answers is what the exact search answers, whatever happens to it."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facewire.server.gallery.records import Match
from facewire.server.gallery.search.cohort import Cohort, measure_by
from facewire.server.gallery.search.index import ExactIndex
from facewire.server.gallery.search.index_file import FRESH_ROWS
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage.store import Store
from facewire.server.gallery.writer import load
from tests.support.galleries import cohort_file, people_like, picture, random_units, remove_picture, spec

DIMENSION = 16
PEOPLE, TEMPLATES = 10, FRESH_ROWS + 88
PROBES = random_units(np.random.default_rng(8), 20, DIMENSION)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture(autouse=True)
def cohort(path: Path) -> Path:
    return cohort_file(path.with_name("cohort.npz"), DIMENSION)


def index_file(path: Path) -> Path:
    return path.with_name("people.db-index")


def opened(path: Path) -> SqliteGallery:
    return SqliteGallery.open(path, cohort=path.with_name("cohort.npz"))


def fill(gallery: SqliteGallery, seed: int = 0, count: int = TEMPLATES) -> None:
    """`count` templates of PEOPLE people, an enrolment each person."""
    vectors, owners = people_like(np.random.default_rng(seed), PEOPLE, count, DIMENSION)
    for person in range(PEOPLE):
        mine = np.flatnonzero(owners == person)
        gallery.enrol(f"P{person}", [picture(f"{seed}/{number}", vectors[number]) for number in mine])


@pytest.fixture
def built(path: Path, cohort: Path) -> Path:
    """A closed gallery at `path` that was opened once since it was filled."""
    with SqliteGallery.create(path, spec(DIMENSION), cohort=cohort) as gallery:
        fill(gallery)
    opened(path).close()
    return path


def remove_somebody(gallery: SqliteGallery, count: int = 1) -> None:
    """The first `count` templates that `fill` enrols."""
    _, owners = people_like(np.random.default_rng(0), PEOPLE, TEMPLATES, DIMENSION)
    for number in range(count):
        remove_picture(gallery, f"P{owners[number]}", f"0/{number}")


def answers(gallery: SqliteGallery) -> list[tuple[Match, ...]]:
    together = [rounded(matches) for matches in gallery.search_all(PROBES, 3)]
    assert together == [rounded(gallery.search(probe, 3)) for probe in PROBES]
    return together


def rounded(matches: tuple[Match, ...]) -> tuple[Match, ...]:
    """Scales measured together and one by one differ in their last bits."""
    return tuple(replace(match, scale=round(match.scale, 5)) for match in matches)


def exact_answers(path: Path) -> list[tuple[Match, ...]]:
    """The oracle: what is on disk, measured anew and compared with every template."""
    measure = measure_by(Cohort.load(path.with_name("cohort.npz"), spec(DIMENSION)))
    with closing(Store.open(path)) as store:
        snapshot = load(store, path, measure, directions=None)
    assert isinstance(snapshot.rows.index, ExactIndex)
    return [rounded(matches) for matches in snapshot.search(PROBES, 3, measure(PROBES), means=True)]


def test_it_grows_and_keeps_its_scales_for_the_next_start(path: Path, cohort: Path) -> None:
    with SqliteGallery.create(path, spec(DIMENSION), cohort=cohort) as gallery:
        fill(gallery)
        assert answers(gallery) == exact_answers(path)
    opened(path).close()
    assert index_file(path).exists()
    written = index_file(path).stat().st_mtime_ns
    with opened(path) as gallery:
        assert answers(gallery) == exact_answers(path)
    assert index_file(path).stat().st_mtime_ns >= written
    written = index_file(path).stat().st_mtime_ns
    with opened(path) as gallery:
        assert answers(gallery) == exact_answers(path)
    assert index_file(path).stat().st_mtime_ns == written, "nothing changed, nothing is written"


def test_changes_show_at_once(built: Path) -> None:
    probe = random_units(np.random.default_rng(3), 1, DIMENSION)[0]
    with opened(built) as gallery:
        gallery.enrol("New", [picture("new", probe)])
        assert gallery.search(probe, 1)[0].name == "New"
        assert answers(gallery) == exact_answers(built)
        remove_picture(gallery, "New", "new")
        assert gallery.search(probe, 1)[0].name != "New"
        remove_somebody(gallery, 40)
        assert answers(gallery) == exact_answers(built)
    with opened(built) as gallery:
        assert answers(gallery) == exact_answers(built)


def test_the_file_of_another_database_is_not_believed(built: Path) -> None:
    """Somebody put another database in this one's place, with as many templates under the same ids."""
    another = built.with_name("another.db")
    with SqliteGallery.create(another, spec(DIMENSION)) as gallery:
        fill(gallery, seed=7)
    another.replace(built)
    with opened(built) as gallery:
        assert answers(gallery) == exact_answers(built)


def test_a_new_database_does_not_inherit_the_file(built: Path) -> None:
    assert index_file(built).exists()
    built.unlink()
    SqliteGallery.create(built, spec(DIMENSION)).close()
    assert not index_file(built).exists()


def test_it_may_be_emptied_and_filled_again(built: Path) -> None:
    with opened(built) as gallery:
        for person in range(PEOPLE):
            gallery.remove(f"P{person}")
        assert answers(gallery) == [()] * 20
        fill(gallery, seed=1)
        assert answers(gallery) == exact_answers(built)


def test_what_comes_back_by_an_undoing_is_found_at_once(built: Path) -> None:
    with opened(built) as gallery:
        before = answers(gallery)
        remove_somebody(gallery, 80)
        assert answers(gallery) != before
        gallery.undo(80)
        assert answers(gallery) == before
    with opened(built) as gallery:
        assert answers(gallery) == before


def test_everybody_is_found_while_others_come_and_go(built: Path) -> None:
    """Searches beside enrolments and removals: those who stay are always found, a newcomer from the first moment."""
    vectors, owners = people_like(np.random.default_rng(0), PEOPLE, TEMPLATES, DIMENSION)
    newcomers = random_units(np.random.default_rng(11), 45, DIMENSION)
    done, wrong = threading.Event(), []

    with opened(built) as gallery:

        def look(first: int) -> None:
            number = first
            while not done.is_set():
                match = gallery.search(vectors[number % TEMPLATES], 1)[0]
                if match.name != f"P{owners[number % TEMPLATES]}" or match.similarity < 0.999:
                    wrong.append(str(match))
                number += 1

        def come_and_go(first: int) -> None:
            for number in range(first, first + 15):
                new = picture(f"new/{number}", newcomers[number])
                gallery.enrol(f"New{number}", [new])
                if gallery.search(newcomers[number], 1)[0].name != f"New{number}":
                    wrong.append(f"New{number}")
                if number % 2:
                    remove_picture(gallery, f"New{number}", new.path)

        lookers = [threading.Thread(target=look, args=(first,)) for first in (0, TEMPLATES // 2)]
        comers = [threading.Thread(target=come_and_go, args=(first,)) for first in (0, 15, 30)]
        for thread in (*lookers, *comers):
            thread.start()
        for thread in comers:
            thread.join()
        done.set()
        for thread in lookers:
            thread.join()
        assert wrong == []
        assert answers(gallery) == exact_answers(built)


def test_the_erased_are_not_in_the_file(built: Path) -> None:
    with opened(built) as gallery:
        leftover = built.with_name("people.db-index-killed")  # of a writer that was killed
        leftover.write_bytes(b"whose vectors?")
        gallery.erase("P3")
        assert not leftover.exists()
        assert not index_file(built).exists()
        assert answers(gallery) == exact_answers(built)
    opened(built).close()
    kept = index_file(built).read_bytes()
    with opened(built) as gallery:
        vectors, owners = people_like(np.random.default_rng(0), PEOPLE, TEMPLATES, DIMENSION)
        assert [vector.tobytes() in kept for vector in vectors] == (owners != 3).tolist()
        assert gallery.counts().templates == np.count_nonzero(owners != 3)


def test_another_process_forgets_the_erased_too(built: Path) -> None:
    with opened(built) as ours, opened(built) as theirs:
        theirs.erase("P3")
        index_file(built).write_bytes(b"written by us before we heard of it")
        assert ours.refresh()
        assert not index_file(built).exists()
        assert not ours.refresh()
        assert answers(ours) == answers(theirs) == exact_answers(built)
