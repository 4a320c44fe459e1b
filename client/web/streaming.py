"""Answers that are too large to hold: read from the server in pieces, as fast as the browser takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from facewire.client.web.answers import FAILURES, CutOff


async def pieces(
    read: Callable[[int], Awaitable[bytes]], piece: bytes, at: int, until: int, what: str
) -> AsyncIterator[bytes]:
    """The bytes from `at` to `until`, of which `piece` has been read; `read(offset)` gives the next, empty at the end.
    Raises CutOff if the rest is unavailable; `what` it is, in a sentence."""
    while piece:
        at += len(piece)
        yield piece
        if at >= until:
            return
        try:
            piece = await read(at)
        except FAILURES as why:
            raise CutOff(f"{what} broke off: {why}") from why
    raise CutOff(f"{what} broke off: the server has only {at} of {until} bytes")
