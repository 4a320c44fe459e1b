"""What a token may ask in a second, at a time and in a day."""

from __future__ import annotations

import pytest

from facewire.protocol.albums.enrolling import AlbumEnrol
from facewire.protocol.gallery_messages import Enrol
from facewire.protocol.messages import Identify, Ping, Verify
from facewire.server.access.tokens import Limits, Token, master
from facewire.server.access.usage import Cost, Usage, cost_of
from facewire.server.errors import Busy

DAY_S = 86_400
ASKED = Cost(0, 10, 0)


class Clock:
    now = 100.0
    today = 20_000.5 * DAY_S  # noon


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def usage(clock: Clock) -> Usage:
    return Usage(lambda: clock.now, lambda: clock.today)


def token(**limits: int) -> Token:
    return Token("kiosk", "00", limits=Limits(**limits))


def test_requests_a_second(usage: Usage, clock: Clock) -> None:
    slow = token(requests_per_s=4)
    for _ in range(8):
        usage.begin(slow, ASKED)
    with pytest.raises(Busy) as caught:
        usage.begin(slow, ASKED)
    assert caught.value.retry_after_ms == 250
    clock.now += 0.25
    usage.begin(slow, ASKED)
    with pytest.raises(Busy):
        usage.begin(slow, ASKED)
    usage.begin(Token("another", "01", limits=Limits(requests_per_s=4)), ASKED)


def test_pictures_under_way_end_with_their_answers(usage: Usage) -> None:
    few = token(pictures=2)
    ends = [usage.begin(few, Cost(1, 10, 0)) for _ in range(2)]
    with pytest.raises(Busy):
        usage.begin(few, Cost(1, 10, 0))
    usage.begin(few, ASKED)
    ends[0]()
    usage.begin(few, Cost(1, 10, 0))


def test_one_request_of_many_pictures_is_served_alone(usage: Usage) -> None:
    """Else it could never be."""
    end = usage.begin(token(pictures=2), Cost(100, 10, 100))
    end()


@pytest.mark.parametrize(
    ("limit", "cost"), [({"bytes_per_day": 25}, ASKED), ({"enrolments_per_day": 2}, Cost(0, 0, 1))]
)
def test_a_day_ends_at_midnight(usage: Usage, clock: Clock, limit: dict[str, int], cost: Cost) -> None:
    limited = token(**limit)
    for _ in range(2):
        usage.begin(limited, cost)
    with pytest.raises(Busy) as caught:
        usage.begin(limited, cost)
    assert caught.value.retry_after_ms == DAY_S / 2 * 1000
    clock.today += DAY_S / 2
    usage.begin(limited, cost)
    clock.today -= DAY_S
    usage.begin(limited, cost)
    with pytest.raises(Busy):  # a clock set back gives no second day
        usage.begin(limited, cost)


def test_what_is_refused_costs_nothing(usage: Usage) -> None:
    limited = token(bytes_per_day=25)
    for _ in range(3):
        with pytest.raises(Busy):
            usage.begin(limited, Cost(0, 26, 0))
    usage.begin(limited, Cost(0, 25, 0))


def test_the_token_of_the_environment_has_no_limits(usage: Usage) -> None:
    for _ in range(10_000):
        usage.begin(master("sesame"), Cost(1000, 2**40, 1000))


def test_what_requests_cost() -> None:
    assert cost_of(Ping(), 12) == Cost(0, 12, 0)
    assert cost_of(Identify(b"one"), 99) == Cost(1, 99, 0)
    assert cost_of(Verify(b"one", b"two"), 99).pictures == 2
    assert cost_of(Enrol("Ada", images=(b"one", b"two")), 99) == Cost(2, 99, 2)
    assert cost_of(AlbumEnrol("Trip", 1, templates=7), 99) == Cost(0, 99, 7)
