"""The gallery: enrolment, search, listing, and what survives a reopening."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facewire.server.errors import ModelMismatch, StartError, UnknownPerson
from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.gallery.storage import journal
from facewire.server.gallery.storage.store import Store
from tests.support.galleries import picture, random_units, remove_picture, spec, unit

EAST, NORTH, UP = unit(1, 0, 0, 0), unit(0, 1, 0, 0), unit(0, 0, 1, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


@pytest.fixture
def gallery(path: Path) -> Iterator[SqliteGallery]:
    with SqliteGallery.create(path, spec()) as created:
        yield created


def test_an_empty_gallery_knows_nobody(gallery: SqliteGallery) -> None:
    assert gallery.search(EAST, 3) == ()
    assert gallery.people() == ((), 0)
    assert gallery.counts() == Counts(0, 0, 0)
    assert gallery.templates().embeddings.shape == (0, 4)


def test_enrolment_is_found_at_once_and_after_reopening(gallery: SqliteGallery, path: Path) -> None:
    record = gallery.enrol("Ann Lee", [picture("Ann/1.jpg", EAST), picture("Ann/2.jpg", NORTH)]).person
    assert (record.name, record.images, record.templates) == ("Ann Lee", 2, 2)
    gallery.enrol("Bob", [picture("Bob/1.jpg", UP)])
    here = gallery.search(unit(0.1, 1, 0, 0), 5)
    assert [match.name for match in here] == ["Ann Lee", "Bob"]
    assert here[0].image == "Ann/2.jpg"
    with SqliteGallery.open(path) as reopened:
        assert reopened.search(unit(0.1, 1, 0, 0), 5) == here
        assert reopened.spec == spec()
        assert reopened.counts() == gallery.counts() == Counts(2, 3, 3)


def test_similarity_and_distance_agree(gallery: SqliteGallery) -> None:
    gallery.enrol("Ann", [picture("a", EAST)])
    (match,) = gallery.search(unit(3, 4, 0, 0), 1)
    assert match.similarity == pytest.approx(0.6, abs=1e-6)
    assert match.distance == pytest.approx(float(np.linalg.norm(EAST - unit(3, 4, 0, 0))), abs=1e-6)


def test_equal_similarities_come_by_name(gallery: SqliteGallery) -> None:
    for name in ("Cleo", "Ann", "Bob"):
        gallery.enrol(name, [picture(name, EAST)])
    assert [match.name for match in gallery.search(EAST, 2)] == ["Ann", "Bob"]


def test_pages_are_sorted_without_regard_to_case(gallery: SqliteGallery) -> None:
    for name in ("bob", "Ann", "Cleo", "Émile"):
        gallery.enrol(name, [picture(name, EAST)])
    page, total = gallery.people(offset=1, limit=2)
    assert ([record.name for record in page], total) == (["bob", "Cleo"], 4)
    assert gallery.people(offset=9, limit=2) == ((), 4)


def test_counts_tell_pictures_from_templates(gallery: SqliteGallery) -> None:
    gallery.enrol("Ann", [picture("group", EAST, NORTH), picture("alone", UP)])
    (record,), _ = gallery.people()
    assert (record.images, record.templates) == (2, 3)


def test_the_same_bytes_are_stored_once_per_person(gallery: SqliteGallery) -> None:
    gallery.enrol("Ann", [picture("a", EAST, content="x"), picture("b", EAST, content="x")])
    assert gallery.enrol("Ann", [picture("c", EAST, content="x")]).person.images == 1
    assert gallery.enrol("Bob", [picture("d", EAST, content="x")]).person.images == 1


def test_names_meet_in_one_spelling(gallery: SqliteGallery) -> None:
    gallery.enrol("Jose\u0301  Garci\u0301a ", [picture("a", EAST)])
    assert gallery.enrol("Jos\u00e9 Garc\u00eda", [picture("b", NORTH)]).person.templates == 2


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "x" * 201, "\udcff"])
def test_what_is_no_name_is_refused(gallery: SqliteGallery, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        gallery.enrol(name, [picture("a", EAST)])
    assert gallery.counts().people == 0


def test_a_bad_template_undoes_the_whole_enrolment(gallery: SqliteGallery, path: Path) -> None:
    before = gallery.version
    with pytest.raises(ModelMismatch):
        gallery.enrol("Ann", [picture("a", EAST), picture("b", unit(1, 0, 0))])
    for wrong in (np.array([2, 0, 0, 0], dtype=np.float32), np.array([np.nan, 0, 0, 1], dtype=np.float32)):
        with pytest.raises(ValueError, match="unit length"):
            gallery.enrol("Ann", [picture("a", EAST), picture("b", wrong)])
    with pytest.raises(ValueError, match="no template"):
        gallery.enrol("Ann", [picture("a")])
    with pytest.raises(ValueError, match="no picture"):
        gallery.enrol("Ann", [])
    assert (gallery.version, gallery.counts()) == (before, Counts(0, 0, 0))
    with SqliteGallery.open(path) as reopened:
        assert reopened.counts() == Counts(0, 0, 0)


def test_probes_are_held_to_the_spec(gallery: SqliteGallery) -> None:
    gallery.enrol("Ann", [picture("a", EAST)])
    with pytest.raises(ModelMismatch):
        gallery.search(unit(1, 0, 0), 1)
    with pytest.raises(ValueError, match="unit length"):
        gallery.search(np.zeros(4, dtype=np.float32), 1)
    with pytest.raises(ValueError, match="k must"):
        gallery.search(EAST, 0)


def test_a_removed_picture_is_no_longer_found(gallery: SqliteGallery, path: Path) -> None:
    gone, kept = picture("gone", EAST), picture("kept", NORTH)
    gallery.enrol("Ann", [gone, kept])
    remove_picture(gallery, "Ann", "gone")
    assert gallery.people()[0][0].images == 1
    assert [match.image for match in gallery.search(EAST, 1)] == ["kept"]
    remove_picture(gallery, "Ann", "kept")
    assert gallery.people()[0][0].images == 0
    assert gallery.search(EAST, 1) == ()
    assert gallery.counts() == Counts(1, 0, 0)
    with pytest.raises(UnknownPerson):
        gallery.remove("Bob", [1])
    with SqliteGallery.open(path) as reopened:
        assert reopened.people() == gallery.people()


def test_older_views_stay_as_they_were(gallery: SqliteGallery) -> None:
    gallery.enrol("Ann", [picture("a", EAST)])
    old, version = gallery.templates(), gallery.version
    for number in range(600):  # past the spare rows, so that the matrix moves once
        gallery.enrol("Bob", [picture(f"b{number}", NORTH)])
    assert old.embeddings.tolist() == [EAST.tolist()]
    assert gallery.version == version + 600
    assert len(gallery.templates().embeddings) == 601
    with pytest.raises(ValueError, match="read-only"):
        old.embeddings[0, 0] = 2


def test_what_was_committed_but_not_published_is_there_after_reopening(gallery: SqliteGallery, path: Path) -> None:
    """A crash between the commit and the new snapshot: another connection did the commit, memory never heard of it."""
    with closing(Store.open(path)) as store, store.transaction():
        draft = journal.begin(store, "enrol")
        store.add_picture(store.ensure_person("Ann").id, picture("a", EAST))
        journal.finish(store, draft)
    assert gallery.search(EAST, 1) == ()
    with SqliteGallery.open(path) as reopened:
        assert [match.name for match in reopened.search(EAST, 1)] == ["Ann"]


def test_enrolling_where_another_process_wrote(gallery: SqliteGallery, path: Path) -> None:
    with SqliteGallery.open(path) as other:
        other.enrol("Ann", [picture("a", EAST)])
    assert gallery.enrol("Ann", [picture("b", NORTH)]).person.templates == 2  # the other process's is taken in
    assert gallery.search(EAST, 1)[0].image == "a"
    with SqliteGallery.open(path) as reopened:
        assert reopened.counts() == Counts(1, 2, 2)


def test_a_gallery_rebuilt_for_another_model_takes_no_more(gallery: SqliteGallery, path: Path) -> None:
    with closing(Store.open(path)) as store, store.transaction():
        store.adopt_spec(spec(model="Other"))
    with pytest.raises(ModelMismatch, match="moved from Test to Other"):
        gallery.enrol("Ann", [picture("a", EAST)])


def test_readers_see_whole_enrolments_while_others_write(gallery: SqliteGallery) -> None:
    """Each enrolment brings two pictures; a reader must never see one of them."""
    rng = np.random.default_rng(7)
    vectors = random_units(rng, 200, 4)
    done, odd = threading.Event(), []

    def read() -> None:
        while not done.is_set():
            counts = gallery.counts()
            if counts.templates % 2 or counts.images != counts.templates:
                odd.append(counts)
            gallery.search(EAST, 3)

    def write(first: int) -> None:
        for number in range(first, first + 50, 2):
            gallery.enrol(f"P{number % 7}", [picture(f"{n}", vectors[n]) for n in (number, number + 1)])

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 50, 100, 150)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert odd == []
    assert gallery.counts() == Counts(7, 200, 200)
    assert gallery.version == 101


def test_create_does_not_overwrite(gallery: SqliteGallery, path: Path) -> None:
    with pytest.raises(StartError, match="exists"):
        SqliteGallery.create(path, spec())
