"""Checks that the requests of several modules share."""

from __future__ import annotations

from facewire.protocol.errors import InvalidRequest


def in_range(key: str, value: float, low: float, high: float) -> None:
    """Raises InvalidRequest unless `low` <= `value` <= `high`; NaN is not."""
    if not low <= value <= high:
        raise InvalidRequest(f"'{key}' must be from {low} to {high}, not {value}")
