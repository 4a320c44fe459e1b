"""Shared by the commands that work on a database: an exclusive lock, one-line error messages, and the way from many
pictures to stored faces: a pool of threads detects them, they are embedded in batches and stored in transactions."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

from tqdm import tqdm

from facewire.protocol.command_names import as_called
from facewire.protocol.text import printable
from facewire.server.cores import cores
from facewire.server.errors import FacewireError, StartError
from facewire.server.storage import in_words
from facewire.server.vision import stages
from facewire.server.vision.engine import Engine
from facewire.server.vision.opening import VisionSettings


def exit_code(name: str, db: Path, work: Callable[[], int], *, afterwards: str) -> int:
    """Run a command's `work`; returns the exit code. `afterwards`: the state of the database after a failure."""
    try:
        with stages.shown_plainly():
            return work()
    except StartError as error:
        print(as_called(printable(f"{name}: {error}")), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        raise  # the reader of our output is gone: not the gallery's fault
    except (FacewireError, OSError, sqlite3.Error) as error:
        print(as_called(f"{name}: ") + printable(f"{in_words(error, db)}; {afterwards}"), file=sys.stderr)
        return 3


@contextmanager
def build_lock(db: Path) -> Iterator[None]:
    """Hold the exclusive right to build `db`. Raises StartError, which names the process, if another one holds it.

    The kernel releases the lock when its process ends for any reason. The file stays: if it were deleted, two processes
    could lock two different files of the same name.
    """
    path = db.with_name(db.name + "-lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise StartError(f"process {holder} is already building {db}: wait for it to finish") from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


EngineOpener = Callable[[VisionSettings], Engine]
"""Opens the engine that finds and embeds faces; raises StartError if its weights are missing."""

DEFAULT_JOBS = min(4, cores())
"""Decoding and detection take a quarter of the time of embedding, so a few threads keep the embedder busy on any
machine; more would only take cores from it."""

BATCH = 8
"""Faces embedded at once: the runtime's largest batch, beyond which the cost per face no longer falls."""

TRANSACTION = 256
"""Maximum number of pictures written at once: about 600 KB."""

WRITE_EVERY_S = 2.0
"""The most work, in seconds, that a kill -9 may lose."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(look: Callable[[Item], Result], items: Iterable[Item], jobs: int) -> Generator[Result, None, None]:
    """The results of `look` in the items' order, so that two builds of one folder give the same database.

    At most 4 items per job are started but not yet consumed, which bounds memory even if the consumer is slow. Leaving
    early (Ctrl-C, an error) waits for running calls and starts no others.
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
    """Groups items into batches to embed, and the results into transactions. For one thread."""

    def __init__(
        self, embed: Callable[[Sequence[Item]], Iterable[Result]], keep: Callable[[Sequence[Result]], None]
    ) -> None:
        """`embed`: called with at most BATCH items; `keep`: commits the results it is given."""
        self._embed, self._keep = embed, keep
        self._waiting: list[Item] = []
        self._embedded: list[Result] = []
        self._kept_at = time.monotonic()

    def add(self, item: Item) -> None:
        """Add an item; embeds a batch when full, and commits results when due."""
        self._waiting.append(item)
        if len(self._waiting) >= BATCH:
            self._embed_waiting()
        if len(self._embedded) >= TRANSACTION or time.monotonic() > self._kept_at + WRITE_EVERY_S:
            self._keep_embedded()

    def finish(self) -> None:
        """Embed and commit the rest."""
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
    """A progress bar on stderr with rate and time left; updated rarely if stderr is not a terminal."""
    interval = 0.1 if sys.stderr.isatty() else 10
    return tqdm(total=total, disable=not total, unit=f" {unit}", mininterval=interval, file=sys.stderr)
