"""Requests that one transaction answers: a function with `@handles` answers one, and stands where its SQL does.

`AlbumService` opens the transaction, looks the album up, and calls it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from facewire.protocol.asks import Asks

A = TypeVar("A")
InTransaction = Callable[[sqlite3.Connection, int, Any], A]
"""(connection, album's id, request) -> answer."""


@dataclass(frozen=True, slots=True)
class Handled:
    """What answers a request; `writing`: in a transaction that writes."""

    answer: InTransaction[Any]
    writing: bool


HANDLED: dict[type[Asks[Any]], Handled] = {}
"""By request, of the modules that have been imported; service.py imports them all."""


def handles(request: type[Asks[A]], *, writing: bool = False) -> Callable[[InTransaction[A]], InTransaction[A]]:
    """The decorated function answers this request."""

    def register(answer: InTransaction[A]) -> InTransaction[A]:
        HANDLED[request] = Handled(answer, writing)
        return answer

    return register
