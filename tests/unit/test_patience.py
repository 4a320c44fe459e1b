"""How long a request may wait, step by step, and what its connection hears meanwhile."""

from __future__ import annotations

import time

import pytest

from facewire.protocol.codec import decode_answer
from facewire.protocol.messages import Progress
from facewire.server.asker import Part
from facewire.server.tcp import patience
from facewire.server.tcp.patience import Patience


class Told:
    def __init__(self) -> None:
        self.news: list[tuple[int, int, int]] = []

    def __call__(self, payload: bytes) -> None:
        progress = decode_answer(payload)
        assert isinstance(progress, Progress)
        self.news.append((progress.id, progress.done, progress.total))


def one(told: Told, seconds: float, *, step_s: float = 100.0, gone: bool = False) -> Patience:
    return Patience(7, time.monotonic() + seconds, step_s, lambda: gone, told)


def test_it_ends_with_the_deadline_and_with_the_connection() -> None:
    assert not one(Told(), 100)()
    assert one(Told(), -1)()
    assert one(Told(), 100, gone=True)()
    assert one(Told(), 100, gone=True).left() == 0


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
    monkeypatch.setattr(patience, "NEWS_S", 0.0)
    told = Told()
    long = one(told, 100)
    long.progress(8, 16)
    Part(long).progress(3, 4)  # a step of a step is no news of the whole
    long.close()
    long.progress(9, 16)
    assert told.news == [(7, 8, 16)]
