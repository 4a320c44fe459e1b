"""Rows: loading without a copy, growing under readers, branching."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.server.gallery.search.rows import SPARE_ROWS, Chunk, Rows
from tests.support.galleries import random_units, without_image

VECTORS = random_units(np.random.default_rng(1), 2000, 4)


def chunk(first: int, count: int) -> Chunk:
    ids = list(range(first, first + count))
    return Chunk(VECTORS[first : first + count], ids, [number + 1000 for number in ids], [number % 5 for number in ids])


def test_chunks_are_loaded_in_order() -> None:
    rows = Rows.load(30, 4, [chunk(0, 10), chunk(10, 20)])
    assert len(rows) == 30
    assert np.array_equal(rows.embeddings, VECTORS[:30])
    assert rows.template_ids.tolist() == list(range(30))
    assert rows.image_ids.tolist() == list(range(1000, 1030))
    assert rows.person_ids.tolist() == [number % 5 for number in range(30)]
    assert rows.embeddings.flags.c_contiguous


def test_growing_shares_memory_while_there_is_room() -> None:
    one = Rows.load(10, 4, [chunk(0, 10)])
    two = one.appended(chunk(10, 1))
    assert np.shares_memory(one.embeddings, two.embeddings)
    assert (len(one), len(two)) == (10, 11)


def test_growing_past_the_room_moves_everything() -> None:
    one = Rows.load(10, 4, [chunk(0, 10)])
    two = one.appended(chunk(10, SPARE_ROWS + 10))
    assert not np.shares_memory(one.embeddings, two.embeddings)
    assert np.array_equal(two.embeddings, VECTORS[: SPARE_ROWS + 20])
    assert two.template_ids.tolist() == list(range(SPARE_ROWS + 20))
    assert np.shares_memory(two.embeddings, two.appended(chunk(900, 1)).embeddings)


def test_two_branches_do_not_write_over_each_other() -> None:
    root = Rows.load(3, 4, [chunk(0, 3)])
    left, right = root.appended(chunk(3, 2)), root.appended(chunk(100, 2))
    assert left.template_ids.tolist() == [0, 1, 2, 3, 4]
    assert right.template_ids.tolist() == [0, 1, 2, 100, 101]
    assert np.array_equal(left.embeddings, VECTORS[:5])


def test_a_picture_goes_with_all_its_rows() -> None:
    group = Chunk(VECTORS[5:7], [5, 6], [1001, 1001], [0, 1])
    rows = without_image(Rows.load(5, 4, [chunk(0, 3), group]), 1001)
    assert rows.template_ids.tolist() == [0, 2]
    assert np.array_equal(rows.embeddings, VECTORS[[0, 2]])


def test_nobody_writes_through_a_view() -> None:
    rows = Rows.load(3, 4, [chunk(0, 3)])
    for view in (rows.embeddings, rows.person_ids, rows.image_ids, rows.template_ids):
        with pytest.raises(ValueError, match="read-only"):
            view[0] = 0
