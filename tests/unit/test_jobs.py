"""Jobs: which requests share one, and which get a new one."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterator

import pytest

from facewire.protocol.messages import Ping, Pong, Progress, Request, Result
from facewire.server.jobs import Job, Jobs
from facewire.server.reply import Reply
from tests.support.waiting import eventually

PATIENCE_S = 10.0


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    jobs = Jobs("jobs-test")
    jobs.start()
    yield jobs
    assert jobs.close(PATIENCE_S)


@pytest.mark.parametrize("joinable", [True, False])
def test_a_request_joins_a_running_job_until_its_last_check(jobs: Jobs, joinable: bool) -> None:
    begun: queue.Queue[str] = queue.Queue()
    go_on = threading.Event()

    def first(job: Job) -> None:
        job.joinable = joinable
        begun.put("first")
        go_on.wait(PATIENCE_S)

    jobs.submit("album", first)
    assert begun.get(timeout=PATIENCE_S) == "first"
    jobs.submit("album", lambda _: begun.put("second"))
    jobs.submit("another album", lambda _: begun.put("another"))
    go_on.set()
    after = [begun.get(timeout=PATIENCE_S)]
    if not joinable:
        after.append(begun.get(timeout=PATIENCE_S))
    assert after == (["another"] if joinable else ["second", "another"])


class Film:
    """What a job works on."""


class Follower:
    """The connection of somebody who waits for a job."""

    def __init__(self) -> None:
        self.told, self.answered = threading.Event(), threading.Event()

    def gone(self) -> bool:
        return False

    def send_progress(self, progress: Progress) -> None:
        self.told.set()

    def send_answer(self, reply: Reply, outcome: Result | Exception | None) -> None:
        self.answered.set()


def test_nothing_of_a_job_is_held_once_it_is_done(jobs: Jobs) -> None:
    """Neither by what worked on it, nor by what reported its progress."""
    film, follower = Film(), Follower()
    held = weakref.ref(film)

    def work(job: Job, *, of: Film = film) -> Result:
        assert follower.told.wait(PATIENCE_S)
        return Pong(server="")

    jobs.submit("film", work, Reply(Request(1, Ping()), follower))
    del work, film
    assert follower.answered.wait(PATIENCE_S)
    assert eventually(lambda: held() is None, PATIENCE_S)
