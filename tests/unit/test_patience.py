"""How long a request may wait, step by step, and what its connection hears meanwhile."""

from __future__ import annotations

import time

import pytest

from facewire.protocol.messages import Ping, Pong, Progress, Request, Result
from facewire.server.asker import Part
from facewire.server.reply import Reply
from facewire.server.tcp import patience
from facewire.server.tcp.patience import Patience


class Told:
    def __init__(self, *, lost: bool = False) -> None:
        self.news: list[tuple[int, int, int]] = []
        self.reply = Reply(Request(7, Ping()), self)
        self._lost = lost

    def gone(self) -> bool:
        return self._lost

    def send_progress(self, progress: Progress) -> None:
        self.news.append((progress.id, progress.done, progress.total))

    def send_answer(self, reply: Reply, outcome: Result | Exception | None) -> None:
        return


def one(told: Told, seconds: float, *, step_s: float = 100.0) -> Patience:
    return Patience(told.reply, time.monotonic() + seconds, step_s)


def test_it_ends_with_the_deadline_and_with_the_connection() -> None:
    assert not one(Told(), 100)()
    assert one(Told(), -1)()
    assert one(Told(lost=True), 100)()
    assert one(Told(lost=True), 100).left() == 0


def test_each_step_begins_it_anew_and_never_shortens_it() -> None:
    late = one(Told(), -1)
    late.proceeds()
    assert 0 < late.left() <= 100
    patient = one(Told(), 1000, step_s=1)
    patient.progress(1, 2)
    assert patient.left() > 900


def test_quick_work_has_no_news() -> None:
    told = Told()
    quick = one(told, 100)
    quick.progress(8, 16)
    assert told.news == []


def test_long_work_has_and_after_its_end_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PROGRESS_EVERY_S", 0.0)
    told = Told()
    long = one(told, 100)
    long.progress(8, 16)
    Part(long).progress(3, 4)  # a step of a step is no news of the whole
    told.reply.answer(Pong())
    long.progress(9, 16)
    assert told.news == [(7, 8, 16)]
