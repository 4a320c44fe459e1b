"""The pool: bounded, in order, and it ends."""

from __future__ import annotations

import threading
import time

from server.tcp.workers import Workers

PATIENCE_S = 20.0


def unexpected() -> None:
    raise AssertionError("this job should have run")


def started(threads: int, queue: int) -> Workers:
    workers = Workers(threads, queue)
    workers.start()
    return workers


def ended(workers: Workers) -> bool:
    workers.stop()
    return workers.join(time.monotonic() + PATIENCE_S)


def test_jobs_of_one_thread_run_in_order() -> None:
    workers = started(1, 10)
    done: list[int] = []
    last = threading.Event()
    for number in range(5):
        assert workers.submit(lambda number=number: done.append(number), unexpected)
    assert workers.submit(last.set, unexpected)
    assert last.wait(PATIENCE_S)
    assert done == [0, 1, 2, 3, 4]
    assert ended(workers)


def test_a_full_queue_says_so_at_once_and_stop_refuses_what_waits() -> None:
    workers = started(1, 2)
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert release.wait(PATIENCE_S)

    refused: list[str] = []
    assert workers.submit(hold, unexpected)
    assert begun.wait(PATIENCE_S)
    assert workers.submit(unexpected, lambda: refused.append("first"))
    assert workers.submit(unexpected, lambda: refused.append("second"))
    assert not workers.submit(unexpected, unexpected)
    workers.stop()
    assert refused == ["first", "second"]
    assert not workers.submit(unexpected, unexpected)
    assert not workers.join(time.monotonic())
    release.set()
    assert ended(workers)


def test_as_many_run_at_once_as_there_are_threads() -> None:
    workers = started(3, 3)
    together = threading.Barrier(4)
    for _ in range(3):
        assert workers.submit(lambda: together.wait(PATIENCE_S) and None, unexpected)
    together.wait(PATIENCE_S)
    assert ended(workers)
