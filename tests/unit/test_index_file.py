"""The index file is a shortcut: what a gallery answers is the same with it, without it and with a broken one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.server.gallery.search.cohort import Cohort
from facewire.server.gallery.search.index_file import FRESH_ROWS, VERSION, IndexFile
from facewire.server.gallery.search.rows import Chunk, Rows
from facewire.server.gallery.sqlite import SqliteGallery
from tests.support.galleries import cohort_file, picture, random_units, spec

DIMENSION = 16
MANY = FRESH_ROWS + 10
COHORT, OTHER = (Cohort(random_units(np.random.default_rng(seed), 60, DIMENSION), 20) for seed in (1, 2))
PEOPLE = random_units(np.random.default_rng(3), 2 * MANY, DIMENSION)


def people(count: int, first: int = 0) -> NDArray[np.float32]:
    return PEOPLE[first : first + count].copy()


def rows(embeddings: NDArray[np.float32], scales: NDArray[np.float32]) -> Rows:
    """With the scales that they are given, whatever they are."""
    ids = range(1, len(embeddings) + 1)
    return Rows.load(len(ids), DIMENSION, [Chunk(embeddings, ids, ids, ids)], lambda _: scales, COHORT.directions)


def remembered(db: Path, cohort: Cohort = COHORT, count: int = MANY) -> NDArray[np.float32]:
    """A file of scales that nobody would measure, so that whoever has them has read it."""
    scales = np.linspace(0.3, 0.7, count).astype(np.float32)
    IndexFile(db, cohort).write(rows(people(count), scales), 1, "")
    return scales


def assert_measured(found: NDArray[np.float32], embeddings: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(found, COHORT.scales(embeddings), atol=1e-6)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


def test_what_was_measured_is_not_measured_again(db: Path) -> None:
    scales = remembered(db)
    assert np.array_equal(IndexFile(db, COHORT).measure(people(MANY)), scales)


def test_who_came_since_is_measured(db: Path) -> None:
    scales = remembered(db)
    fresh = people(5, first=MANY)
    found = IndexFile(db, COHORT).measure(np.concatenate([fresh[:2], people(MANY), fresh[2:]]))
    assert np.array_equal(found[2:-3], scales)
    assert_measured(np.concatenate([found[:2], found[-3:]]), fresh)


def test_a_few_who_came_since_are_no_reason_to_write(db: Path) -> None:
    token = IndexFile(db, COHORT).write(rows(people(MANY), np.full(MANY, 0.5, np.float32)), 7, "now")
    assert token is not None
    file = IndexFile(db, COHORT)
    kept = file.kept(token)
    assert kept is not None
    assert (kept.event, kept.epoch) == (7, "now")
    assert np.array_equal(kept.rows.embeddings, people(MANY))
    some = Chunk(people(20, MANY), *[range(MANY + 1, MANY + 21)] * 3)
    many = Chunk(people(FRESH_ROWS, MANY), *[range(MANY + 1, MANY + 1 + FRESH_ROWS)] * 3)
    assert not file.lacks(kept.rows.edited(np.arange(MANY + 1, MANY + 21), some))
    assert file.lacks(kept.rows.edited(np.arange(MANY + 1, MANY + 1 + FRESH_ROWS), many))
    nobody = Chunk(people(0), (), (), ())
    assert file.lacks(kept.rows.edited(np.array([5]), nobody)), "somebody removed is not kept"


def test_only_the_token_that_was_returned_is_believed(db: Path) -> None:
    token = IndexFile(db, COHORT).write(rows(people(MANY), np.full(MANY, 0.5, np.float32)), 7, "now")
    assert IndexFile(db, COHORT).kept("") is None
    assert IndexFile(db, COHORT).kept("0" * 32) is None
    assert token is not None
    assert IndexFile(db, OTHER).kept(token) is None


def test_rows_added_to_the_mapped_ones_do_not_change_the_file(db: Path) -> None:
    token = IndexFile(db, COHORT).write(rows(people(MANY), np.full(MANY, 0.5, np.float32)), 7, "now")
    before = db.with_name("people.db-index").read_bytes()
    kept = IndexFile(db, COHORT).kept(token or "")
    assert kept is not None
    grown = kept.rows.appended(Chunk(people(20, MANY), *[range(MANY + 1, MANY + 21)] * 3))
    assert np.shares_memory(grown.embeddings, kept.rows.embeddings)
    assert np.array_equal(grown.embeddings, people(MANY + 20))
    assert db.with_name("people.db-index").read_bytes() == before


def test_another_cohort_says_otherwise(db: Path) -> None:
    remembered(db, OTHER)
    assert_measured(IndexFile(db, COHORT).measure(people(MANY)), people(MANY))


def test_a_gallery_without_a_cohort_needs_no_file(db: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = IndexFile(db, None)
    assert (file.measure(people(MANY)) == 1).all()
    assert not file.lacks(rows(people(MANY), file.measure(people(MANY))))
    assert list(db.parent.iterdir()) == []
    remembered(db)
    IndexFile(db, None).remove()
    assert list(db.parent.iterdir()) == []
    assert caplog.text == ""


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def lengthened(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")


def with_header(file: Path, **changes: object) -> None:
    content = file.read_bytes()
    header = json.loads(content[:4096].rstrip(b"\0")) | changes
    file.write_bytes(json.dumps(header).encode().ljust(4096, b"\0") + content[4096:])


def of_a_newer_version(file: Path) -> None:
    with_header(file, version=VERSION + 1)


def of_another_event(file: Path) -> None:
    with_header(file, event=0)


def of_another_shape(file: Path) -> None:
    with_header(file, layout=[MANY // 2, DIMENSION, 3])


def of_no_shape(file: Path) -> None:
    with_header(file, layout="large")


def of_an_older_version(file: Path) -> None:
    """An archive of NumPy's."""
    np.savez(file.with_suffix(".npz"), version=2)
    file.with_suffix(".npz").replace(file)


@pytest.mark.parametrize(
    "spoil",
    [
        cut_off,
        flipped,
        emptied,
        lengthened,
        of_an_older_version,
        of_a_newer_version,
        of_another_event,
        of_another_shape,
        of_no_shape,
    ],
)
def test_a_spoilt_file_counts_as_none(
    db: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    remembered(db)
    spoil(db.with_name("people.db-index"))
    file = IndexFile(db, COHORT)
    assert "can't be used" in caplog.text
    assert_measured(file.measure(people(MANY)), people(MANY))
    assert file.lacks(rows(people(MANY), COHORT.scales(people(MANY))))


def test_a_file_that_cannot_be_written_is_logged(db: Path, caplog: pytest.LogCaptureFixture) -> None:
    db.with_name("people.db-index").mkdir()  # not a read-only folder, since root writes to those
    remembered(db)
    assert "can't be written" in caplog.text
    assert [entry.name for entry in db.parent.iterdir()] == ["people.db-index"]


@given(st.integers(0, DIMENSION - 1), st.integers(0, 31))
def test_every_bit_of_an_embedding_counts(place: int, bit: int) -> None:
    from facewire.server.gallery.search.index_file import _hashes

    embeddings = people(2)
    embeddings[1] = embeddings[0]
    embeddings.view(np.uint32)[1, place] ^= np.uint32(1 << bit)
    one, other = _hashes(embeddings)
    assert one != other


def test_an_embedding_is_not_its_negative() -> None:
    """Whose bits differ in the uppermost of every number."""
    from facewire.server.gallery.search.index_file import _hashes

    for dimension in (1, 2, 3, 128):
        one, other = _hashes(np.concatenate([np.ones((1, dimension)), -np.ones((1, dimension))]).astype(np.float32))
        assert one != other


class TestInAGallery:
    @pytest.fixture
    def cohort(self, tmp_path: Path) -> Path:
        return cohort_file(tmp_path / "cohort.npz", DIMENSION)

    def test_the_next_start_has_the_same_scales_and_erasing_removes_the_file(self, db: Path, cohort: Path) -> None:
        file = db.with_name("people.db-index")
        with SqliteGallery.create(db, spec(DIMENSION), cohort=cohort) as gallery:
            for number, embedding in enumerate(people(MANY)):
                gallery.enrol(f"person {number % 40}", [picture(f"{number}.jpg", embedding)])
            measured = gallery.templates().scales
        assert not file.exists()
        with SqliteGallery.open(db, cohort=cohort) as gallery:
            np.testing.assert_allclose(gallery.templates().scales, measured, atol=1e-6)
        assert file.exists()
        with SqliteGallery.open(db, cohort=cohort) as gallery:
            np.testing.assert_allclose(gallery.templates().scales, measured, atol=1e-6)
            gallery.erase("person 7")
            assert not file.exists()

    def test_a_new_database_does_not_inherit_the_file(self, db: Path, cohort: Path) -> None:
        remembered(db)
        SqliteGallery.create(db, spec(DIMENSION), cohort=cohort).close()
        assert not db.with_name("people.db-index").exists()
