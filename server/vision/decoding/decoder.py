"""`Decoder`: untrusted picture bytes in, pixels out, and nothing that a decoder does can harm the server.

A picture is decoded in a child process. If the child crashes, runs too long, or takes more memory than a picture of
that size may, the caller gets InvalidImage, the child is replaced, and the picture is refused at once from then on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from facewire.protocol.settings import MEBIBYTE, MEBIBYTES, setting
from facewire.server.cores import cores
from facewire.server.errors import Busy, InvalidImage, StartError
from facewire.server.vision.decoding.budget import Budget, Grant
from facewire.server.vision.decoding.child import LOOKING_CPU_S, WALL_TO_CPU
from facewire.server.vision.decoding.children import READING, Child, Children
from facewire.server.vision.decoding.culprits import Culprits
from facewire.server.vision.decoding.pool import Pool
from facewire.server.vision.decoding.segments import Segment, Segments
from facewire.server.vision.decoding.wire import INLINE, Ended, Message, receive, send
from facewire.server.vision.image import Header, ImageLimits, Photo, Pixels, check_bytes

_LOOKING_WALL_S = WALL_TO_CPU * LOOKING_CPU_S

_SMALL = MEBIBYTE  # pixels plus memory for decoding them: granted to every picture at first

_REASONS = {
    "crash": "the picture is damaged or hostile: decoding it crashes",
    "time": "the picture is damaged or hostile: decoding it takes longer than a picture of its size may",
    "memory": "the picture is damaged or hostile: decoding it takes more memory than a picture of its size may",
}

_log = logging.getLogger("facewire.decoding")


def _default_processes() -> int:
    """A process is held by a large picture that waits for memory: with one a core, a few of them would hold all."""
    return max(8, cores())


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """`processes`: pictures decoded in parallel, by default one per core and at least eight. `memory`: bytes of all
    pictures that are being decoded or in use. `patience_s`: how long a picture waits for a process, or for memory,
    before Busy."""

    processes: int = setting(
        default_factory=_default_processes, flag="--decoders",
        help="processes that decode pictures (default: one a core, at least 8)",
    )  # fmt: skip
    memory: int = setting(
        1024 * MEBIBYTE, unit=MEBIBYTES, flag="--decode-memory-mb",
        help="MiB that all pictures decoded at a time may take; larger ones wait",
    )  # fmt: skip
    patience_s: float = 20.0


class Decoder:
    """Thread-safe. The only way to get pixels or header data from picture bytes."""

    def __init__(self, settings: DecodingSettings | None = None, *, reading: str = READING) -> None:
        """Starts its processes in the background; `wait_until_ready` or the first picture waits for them.

        `reading`: the module with which children read pictures, replaceable for tests.
        """
        self._settings = settings or DecodingSettings()
        self._children = Children(reading)
        self._pool = Pool(self._settings.processes, self._children)
        self._budget = Budget(self._settings.memory)
        self._segments = Segments()
        self._culprits = Culprits()

    @property
    def pids(self) -> list[int]:
        """Process ids: first the nursery's, then those of idle children."""
        return [self._children.pid, *self._pool.pids]

    @property
    def memory_used(self) -> int:
        """Bytes of the budget currently in use by pictures."""
        return self._budget.used

    def wait_until_ready(self) -> None:
        """Waits until every process has started. Raises StartError."""
        self._pool.fill()

    def close(self) -> None:
        """Ends every process; pictures in progress fail with Busy. Pixels already returned stay valid."""
        self._pool.close()
        self._children.close()
        self._segments.close()

    def look(self, data: bytes, limits: ImageLimits) -> Header:
        """A file's declared format, and width and height as shown, without decoding a pixel. Raises InvalidImage."""
        answer, room = self._ask(data, limits, {"op": "look"})
        room.leave()
        return Header(answer["format"], answer["width"], answer["height"])

    def photo(self, data: bytes, limits: ImageLimits, enough: int | None = None) -> Photo:
        """The pixels, as from `server.vision.image.decode_photo`; `enough` None: full size. Their memory is freed with
        the last array that refers to them.

        Raises InvalidImage; Busy if no process or memory becomes free in time.
        """
        answer, room = self._ask(data, limits, {"op": "photo", "enough": enough})
        return Photo(
            room.pixels(answer["rows"], answer["columns"]), answer["factor"], answer["width"], answer["height"]
        )

    # ------------------------------------------------------------------------------------------ inside

    def _ask(self, data: bytes, limits: ImageLimits, question: Message) -> tuple[Message, _Room]:
        """A child's answer, and the memory that holds the pixels. Raises InvalidImage and Busy."""
        check_bytes(data, limits)
        question = question | {"max_bytes": limits.max_bytes, "max_pixels": limits.max_pixels}
        known = self._culprits.reason(data)
        if known is not None:
            raise InvalidImage(known)
        # A child may be killed by somebody, or be broken by an earlier picture. Two crashes are no coincidence.
        for last in (False, True):
            try:
                answer, room = self._ask_once(data, question)
            except _Hostile as error:
                if error.reason != "crash" or last:
                    raise self._refused(data, error.reason, proven=error.proven) from None
            except (StartError, OSError) as error:
                _log.error("no picture can be decoded now: %s", error)
                raise Busy("the server can't start a process to decode the picture", retry_after_ms=1000) from error
            else:
                try:
                    return self._success(data, answer), room
                except InvalidImage:
                    room.leave()
                    raise
        raise AssertionError

    def _ask_once(self, data: bytes, question: Message) -> tuple[Message, _Room]:
        """One exchange with one child, which is killed on failure."""
        with self._pool.child(self._settings.patience_s) as child, self._file(data) as file:
            # Memory for a small picture is sent along, which saves a round trip.
            with self._room(_SMALL, _SMALL) as room:
                question = question | {"length": len(data), "inline": file is None, "room": _SMALL}
                fds = [] if file is None else [file.fd]
                _send(child, question, data if file is None else b"", [*fds, room.segment.fd])
                answer = _receive(child, _LOOKING_WALL_S)
            while "memory" in answer:  # it needs more memory
                room.leave()
                with self._room(answer["result"], answer["result"] + answer["memory"]) as room:
                    _send(child, {}, fds=[room.segment.fd])
                    answer = _receive(child, answer["wall_s"])
            return answer, room

    @contextlib.contextmanager
    def _file(self, data: bytes) -> Iterator[Segment | None]:
        """The picture in shared memory while the block runs; None if it is small enough to be sent in the message."""
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
    def _room(self, length: int, cost: int) -> Iterator[_Room]:
        """Memory for `length` bytes of pixels; decoding them takes `cost` bytes in all. Raises Busy and OSError. If the
        block raises, the memory is not reused, because a child may still write to it."""
        grant = self._budget.take(cost, self._settings.patience_s)
        segment = None
        try:
            segment = self._segments.lease(length)
            yield _Room(segment, self._segments, grant)
        except BaseException:
            if segment is not None:
                self._segments.drop(segment)
            grant.shrink(0)
            raise

    def _success(self, data: bytes, answer: Message) -> Message:
        """The answer, if it is a success. Raises InvalidImage otherwise."""
        if "invalid" in answer:
            raise InvalidImage(answer["invalid"])
        if "hostile" in answer:
            raise self._refused(data, answer["hostile"])
        if "odd" in answer:
            _log.info("a picture of %d bytes made its reader raise %s", len(data), answer["odd"])
            raise InvalidImage("the picture is damaged, or of a kind that is not read here")
        return answer

    def _refused(self, data: bytes, reason: str, *, proven: bool = True) -> InvalidImage:
        """The error for the sender; a picture that is `proven` hostile is refused from now on."""
        if proven:
            self._culprits.add(data, _REASONS[reason])
        _log.warning("a picture of %d bytes is refused: %s", len(data), _REASONS[reason])
        return InvalidImage(_REASONS[reason])


class _Hostile(Exception):
    """A picture crashed its child or exceeded its limits; `reason`: a key of _REASONS. Not `proven`: the child may just
    not have got a processor."""

    def __init__(self, reason: str, *, proven: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.proven = proven


def _send(child: Child, message: Message, payload: bytes = b"", fds: Sequence[int] = ()) -> None:
    try:
        send(child.channel, message, payload, fds)
    except Ended:
        raise _Hostile("crash") from None


def _receive(child: Child, wall_s: float) -> Message:
    """The child's answer within `wall_s`. Raises _Hostile."""
    begun = time.monotonic()
    child.channel.settimeout(wall_s)
    try:
        return receive(child.channel)[0]
    except TimeoutError:
        raise _Hostile("time", proven=False) from None
    except Ended:  # the kernel ends it after an eighth of that time on the processor
        raise _Hostile("time" if time.monotonic() > begun + wall_s / WALL_TO_CPU else "crash") from None


class _Room:
    """Shared memory for a picture's pixels, and its share of the budget."""

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
