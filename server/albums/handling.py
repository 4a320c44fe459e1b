"""Requests answered in a single transaction, by functions marked with `@handles` in the modules that hold the SQL.

`AlbumService` opens the transaction, looks the album up, and calls it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from facewire.protocol.schema import Asks

A = TypeVar("A")
InTransaction = Callable[[sqlite3.Connection, int, Any], A]
"""(connection, album's id, request) -> answer."""


@dataclass(frozen=True, slots=True)
class Handled:
    """The handler of a request; `writing`: it needs a write transaction."""

    answer: InTransaction[Any]
    writing: bool


HANDLED: dict[type[Asks[Any]], Handled] = {}
"""Handlers by request, filled when their modules are imported; service.py imports them all."""


def handles(request: type[Asks[A]], *, writing: bool = False) -> Callable[[InTransaction[A]], InTransaction[A]]:
    """Registers the decorated function as the handler of this request."""

    def register(answer: InTransaction[A]) -> InTransaction[A]:
        HANDLED[request] = Handled(answer, writing)
        return answer

    return register
