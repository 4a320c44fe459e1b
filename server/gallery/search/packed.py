"""Dot products of 8-bit codes, by NumKong: it picks the instructions that the processor has, down to plain AVX2."""

from __future__ import annotations

import numkong
import numpy as np
from numpy.typing import NDArray

BLOCK = 16384
"""Rows packed together, into the order that the processor's instructions want them in. A million rows take 40 ms."""


class Packed:
    """Codes of a growing number of rows, in blocks. Full blocks are packed once and shared."""

    def __init__(self, blocks: tuple[numkong.PackedMatrix, ...] = ()) -> None:
        self._blocks = blocks

    def covering(self, codes: NDArray[np.int8]) -> Packed:
        """These blocks and, of `codes` (n, width), which begins with their rows, those that have become full."""
        full = range(len(self._blocks) * BLOCK, len(codes) - BLOCK + 1, BLOCK)
        return Packed((*self._blocks, *(numkong.dots_pack(codes[at : at + BLOCK]) for at in full))) if full else self

    def dots(self, codes: NDArray[np.int8], probes: NDArray[np.int8]) -> NDArray[np.int32]:
        """(p, n) dot products of (p, width) probes with the (n, width) `codes` that this covers."""
        found = np.empty((len(probes), len(codes)), np.int32)
        for begin, block in zip(range(0, len(codes), BLOCK), self._blocks, strict=False):
            if len(probes) == 1:  # into its place, which spares a copy: a twelfth of the time
                place = found.ctypes.data + begin * found.itemsize
                numkong.dots_packed(probes, block, out=numkong.from_pointer(place, (1, BLOCK), "int32", owner=found))
            else:
                found[:, begin : begin + BLOCK] = numkong.dots_packed(probes, block)
        done = len(self._blocks) * BLOCK
        if done < len(codes):
            found[:, done:] = np.asarray(numkong.dots_packed(codes[done:], numkong.dots_pack(probes))).T
        return found
