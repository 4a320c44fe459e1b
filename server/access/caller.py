"""Whose request a thread is serving: for the journal, which is written deep inside the gallery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from facewire.server.access.tokens import Token


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the token, None where the server asks for none, and the address they ask from."""

    token: Token | None = None
    address: str = ""

    @property
    def name(self) -> str:
        """The token's name; empty without one."""
        return "" if self.token is None else self.token.name


NOBODY = Caller()
"""A command of this machine, or a job of the server's own."""

_caller: ContextVar[Caller] = ContextVar("caller", default=NOBODY)


def current_caller() -> Caller:
    """Whose request this thread is serving."""
    return _caller.get()


@contextmanager
def serving(caller: Caller) -> Iterator[None]:
    """Within the block, this thread serves `caller`."""
    before = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(before)
