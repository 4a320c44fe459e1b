"""Numbers, dates and names as the page's scripts write them (static/js/words.js): what a page has in it at first must
not change when they take over."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import quote_plus

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_RIGHT_TO_LEFT = frozenset(("R", "AL", "RLE", "RLO", "RLI"))
UNKNOWN_DAY = "Day unknown"


def whole(number: int) -> str:
    """1234 as 1,234."""
    return f"{number:,}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """1 photo, 2 photos."""
    return f"{whole(count)} {one if count == 1 else many or f'{one}s'}"


def megabytes(size: int) -> str:
    """A number of bytes, as kB, MB or GB."""
    if size < 1_000_000:
        return f"{_rounded(max(1_000, size), 3, 0)} kB"
    return f"{_rounded(size, 6, 1)} MB" if size < 1_000_000_000 else f"{_rounded(size, 9, 2)} GB"


def isolated(name: str) -> str:
    """A name for plain text, such as an attribute: where it runs from right to left, between Unicode's marks."""
    if any(unicodedata.bidirectional(character) in _RIGHT_TO_LEFT for character in name):
        return f"\u2068{name}\u2069"
    return name


def day_name(day: str | None) -> str:
    """2023-05-02 as Tuesday, May 2, 2023."""
    if day is None:
        return UNKNOWN_DAY
    when = date.fromisoformat(day)
    return f"{_WEEKDAYS[when.weekday()]}, {_MONTHS[when.month - 1]} {when.day}, {when.year}"


def month_name(day: str) -> str:
    """2023-05-02 as May."""
    return _MONTHS[int(day[5:7]) - 1][:3]


def clock(seconds: float) -> str:
    """The length of a video: 1:05."""
    return f"{int(seconds // 60)}:{int(seconds % 60):02}"


def address(path: str, parameters: Mapping[str, object]) -> str:
    """A path with a query, letter for letter as URLSearchParams writes it: browsers keep pictures by address."""
    pairs = (f"{_quoted(key)}={_quoted(str(value))}" for key, value in parameters.items())
    return f"{path}?{'&'.join(pairs)}"


def _quoted(text: str) -> str:
    return quote_plus(text, safe="*").replace("~", "%7E")


def _rounded(size: int, thousands: int, digits: int) -> str:
    exact = Decimal(size).scaleb(-thousands).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{exact:,}"
