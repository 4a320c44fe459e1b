"""Checks that the requests of several modules share."""

from __future__ import annotations

from protocol.errors import InvalidRequest


def in_range(key: str, value: int, low: int, high: int) -> None:
    """Raises InvalidRequest unless `low` <= `value` <= `high`."""
    if not low <= value <= high:
        raise InvalidRequest(f"'{key}' must be from {low} to {high}, not {value}")
