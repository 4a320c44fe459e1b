"""A decoder that all tests of a run share: starting one takes a fifth of a second."""

from __future__ import annotations

import atexit
from functools import cache

from facewire.server.vision.decoding.decoder import Decoder


class _Shared(Decoder):
    def close(self) -> None:
        """Others use it yet."""


@cache
def shared_decoder() -> Decoder:
    decoder = _Shared()
    atexit.register(Decoder.close, decoder)
    return decoder
