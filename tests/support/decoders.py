"""A decoder shared by all tests of a run, as starting one takes a fifth of a second."""

from __future__ import annotations

import atexit
from functools import cache

from facewire.server.vision.decoding.decoder import Decoder


class _Shared(Decoder):
    def close(self) -> None:
        """Does nothing, as other tests still use it."""


@cache
def shared_decoder() -> Decoder:
    decoder = _Shared()
    atexit.register(Decoder.close, decoder)
    return decoder
