"""What asking a decoding child takes, for pictures and videos alike: a process, the file, memory for the answer, limits
of time, and the memory of hostile files."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import time
import weakref
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from facewire.protocol.settings import MEBIBYTE, MEBIBYTES, setting
from facewire.server.cores import cores
from facewire.server.errors import InvalidImage
from facewire.server.vision.decoding.memory import Budget, Grant, Segment, Segments
from facewire.server.vision.decoding.on_disk import OnDisk
from facewire.server.vision.decoding.pool import Child, Pool
from facewire.server.vision.decoding.wire import INLINE, Ended, Message, receive, send
from facewire.server.vision.image import Pixels

_REASONS = {
    "crash": "the {what} is damaged or hostile: decoding it crashes",
    "time": "the {what} is damaged or hostile: decoding it takes longer than a {what} of its size may",
    "memory": "the {what} is damaged or hostile: decoding it takes more memory than a {what} of its size may",
}

_log = logging.getLogger("facewire.decoding")


def _default_processes() -> int:
    """A process is held by a large picture that waits for memory: with one a core, a few of them would hold all."""
    return max(8, cores())


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """`processes`: pictures decoded in parallel, by default one per core and at least eight. `memory`: bytes of all
    pictures that are being decoded or in use. `patience_s`: how long a picture waits for a process, or for memory,
    before Busy. `wall_to_cpu`: wall-clock time per unit of processor time that a picture may take; the children share
    the cores with the networks, and the kernel should end a busy child before the server ends one that is waiting."""

    processes: int = setting(
        default_factory=_default_processes, flag="--decoders",
        help="processes that decode pictures (default: one a core, at least 8)",
    )  # fmt: skip
    memory: int = setting(
        1024 * MEBIBYTE, unit=MEBIBYTES, flag="--decode-memory-mb",
        help="MiB that all pictures decoded at a time may take; larger ones wait",
    )  # fmt: skip
    patience_s: float = 20.0
    wall_to_cpu: float = 8.0


class Exchange:
    """Asks children about files. Thread-safe."""

    def __init__(self, settings: DecodingSettings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._budget = Budget(settings.memory)
        self._segments = Segments()
        self._hostile = HostileFiles()

    @property
    def memory_used(self) -> int:
        """Bytes of the budget currently in use."""
        return self._budget.used

    def close(self) -> None:
        """Frees unused memory; pixels already returned stay valid."""
        self._segments.close()

    def child(self, *, once: bool = False) -> contextlib.AbstractContextManager[Child]:
        """A living child for one file. If the block raises, or with `once`, it is killed. Raises Busy, StartError."""
        return self._pool.child(self._settings.patience_s, once=once)

    def receive(self, child: Child, cpu_s: int) -> Message:
        """The child's answer; the kernel ends it after `cpu_s` on the processor. Raises Hostile."""
        begun = time.monotonic()
        child.channel.settimeout(cpu_s * self._settings.wall_to_cpu)
        try:
            return receive(child.channel)[0]
        except TimeoutError:
            raise Hostile("time", proven=False) from None
        except Ended:
            raise Hostile("time" if time.monotonic() > begun + cpu_s else "crash") from None

    @contextlib.contextmanager
    def file(self, data: bytes) -> Iterator[Segment | None]:
        """The file in shared memory while the block runs; None if it is small enough to be sent in the message."""
        if len(data) <= INLINE:
            yield None
            return
        segment = self._segments.lease(len(data))
        try:
            os.pwrite(segment.fd, data, 0)
            yield segment
        except BaseException:
            self._segments.drop(segment)
            raise
        self._segments.give_back(segment)

    @contextlib.contextmanager
    def room(self, length: int, cost: int) -> Iterator[SharedRoom]:
        """Memory for an answer of `length` bytes; decoding takes `cost` bytes in all. Raises Busy and OSError. If the
        block raises, the memory is not reused, because a child may still write to it."""
        grant = self._budget.take(cost, self._settings.patience_s)
        segment = None
        try:
            segment = self._segments.lease(length)
            yield SharedRoom(segment, self._segments, grant)
        except BaseException:
            if segment is not None:
                self._segments.drop(segment)
            grant.shrink(0)
            raise

    def known(self, data: bytes | OnDisk) -> InvalidImage | None:
        """The error for a file that has proved hostile before."""
        reason = self._hostile.reason(data)
        return None if reason is None else InvalidImage(reason)

    def checked(self, data: bytes | OnDisk, answer: Message, what: str) -> Message:
        """The answer, if it is a success. Raises InvalidImage otherwise; `what`: "picture" or "video"."""
        if "invalid" in answer:
            raise InvalidImage(answer["invalid"])
        if "hostile" in answer:
            raise self.refused(data, answer["hostile"], what)
        if "odd" in answer:
            _log.info("a %s of %d bytes made its reader raise %s", what, len(data), answer["odd"])
            raise InvalidImage(f"the {what} is damaged, or of an unsupported kind")
        return answer

    def refused(self, data: bytes | OnDisk, reason: str, what: str, *, proven: bool = True) -> InvalidImage:
        """The error for the sender; a file that is `proven` hostile is refused from now on."""
        said = _REASONS[reason].format(what=what)
        if proven:
            self._hostile.add(data, said)
        _log.warning("a %s of %d bytes is refused: %s", what, len(data), said)
        return InvalidImage(said)


class Hostile(Exception):
    """A file crashed its child or exceeded its limits; `reason`: a key of _REASONS. Not `proven`: the child may just
    not have got a processor."""

    def __init__(self, reason: str, *, proven: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.proven = proven


def tell(child: Child, message: Message, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
    """Sends a message to a child. Raises Hostile if it has ended."""
    try:
        send(child.channel, message, payload, fds)
    except Ended:
        raise Hostile("crash") from None


class SharedRoom:
    """Shared memory for what a child answers, and its share of the budget."""

    def __init__(self, segment: Segment, segments: Segments, grant: Grant) -> None:
        self.segment = segment
        self._segments = segments
        self._grant = grant

    def pixels(self, rows: int, columns: int) -> Pixels:
        """(rows, columns, 3), as written by a child. The memory is released with the last array that refers to it."""
        shared = self.segment.mapped(rows * columns * 3)
        self._grant.shrink(self.segment.size)
        weakref.finalize(shared, self.leave).atexit = False
        return np.frombuffer(shared, np.uint8).reshape(rows, columns, 3)

    def leave(self) -> None:
        """Release the memory for the next picture."""
        self._segments.give_back(self.segment)
        self._grant.shrink(0)


REMEMBERED = 4096
"""Hostile files, the latest ones; with a line of text each, half a megabyte."""


class HostileFiles:
    """Files that crashed a decoder or exceeded its limits, to be refused at once the next time. Thread-safe.

    Compares lengths before hashes, so that few other files are hashed (2 ms for a large photo)."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._changing = threading.Lock()  # guards the two below
        self._reasons: OrderedDict[bytes, tuple[int, str]] = OrderedDict()
        self._lengths: Counter[int] = Counter()

    def reason(self, data: bytes | OnDisk) -> str | None:
        """Why this file is refused; None if it is not."""
        with self._changing:
            if not self._lengths[len(data)]:
                return None
        key = _digest(data)
        with self._changing:
            found = self._reasons.get(key)
        return None if found is None else found[1]

    def add(self, data: bytes | OnDisk, reason: str) -> None:
        """Refuse this file from now on."""
        key = _digest(data)
        with self._changing:
            if key not in self._reasons:
                self._lengths[len(data)] += 1
            self._reasons[key] = len(data), reason
            if len(self._reasons) > self._remembered:
                _, (length, _) = self._reasons.popitem(last=False)
                self._lengths -= Counter([length])


def _digest(data: bytes | OnDisk) -> bytes:
    return bytes.fromhex(data.sha256) if isinstance(data, OnDisk) else hashlib.sha256(data).digest()
