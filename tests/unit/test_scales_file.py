"""The scales' file is a shortcut: what a gallery answers is the same with it, without it and with a broken one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.server.gallery.search.cohort import Cohort
from facewire.server.gallery.search.rows import Chunk, Rows
from facewire.server.gallery.search.scales_file import FRESH_ROWS, ScalesFile
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
    return Rows.load(len(ids), DIMENSION, [Chunk(embeddings, ids, ids, ids)], lambda _: scales)


def remembered(db: Path, cohort: Cohort = COHORT, count: int = MANY) -> NDArray[np.float32]:
    """A file of scales that nobody would measure, so that whoever has them has read it."""
    scales = np.linspace(0.3, 0.7, count).astype(np.float32)
    file = ScalesFile(db, cohort)
    file.measure(people(count))
    file.keep(rows(people(count), scales))
    return scales


def assert_measured(found: NDArray[np.float32], embeddings: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(found, COHORT.scales(embeddings), atol=1e-6)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "people.db"


def test_what_was_measured_is_not_measured_again(db: Path) -> None:
    scales = remembered(db)
    assert np.array_equal(ScalesFile(db, COHORT).measure(people(MANY)), scales)


def test_who_came_since_is_measured(db: Path) -> None:
    scales = remembered(db)
    fresh = people(5, first=MANY)
    found = ScalesFile(db, COHORT).measure(np.concatenate([fresh[:2], people(MANY), fresh[2:]]))
    assert np.array_equal(found[2:-3], scales)
    assert_measured(np.concatenate([found[:2], found[-3:]]), fresh)


def test_a_few_who_came_since_do_not_make_it_write(db: Path) -> None:
    remembered(db)
    written = db.with_name("people.db-index").stat().st_mtime_ns
    file = ScalesFile(db, COHORT)
    file.measure(people(MANY + 20))
    file.keep(rows(people(MANY + 20), np.full(MANY + 20, 0.5, np.float32)))
    assert db.with_name("people.db-index").stat().st_mtime_ns == written


def test_another_cohort_says_otherwise(db: Path) -> None:
    remembered(db, OTHER)
    assert_measured(ScalesFile(db, COHORT).measure(people(MANY)), people(MANY))


def test_a_gallery_without_a_cohort_needs_no_file(db: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = ScalesFile(db, None)
    assert (file.measure(people(MANY)) == 1).all()
    file.keep(rows(people(MANY), file.measure(people(MANY))))
    assert list(db.parent.iterdir()) == []
    remembered(db)
    ScalesFile(db, None).remove()
    assert list(db.parent.iterdir()) == []
    assert caplog.text == ""


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def unsorted(file: Path) -> None:
    with np.load(file) as stored:
        kept = dict(stored)
    np.savez(file.with_suffix(".npz"), **(kept | {"keys": kept["keys"][::-1]}))
    file.with_suffix(".npz").replace(file)


def absurd(file: Path) -> None:
    with np.load(file) as stored:
        kept = dict(stored)
    np.savez(file.with_suffix(".npz"), **(kept | {"scales": np.full_like(kept["scales"], np.nan)}))
    file.with_suffix(".npz").replace(file)


def too_few(file: Path) -> None:
    with np.load(file) as stored:
        kept = dict(stored)
    np.savez(file.with_suffix(".npz"), **(kept | {"scales": kept["scales"][:-1]}))
    file.with_suffix(".npz").replace(file)


def of_an_older_version(file: Path) -> None:
    """It held sketches, too."""
    with np.load(file) as stored:
        kept = dict(stored)
    kept["kind"] = kept.pop("cohort")
    np.savez(file.with_suffix(".npz"), **kept)
    file.with_suffix(".npz").replace(file)


def objects(file: Path) -> None:
    with np.load(file) as stored:
        kept = dict(stored)
    np.savez(file.with_suffix(".npz"), **(kept | {"keys": np.array([{}], dtype=object)}))
    file.with_suffix(".npz").replace(file)


@pytest.mark.parametrize("spoil", [cut_off, flipped, emptied, unsorted, absurd, too_few, of_an_older_version, objects])
def test_a_spoilt_file_counts_as_none(
    db: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    remembered(db)
    spoil(db.with_name("people.db-index"))
    file = ScalesFile(db, COHORT)
    assert "is of no use" in caplog.text
    assert_measured(file.measure(people(MANY)), people(MANY))
    file.keep(rows(people(MANY), COHORT.scales(people(MANY))))
    caplog.clear()
    ScalesFile(db, COHORT)
    assert caplog.text == ""


def test_a_file_that_cannot_be_written_is_logged(db: Path, caplog: pytest.LogCaptureFixture) -> None:
    db.with_name("people.db-index").mkdir()  # not a read-only folder, since root writes to those
    remembered(db)
    assert "can't be written" in caplog.text
    assert [entry.name for entry in db.parent.iterdir()] == ["people.db-index"]


@given(st.integers(0, DIMENSION - 1), st.integers(0, 31))
def test_every_bit_of_an_embedding_counts(place: int, bit: int) -> None:
    from facewire.server.gallery.search.scales_file import _hashes

    embeddings = people(2)
    embeddings[1] = embeddings[0]
    embeddings.view(np.uint32)[1, place] ^= np.uint32(1 << bit)
    one, other = _hashes(embeddings)
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
