"""The pool: bounded in number, bytes and time, fair, and it ends."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from facewire.server.tcp.workers import Job, Workers
from tests.support.waiting import eventually

PATIENCE_S = 20.0


class Ends:
    """What became of jobs, in the order in which it did."""

    def __init__(self) -> None:
        self.run: list[str] = []
        self.refused: dict[str, int] = {}
        self.expired: list[str] = []
        self.any = threading.Semaphore(0)

    def job(
        self,
        name: str,
        owner: object = "one",
        *,
        kind: str = "identify",
        size: int = 1,
        seconds: float = 1000.0,
        work: Callable[[], object] = lambda: None,
    ) -> Job:
        def run() -> None:
            self.run.append(name)
            work()
            self.any.release()

        def refuse(after_ms: int) -> None:
            self.refused[name] = after_ms
            self.any.release()

        def expire() -> None:
            self.expired.append(name)
            self.any.release()

        return Job(owner, kind, size, time.monotonic() + seconds, run, refuse, expire)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.any.acquire(timeout=PATIENCE_S)


def started(threads: int, queue: int, *, most_bytes: int = 1000, max_wait_s: float = 1000.0) -> Workers:
    workers = Workers(threads, queue, most_bytes=most_bytes, max_wait_s=max_wait_s)
    workers.start()
    return workers


def ended(workers: Workers) -> bool:
    workers.stop()
    return workers.join(time.monotonic() + PATIENCE_S)


@contextmanager
def held(queue: int, **limits: Any) -> Iterator[tuple[Workers, Ends, threading.Event]]:
    """A pool of one thread, which works on a job until it is let go."""
    workers, ends = started(1, queue, **limits), Ends()
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert release.wait(PATIENCE_S)

    workers.submit(ends.job("hold", owner="holder", kind="hold", work=hold))
    assert begun.wait(PATIENCE_S)
    try:
        yield workers, ends, release
    finally:
        release.set()
        assert ended(workers)


def test_jobs_of_one_owner_run_in_order() -> None:
    workers, ends = started(1, 10), Ends()
    for number in range(5):
        workers.submit(ends.job(str(number)))
    ends.wait_for(5)
    assert ends.run == ["0", "1", "2", "3", "4"]
    assert ended(workers)


def test_a_full_queue_says_so_at_once_and_stop_refuses_what_waits() -> None:
    with held(2) as (workers, ends, _):
        for name in ("first", "second", "third"):
            workers.submit(ends.job(name))
        assert list(ends.refused) == ["third"]
        assert ends.refused["third"] > 0
        workers.stop()
        workers.submit(ends.job("late"))
        assert {name: ends.refused[name] for name in ("first", "second", "late")} == dict.fromkeys(
            ("first", "second", "late"), 0
        )
        assert not workers.join(time.monotonic())
    assert ends.run == ["hold"]


def test_owners_take_turns() -> None:
    with held(10) as (workers, ends, release):
        for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
            workers.submit(ends.job(name, owner=name[0]))
        release.set()
        ends.wait_for(7)
        assert ends.run == ["hold", "a1", "b1", "c1", "a2", "b2", "a3"]


def test_who_fills_the_queue_makes_room_for_who_has_little_in_it() -> None:
    with held(4) as (workers, ends, release):
        for name in ("a1", "a2", "a3", "a4", "b1", "c1", "a5"):
            workers.submit(ends.job(name, owner=name[0]))
        assert list(ends.refused) == ["a4", "a3", "a5"]
        release.set()
        ends.wait_for(5)
        assert ends.run == ["hold", "a1", "b1", "c1", "a2"]


def test_the_bytes_that_wait_are_bounded() -> None:
    with held(10, most_bytes=100) as (workers, ends, release):
        for name, size in (("a", 60), ("b", 50), ("c", 40)):
            workers.submit(ends.job(name, owner=name, size=size))
        assert list(ends.refused) == ["b"]
        release.set()
        ends.wait_for(4)
        workers.submit(ends.job("alone", size=1000))  # larger than all that may wait, but nothing else does
        ends.wait_for(1)
        assert ends.run[-1] == "alone"


def test_what_has_waited_too_long_is_told_so_though_no_worker_is_free() -> None:
    with held(10) as (workers, ends, _):
        workers.submit(ends.job("late", seconds=0.05))
        workers.submit(ends.job("later", seconds=0.1))
        ends.wait_for(2)
        assert ends.expired == ["late", "later"]
        assert ends.run == ["hold"]


def test_who_was_let_in_by_a_forecast_that_was_wrong_is_sent_away_before_long() -> None:
    with held(10, max_wait_s=0.1) as (workers, ends, _):
        workers.submit(ends.job("hopeful", owner="a"))
        workers.submit(ends.job("patient", owner="b"))
        ends.wait_for(1)
        assert ends.refused["hopeful"] > 0
        assert (ends.expired, ends.run) == ([], ["hold"])


def test_who_would_wait_too_long_is_told_at_once() -> None:
    with held(1000, max_wait_s=0.2) as (workers, ends, release):
        for number in range(100):  # each is taken to cost 30 ms, until one has been seen
            workers.submit(ends.job(str(number), owner=number))
        kept = 100 - len(ends.refused)
        assert 1 <= kept <= 7
        assert min(map(int, ends.refused)) == kept  # the first come are served
        release.set()


def test_a_client_with_many_requests_makes_nobody_else_wait() -> None:
    with held(1000, max_wait_s=0.2) as (workers, ends, release):
        for number in range(50):
            workers.submit(ends.job(str(number), owner="greedy"))
        workers.submit(ends.job("modest", owner="modest"))
        assert "modest" not in ends.refused
        release.set()


def test_as_many_run_at_once_as_there_are_threads() -> None:
    workers, ends = started(3, 3), Ends()
    together = threading.Barrier(4)
    for number in range(3):
        workers.submit(ends.job(str(number), work=lambda: together.wait(PATIENCE_S)))
    together.wait(PATIENCE_S)
    assert ended(workers)


def test_who_only_waits_for_itself_is_not_sent_away() -> None:
    with held(100, max_wait_s=0.05) as (workers, ends, release):
        for number in range(8):
            workers.submit(ends.job(str(number)))
        assert not ends.any.acquire(timeout=0.3)  # several times as long as anybody waits for others
        release.set()
        ends.wait_for(9)
        assert ends.run == ["hold", *map(str, range(8))]


def test_who_asks_again_when_told_to_goes_before_those_who_come_for_the_first_time() -> None:
    with held(1000, max_wait_s=0.2) as (workers, ends, release):
        number = itertools.count()
        while not ends.refused:
            name = str(next(number))
            workers.submit(ends.job(name, owner=name))
        ((away, after_ms),) = ends.refused.items()
        time.sleep(after_ms / 1000)  # as told
        workers.submit(ends.job("new", owner="new"))
        workers.submit(ends.job("again", owner=away))
        assert "new" in ends.refused
        assert "again" not in ends.refused
        release.set()


class Picture:
    """What a job works on."""


def worked_on(workers: Workers, *, seconds: float) -> weakref.ref[Picture]:
    """Submits a job that holds a picture, and waits for its end."""
    picture, ended = Picture(), threading.Event()

    def end(*_: object, held: Picture = picture) -> None:
        ended.set()

    workers.submit(Job("one", "identify", 1, time.monotonic() + seconds, end, end, end))
    assert ended.wait(PATIENCE_S)
    return weakref.ref(picture)


def test_an_idle_worker_holds_nothing_of_its_last_job() -> None:
    workers = started(1, 8)
    of_a_job = worked_on(workers, seconds=1000)
    assert eventually(lambda: of_a_job() is None, PATIENCE_S)
    workers.stop()
    assert workers.join(time.monotonic() + PATIENCE_S)


def test_nor_does_the_timekeeper_of_what_came_too_late() -> None:
    with held(1, max_wait_s=1000.0) as (workers, _, release):
        too_late = worked_on(workers, seconds=0.05)
        assert eventually(lambda: too_late() is None, PATIENCE_S)
        release.set()
