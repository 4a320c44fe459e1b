"""The batcher: what runs together, what is refused, what is dropped, and that every outcome finds its way home."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from facewire.server.asker import Asker
from facewire.server.errors import Busy, TimedOut
from facewire.server.vision.batching import Batcher
from tests.support.waiting import PATIENCE_S, eventually


class Gate:
    """Doubles numbers, holding each batch until it is let through."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self.let = threading.Semaphore(0)

    def __call__(self, items: list[int]) -> list[int]:
        self.batches.append(items)
        self.entered.release()
        assert self.let.acquire(timeout=PATIENCE_S)
        return [2 * item for item in items]


class FakeAsker(Asker):
    """Waits as long as it is told to; writes down what it is told."""

    def __init__(self, seconds: float = 100.0) -> None:
        self.seconds = seconds
        self.steps = 0
        self.news: list[tuple[int, int]] = []

    def left(self) -> float:
        return self.seconds

    def proceeds(self) -> None:
        self.steps += 1

    def progress(self, done: int, total: int) -> None:
        self.news.append((done, total))


def started(
    batcher: Batcher[int, int], items: list[int], pool: ThreadPoolExecutor, waiting: int, asker: Asker | None = None
) -> Future[list[int]]:
    """Submits and returns once the batcher holds `waiting` items."""
    future = pool.submit(batcher.run, items, asker or Asker())
    until = time.monotonic() + PATIENCE_S
    while batcher.waiting != waiting and time.monotonic() < until:
        time.sleep(0.001)
    assert batcher.waiting == waiting
    return future


def batcher_threads() -> set[int | None]:
    """Those of all batchers: other tests' analysers have theirs."""
    return {thread.ident for thread in threading.enumerate() if thread.name == "batcher"}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as threads:
        yield threads


def make(gate: Gate, **settings: int) -> Batcher[int, int]:
    return Batcher(gate, **{"largest": 4, "capacity": 8, **settings}, clock=time.monotonic)


def test_a_lone_item_does_not_wait_for_company(pool: ThreadPoolExecutor) -> None:
    batcher: Batcher[int, int] = Batcher(
        lambda items: [2 * item for item in items], largest=8, capacity=8, clock=time.monotonic
    )
    assert pool.submit(batcher.run, [21]).result(timeout=PATIENCE_S) == [42]
    batcher.close()


def test_what_gathers_while_a_batch_runs_shares_the_next(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    batcher = make(gate)
    first = started(batcher, [1], pool, waiting=0)
    assert gate.entered.acquire(timeout=PATIENCE_S)
    others = [started(batcher, [10 * n], pool, waiting=n) for n in (1, 2, 3)]
    for _ in range(2):
        gate.let.release()
    assert first.result(10) == [2]
    assert [future.result(10) for future in others] == [[20], [40], [60]]
    assert gate.batches == [[1], [10, 20, 30]]
    batcher.close()


def test_a_picture_with_more_faces_than_a_batch_is_split_and_put_together_again(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    batcher = make(gate)
    faces = list(range(11))
    future = pool.submit(batcher.run, faces)
    for _ in range(3):
        gate.let.release()
    assert future.result(10) == [2 * face for face in faces]
    assert [len(batch) for batch in gate.batches] == [4, 4, 3]
    batcher.close()


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    batcher = make(gate, capacity=2)
    first = started(batcher, [1], pool, waiting=0)
    assert gate.entered.acquire(timeout=PATIENCE_S)
    second = started(batcher, [2, 3], pool, waiting=2)
    with pytest.raises(Busy) as refusal:
        batcher.run([4, 5])  # behind both of them
    assert refusal.value.retry_after_ms > 0
    for _ in range(2):
        gate.let.release()
    assert first.result(10) == [2]
    assert second.result(10) == [4, 6]
    batcher.close()


def test_abandoned_work_is_never_computed(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    batcher = make(gate)
    first = started(batcher, [1], pool, waiting=0)
    assert gate.entered.acquire(timeout=PATIENCE_S)
    asker = FakeAsker()
    gone = started(batcher, [99], pool, waiting=1, asker=asker)
    kept = started(batcher, [2], pool, waiting=2)
    asker.seconds = 0.0
    for _ in range(2):
        gate.let.release()
    with pytest.raises(TimedOut):
        gone.result(10)
    assert kept.result(10) == [4]
    assert first.result(10) == [2]
    assert [99] not in gate.batches
    batcher.close()


def test_an_error_reaches_those_it_concerns_and_nobody_else(pool: ThreadPoolExecutor) -> None:
    def compute(items: list[int]) -> list[int]:
        if 13 in items:
            raise ArithmeticError("thirteen")
        return items

    batcher = Batcher(compute, largest=2, capacity=100, clock=time.monotonic)
    with pytest.raises(ArithmeticError):
        batcher.run([13, 1, 2, 3, 4])
    assert batcher.run([5]) == [5]
    batcher.close()


def test_closing_refuses_what_waits_finishes_what_runs_and_ends_the_thread(pool: ThreadPoolExecutor) -> None:
    before = batcher_threads()
    gate = Gate()
    batcher = make(gate)
    assert len(batcher_threads() - before) == 1
    running = started(batcher, [1], pool, waiting=0)
    assert gate.entered.acquire(timeout=PATIENCE_S)
    waiting = started(batcher, [2], pool, waiting=1)
    closing = pool.submit(batcher.close)
    while batcher.running:
        time.sleep(0.001)
    gate.let.release()
    assert running.result(10) == [2]
    with pytest.raises(Busy):
        waiting.result(10)
    closing.result(10)
    with pytest.raises(Busy):
        batcher.run([3])
    assert batcher_threads() == before


def test_many_threads_each_get_their_own_answers(pool: ThreadPoolExecutor) -> None:
    batcher: Batcher[int, int] = Batcher(
        lambda items: [item * item for item in items], largest=8, capacity=10_000, clock=time.monotonic
    )
    lists = [list(range(n, n + n % 13)) for n in range(300)]
    assert list(pool.map(batcher.run, lists)) == [[item * item for item in items] for items in lists]
    batcher.close()


def test_a_crowd_holds_nobody_up(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    batcher = make(gate)
    asker = FakeAsker()
    crowd = started(batcher, list(range(100, 112)), pool, waiting=8, asker=asker)
    assert gate.entered.acquire(timeout=PATIENCE_S)
    small = started(batcher, [1], pool, waiting=9)
    second = started(batcher, [2, 3], pool, waiting=11)
    for _ in range(4):
        gate.let.release()
    assert small.result(10) == [2]
    assert second.result(10) == [4, 6]
    assert crowd.result(10) == [2 * face for face in range(100, 112)]
    assert set(gate.batches[1]) >= {1, 2}
    assert 3 in gate.batches[2]
    assert asker.news[0] == (4, 12)
    assert asker.news == sorted(asker.news)
    batcher.close()


def test_who_waits_longer_than_it_may_is_told_so_while_the_network_still_runs(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    batcher = make(gate)
    first = started(batcher, [1], pool, waiting=0)
    assert gate.entered.acquire(timeout=PATIENCE_S)
    late = pool.submit(batcher.run, [2], FakeAsker(0.0))
    with pytest.raises(TimedOut):
        late.result(10)
    assert batcher.waiting == 0
    gate.let.release()
    assert first.result(10) == [2]
    assert gate.batches == [[1]]
    batcher.close()


def test_a_network_that_hangs_keeps_no_thread(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    batcher = make(gate)
    stuck = pool.submit(batcher.run, [1], asker := FakeAsker(0.05))
    assert gate.entered.acquire(timeout=PATIENCE_S)
    assert asker.steps == 1
    asker.seconds = 0.0
    with pytest.raises(TimedOut):
        stuck.result(10)
    gate.let.release()
    other = started(batcher, [2], pool, waiting=0)
    gate.let.release()
    assert other.result(10) == [4]
    batcher.close()


def test_who_can_not_be_served_in_time_is_told_at_once_and_for_how_long(pool: ThreadPoolExecutor) -> None:
    gate = Gate()
    batcher = make(gate, capacity=1000)
    first = started(batcher, [1], pool, waiting=0)
    assert gate.entered.acquire(timeout=PATIENCE_S)
    crowd = started(batcher, list(range(100)), pool, waiting=100)
    with pytest.raises(Busy) as refusal:
        batcher.run(list(range(100)), FakeAsker(1.0))  # 100 faces at 20 ms take 2 s
    assert refusal.value.retry_after_ms == 2000
    small = started(batcher, [7], pool, waiting=101, asker=FakeAsker(1.0))
    for _ in range(30):
        gate.let.release()
    assert small.result(10) == [14]
    assert (len(first.result(10)), len(crowd.result(10))) == (1, 100)
    batcher.close()


class Held(FakeAsker):
    """Stands for a request, which holds its picture."""


def test_nothing_of_a_batch_is_held_once_it_is_done() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: items, largest=8, clock=time.monotonic)
    asker = Held()
    assert batcher.run([1], asker) == [1]
    request = weakref.ref(asker)
    del asker
    assert eventually(lambda: request() is None)
    batcher.close()
