"""What the page counts as one address, and when a sender is behind."""

from __future__ import annotations

import pytest

from facewire.client.web.places import Pace, address_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),  # as a socket for both kinds shows it
        ("2001:db8::1", "2001:db8::ffff:1", True),  # whoever has one of a /64 has them all
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_addresses(one: str, other: str, same: bool) -> None:
    assert (address_of((one, 1)) == address_of((other, 2))) is same


def test_a_burst_pays_for_no_later_silence_but_makes_up_for_an_earlier_one() -> None:
    pace = Pace(100, 0.0)
    pace.pay(5000, 1.0)
    assert pace.behind(1.0) == 0.0
    assert pace.behind(11.0) == 10.0
    pace.pay(500, 11.0)
    assert pace.behind(11.0) == 5.0
    pace.pay(1, 12.0)
    assert pace.behind(12.0) == pytest.approx(5.99)
