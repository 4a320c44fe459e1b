"""What a wait is expected to be, and when those come back who can't be served."""

from __future__ import annotations

import pytest

from facewire.server.tcp.forecast import Forecast


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def seen(forecast: Forecast, clock: Clock, kind: str, seconds: float) -> None:
    """One ran alone, for so long."""
    forecast.began("seen", kind)
    clock.now += seconds
    forecast.ended("seen")


def test_work_that_shares_the_cores_costs_its_share() -> None:
    clock = Clock()
    forecast = Forecast(2, clock)
    for number in range(100):  # always eight; one is done every 0.1 s
        forecast.began(number, "identify")
        if number >= 7:
            clock.now += 0.1
            forecast.ended(number - 7)
    half_done = 7 * 0.1 / 2
    assert forecast.wait_s(["identify"] * 10) == pytest.approx(10 * 0.1 + half_done, rel=0.2)


def test_one_alone_leaves_the_other_core_to_others() -> None:
    clock = Clock()
    forecast = Forecast(2, clock)
    seen(forecast, clock, "identify", 0.1)
    assert forecast.wait_s(["identify"] * 10) == pytest.approx(0.5)


def test_one_slow_request_does_not_send_everybody_away_for_long() -> None:
    clock = Clock()
    forecast = Forecast(1, clock)
    for seconds in (0.05, 0.05, 8.0):
        seen(forecast, clock, "identify", seconds)
    assert forecast.wait_s(["identify"] * 10) < 1.0
    for _ in range(12):  # but where all are slow, it is soon known
        seen(forecast, clock, "identify", 8.0)
    assert forecast.wait_s(["identify"]) > 6.0


def test_every_kind_has_a_cost_of_its_own() -> None:
    clock = Clock()
    forecast = Forecast(1, clock)
    seen(forecast, clock, "identify", 1.0)
    seen(forecast, clock, "people", 0.001)
    assert forecast.wait_s(["people"] * 10) == pytest.approx(0.01)
    assert forecast.wait_s(["identify", "people"]) == pytest.approx(1.001)


def test_what_runs_longer_than_anything_before_it_counts_as_it_runs() -> None:
    clock = Clock()
    forecast = Forecast(1, clock)
    seen(forecast, clock, "identify", 0.1)
    forecast.began("slow", "identify")
    clock.now += 7
    assert forecast.wait_s(["identify"]) >= 7


def test_those_sent_away_come_back_one_after_the_other() -> None:
    clock = Clock()
    forecast = Forecast(1, clock)
    seen(forecast, clock, "identify", 0.5)
    told = [forecast.next_turn_s(owner, "identify", 2.0) for owner in range(3)]
    assert told == pytest.approx([2.5, 3.0, 3.5])


def test_who_asks_again_without_waiting_sends_nobody_away_for_longer() -> None:
    clock = Clock()
    forecast = Forecast(1, clock)
    seen(forecast, clock, "identify", 0.5)
    assert [forecast.next_turn_s("hasty", "identify", 1.0) for _ in range(1000)][-1] == pytest.approx(1.5)
    assert forecast.next_turn_s("other", "identify", 1.0) == pytest.approx(2.0)


def test_nobody_is_sent_away_for_ever() -> None:
    forecast = Forecast(1, clock := Clock())
    seen(forecast, clock, "identify", 5.0)
    assert max(forecast.next_turn_s(owner, "identify", 1.0) for owner in range(100)) == pytest.approx(30.0)


def test_a_promise_is_due_from_its_time_on_and_not_for_ever() -> None:
    clock = Clock()
    forecast = Forecast(1, clock)
    seen(forecast, clock, "identify", 0.5)
    told = forecast.next_turn_s("away", "identify", 1.0)
    assert not forecast.is_due("away")
    clock.now += told
    assert forecast.is_due("away")
    assert not forecast.is_due("never sent away")
    clock.now += 60
    assert not forecast.is_due("away")


def test_only_those_still_to_come_make_others_stay_away() -> None:
    clock = Clock()
    forecast = Forecast(1, clock)
    seen(forecast, clock, "identify", 0.5)
    for owner in range(10):
        forecast.next_turn_s(owner, "identify", 1.0)
    forecast.forget(0)
    assert forecast.next_turn_s("next", "identify", 1.0) == pytest.approx(1.0 + 9 * 0.5 + 0.5)
    clock.now += 60
    assert forecast.next_turn_s("last", "identify", 1.0) == pytest.approx(1.5)


def test_who_comes_back_in_vain_is_promised_another_time() -> None:
    clock = Clock()
    forecast = Forecast(1, clock)
    seen(forecast, clock, "identify", 0.5)
    clock.now += forecast.next_turn_s("unlucky", "identify", 1.0)
    assert forecast.next_turn_s("unlucky", "identify", 2.0) == pytest.approx(2.5)
