"""Packed codes: the products are those of integers, in blocks or not, on any processor, from any thread."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from facewire.server.gallery.search.directions import LIMIT, WIDTH
from facewire.server.gallery.search.packed import BLOCK, Packed


def codes(count: int, seed: int = 0) -> NDArray[np.int8]:
    return np.random.default_rng(seed).integers(-LIMIT, LIMIT + 1, (count, WIDTH), np.int8)


def slow(rows: NDArray[np.int8], probes: NDArray[np.int8]) -> NDArray[np.int64]:
    return probes.astype(np.int64) @ rows.T.astype(np.int64)


@pytest.mark.parametrize("probes", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 100, BLOCK, BLOCK + 1, 3 * BLOCK - 1])
def test_products_of_any_number_of_rows(count: int, probes: int) -> None:
    rows, asked = codes(count), codes(probes, 1)
    assert np.array_equal(Packed().covering(rows).dots(rows, asked), slow(rows, asked))


def test_extremes() -> None:
    rows = np.full((BLOCK + 3, WIDTH), -LIMIT, np.int8)
    assert (Packed().covering(rows).dots(rows, rows[:1]) == WIDTH * LIMIT**2).all()


def test_blocks_are_kept_while_rows_are_added() -> None:
    """Older ones still answer for the rows that they know."""
    rows, asked = codes(4 * BLOCK), codes(1, 1)
    kept = []
    packed = Packed()
    for count in (10, BLOCK + 7, BLOCK + 9, 3 * BLOCK, 4 * BLOCK):
        packed = packed.covering(rows[:count])
        kept.append((packed, count))
    for older, count in kept:
        assert np.array_equal(older.dots(rows[:count], asked), slow(rows[:count], asked))


def test_many_threads() -> None:
    rows, right = codes(3 * BLOCK), []
    packed = Packed().covering(rows)

    def ask(seed: int) -> None:
        asked = codes(1, seed)
        right.append(np.array_equal(packed.dots(rows, asked), slow(rows, asked)))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * 8


@pytest.mark.parametrize("kept", [("serial",), ("serial", "haswell")])
def test_processors_that_have_less_compute_the_same(kept: tuple[str, ...]) -> None:
    """In a process of its own, because NumKong's choice is the process's."""
    program = f"""
import numkong
for name, there in numkong.get_capabilities().items():
    if there and name not in {kept!r}:
        numkong.disable_capability(name)
from tests.unit.test_packed import test_extremes, test_products_of_any_number_of_rows
test_extremes()
for count in (1, 100, {BLOCK}, {BLOCK + 1}):
    for probes in (1, 5):
        test_products_of_any_number_of_rows(count, probes)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
