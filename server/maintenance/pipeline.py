"""Many pictures at once: looked at by a pool of threads, embedded in batches behind it, kept in transactions."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, NoReturn, TypeVar

from tqdm import tqdm

from facewire.server.cores import cores
from facewire.server.vision.engine import Engine
from facewire.server.vision.opening import VisionSettings

EngineOpener = Callable[[VisionSettings], Engine]
"""Opens what finds and embeds faces; raises StartError where its weights are missing."""

DEFAULT_JOBS = min(4, cores())
"""Decoding and finding a face take a quarter of what embedding it takes, so a few threads keep that busy on any
machine; more would only take cores from it."""

BATCH = 8
"""Faces embedded at once: the runtime's largest batch, beyond which a face gets no cheaper."""

TRANSACTION = 256
"""Pictures written at once at most: some 600 KB."""

WRITE_EVERY_S = 2.0
"""What a kill -9 may cost in work to do again."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(look: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Generator[Result, None, None]:
    """What `look` makes of every item, in their order, so that two builds of one folder give the same database.

    At most 4 items a job are begun and not yet taken, which bounds memory however slow the taker is. Leaving early
    (Ctrl-C, an error) waits for those under way and begins no other.
    """
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="look")
    try:
        rest = iter(items)
        begun: deque[Future[Result]] = deque()
        while True:
            begun.extend(pool.submit(look, item) for item in islice(rest, 4 * jobs - len(begun)))
            if not begun:
                return
            yield begun.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class Batches(Generic[Item, Result]):
    """Gathers items into batches to embed, and what comes of them into transactions. For one thread."""

    def __init__(
        self, embed: Callable[[Sequence[Item]], Iterable[Result]], keep: Callable[[Sequence[Result]], None]
    ) -> None:
        """`embed`: called with BATCH items at most; `keep`: commits what it is given."""
        self._embed, self._keep = embed, keep
        self._waiting: list[Item] = []
        self._embedded: list[Result] = []
        self._kept_at = time.monotonic()

    def add(self, item: Item) -> None:
        """Take one more, which may embed a batch, and keep what was embedded."""
        self._waiting.append(item)
        if len(self._waiting) >= BATCH:
            self._embed_waiting()
        if len(self._embedded) >= TRANSACTION or time.monotonic() > self._kept_at + WRITE_EVERY_S:
            self._keep_embedded()

    def finish(self) -> None:
        """Embed and keep the rest."""
        self._embed_waiting()
        self._keep_embedded()

    def _embed_waiting(self) -> None:
        if self._waiting:
            self._embedded += self._embed(self._waiting)
            self._waiting.clear()

    def _keep_embedded(self) -> None:
        if self._embedded:
            self._keep(self._embedded)
            self._embedded.clear()
        self._kept_at = time.monotonic()


def progress_bar(total: int, unit: str) -> tqdm[NoReturn]:
    """On stderr, with rate and time left; now and then where nobody watches it move."""
    interval = 0.1 if sys.stderr.isatty() else 10
    return tqdm(total=total, disable=not total, unit=f" {unit}", mininterval=interval, file=sys.stderr)
