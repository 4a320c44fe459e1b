"""Tells glibc's allocator to give memory back, which it does not do by itself in a process of many threads."""

from __future__ import annotations

import ctypes

from facewire.protocol.settings import MEBIBYTE

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h

_ARENAS = 2
"""Heaps that all threads share. By default there are eight a core, and each keeps what its largest picture took."""

_OWN_PAGES = 320 * 1024
"""Bytes from which a block gets pages of its own: above FaceNet's input of one face, 300 KiB, which is made and freed
for each. glibc begins with 128 KiB, and raises it to 32 MiB by itself."""


def give_back() -> None:
    """Call it before any thread is started. Without glibc it does nothing.

    Blocks of 320 KiB and more, which are pictures and parts of them, are returned to the system when they are freed.
    That costs a page fault per 4 KiB when they are next allocated: 1 ms for three megapixels. In a heap they would
    leave gaps, held by anything small that was allocated behind them and stays: a server of mixed pictures took ever
    more.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return
    libc.mallopt(_M_ARENA_MAX, _ARENAS)
    libc.mallopt(_M_MMAP_THRESHOLD, _OWN_PAGES)
    libc.mallopt(_M_TRIM_THRESHOLD, MEBIBYTE)
