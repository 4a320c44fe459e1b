"""Memory of pictures that are decoded at a time: who waits for whom."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from facewire.server.errors import Busy
from facewire.server.vision.decoding.memory import Budget


def test_a_small_picture_does_not_wait_behind_a_large_one() -> None:
    budget = Budget(1600)
    first = budget.take(900, 0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(budget.take, 1000, 5)
        while not budget._waiting:
            pass
        budget.take(100, 0).shrink(0)
        with pytest.raises(Busy):
            budget.take(200, 0)
        first.shrink(0)
        assert waiting.result().amount == 1000
