"""What wrong tokens cost, whom, and for how long."""

from __future__ import annotations

import logging

import pytest

from facewire.server.access.tokens import master
from facewire.server.tcp.tokens import TokenGuard, network_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def guard(clock: Clock) -> TokenGuard:
    right = master("sésame")
    return TokenGuard(lambda digest: right if digest == right.digest else None, clock)


def guess(guard: TokenGuard, times: int, address: str = "192.0.2.1") -> None:
    for _ in range(times):
        assert guard.admit("simsalabim", address) is None


def test_a_few_mistakes_cost_nothing_and_then_each_costs_more(guard: TokenGuard, clock: Clock) -> None:
    guess(guard, 3)
    assert guard.closed_for("192.0.2.1") == 0
    costs = []
    for _ in range(8):
        guess(guard, 1)
        costs.append(guard.closed_for("192.0.2.1"))
        clock.now += costs[-1]
        assert guard.closed_for("192.0.2.1") == 0
    assert costs == [1, 2, 4, 8, 8, 8, 8, 8]


def test_another_address_is_heard(guard: TokenGuard) -> None:
    guess(guard, 10)
    assert guard.closed_for("192.0.2.2") == 0
    assert guard.admit("sésame", "192.0.2.2")


def test_the_right_token_and_time_are_forgiving(guard: TokenGuard, clock: Clock) -> None:
    guess(guard, 5)
    clock.now += guard.closed_for("192.0.2.1")
    assert guard.admit("sésame", "192.0.2.1")
    guess(guard, 3)
    assert guard.closed_for("192.0.2.1") == 0
    clock.now += 601
    guess(guard, 3)
    assert guard.closed_for("192.0.2.1") == 0


def test_addresses_that_one_sender_can_choose_from_are_one(guard: TokenGuard) -> None:
    for number in range(5):
        guess(guard, 1, f"2001:db8::{number:x}")
    assert guard.closed_for("2001:db8::ffff") > 0
    assert guard.closed_for("2001:db8:0:1::1") == 0
    guess(guard, 5, "::ffff:192.0.2.7")
    assert guard.closed_for("192.0.2.7") > 0
    assert network_of("fe80::1%eth0") == network_of("fe80::2")
    assert network_of("") == ""


def test_what_is_remembered_is_bounded(guard: TokenGuard) -> None:
    guess(guard, 5, "192.0.2.1")
    for number in range(4096):
        guess(guard, 1, f"10.0.{number // 256}.{number % 256}")
    assert guard.closed_for("192.0.2.1") == 0


def test_each_is_logged_with_address_and_count(guard: TokenGuard, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "facewire.tcp"):
        guess(guard, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "a wrong token from 192.0.2.1 (1 in a row)",
        "a wrong token from 192.0.2.1 (2 in a row)",
    ]
    assert "simsalabim" not in caplog.text
