"""Declares a setting once, on a field of a frozen dataclass. `protocol.arguments` turns it into a flag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field
from typing import Any

LONGEST_WAIT_S = 86_400  # a day; sockets refuse timeouts of centuries

MEBIBYTE = 2**20
GIBIBYTE = 2**30


@dataclass(frozen=True, slots=True)
class Range:
    """The allowed numbers of a setting, in the unit of its flag. `words` follow "must be"; usage shows `metavar`."""

    words: str
    holds: Callable[[float], bool]
    metavar: str | None = None


def between(low: float, high: float, metavar: str | None = None) -> Range:
    """A range that includes both ends."""
    words = (f"{end:.6f}".rstrip("0").rstrip(".") for end in (low, high))
    return Range(f"from {' to '.join(words)}", lambda value: low <= value <= high, metavar)


AT_LEAST_1 = Range("at least 1", lambda value: value >= 1, "N")
PORT = between(1, 65_535)
PORT_OR_ANY = between(0, 65_535)
SECONDS = Range(f"more than 0 and at most {LONGEST_WAIT_S} seconds", lambda value: 0 < value <= LONGEST_WAIT_S, "S")
PROBABILITY = Range("between 0 and 1", lambda value: 0 < value < 1, "P")


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of a flag's number; the flag's name ends with `suffix`."""

    size: int
    suffix: str = ""


ONE = Unit(1)
MEBIBYTES = Unit(MEBIBYTE, "-mb")
GIBIBYTES = Unit(GIBIBYTE, "-gb")


@dataclass(frozen=True, slots=True)
class Setting:
    """The arguments of `setting`."""

    help: str
    range: Range
    unit: Unit
    flag: str | None
    metavar: str | None
    parse: Callable[[str], Any] | None


def setting(
    default: Any = MISSING,
    help: str = "",
    range: Range = AT_LEAST_1,
    *,
    unit: Unit = ONE,
    flag: str | None = None,
    metavar: str | None = None,
    parse: Callable[[str], Any] | None = None,
    default_factory: Any = MISSING,
) -> Any:
    """A field of a dataclass that is also a flag; its type hint determines how its text is parsed.

    `help`: the default is appended unless it contains "(default"; `range`: for numbers; `flag`: if its name is not the
    field's without `_s` for seconds; for a switch that is on by default, the flag that turns it off; `parse`: parses
    the text if the type hint is not int, float, str, Path or Literal.
    """
    declared = Setting(help, range, unit, flag, metavar, parse)
    return field(default=default, default_factory=default_factory, metadata={Setting: declared})
