"""`Decoder`: untrusted picture bytes in, pixels out, and nothing that a decoder does can harm the server.

A picture is decoded in a child process. If the child crashes, runs too long, or takes more memory than a picture of
that size may, the caller gets InvalidImage, the child is replaced, and the picture is refused at once from then on."""

from __future__ import annotations

import logging

from facewire.protocol.settings import MEBIBYTE
from facewire.server.errors import Busy, InvalidImage, StartError
from facewire.server.vision.decoding.exchange import DecodingSettings, Exchange, Hostile, SharedRoom, tell
from facewire.server.vision.decoding.films import Films
from facewire.server.vision.decoding.forkserver import LOOKING_CPU_S
from facewire.server.vision.decoding.pool import READING, Children, Pool
from facewire.server.vision.decoding.wire import Message
from facewire.server.vision.image import Header, ImageLimits, Photo, check_bytes

_SMALL = MEBIBYTE  # pixels plus memory for decoding them: granted to every picture at first

_log = logging.getLogger("facewire.decoding")


class Decoder:
    """Thread-safe. The only way to get pixels or header data from picture bytes, or (`films`) frames from
    a video's."""

    def __init__(self, settings: DecodingSettings | None = None, *, reading: str = READING) -> None:
        """Starts its processes in the background; `wait_until_ready` or the first picture waits for them.

        `reading`: the module with which children read pictures, replaceable for tests.
        """
        settings = settings or DecodingSettings()
        self._children = Children(reading)
        self._pool = Pool(settings.processes, self._children)
        self._exchange = Exchange(settings, self._pool)
        self.films = Films(self._exchange, settings.processes, settings.patience_s)

    @property
    def pids(self) -> list[int]:
        """Process ids: first the fork server's, then those of idle children."""
        return [self._children.pid, *self._pool.pids]

    @property
    def memory_used(self) -> int:
        """Bytes of the budget currently in use by pictures."""
        return self._exchange.memory_used

    def wait_until_ready(self) -> None:
        """Waits until every process has started. Raises StartError."""
        self._pool.fill()

    def close(self) -> None:
        """Ends every process; pictures in progress fail with Busy. Pixels already returned stay valid."""
        self._pool.close()
        self._children.close()
        self._exchange.close()

    def look(self, data: bytes, limits: ImageLimits) -> Header:
        """A file's declared format, width and height as shown, recorded orientation and time, without decoding a pixel.
        Raises InvalidImage."""
        answer, room = self._ask(data, limits, {"op": "look"})
        room.leave()
        size = answer["width"], answer["height"]
        return Header(answer["format"], *size, recorded=answer["recorded"], taken=answer["taken"])

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

    def _ask(self, data: bytes, limits: ImageLimits, question: Message) -> tuple[Message, SharedRoom]:
        """A child's answer, and the memory that holds the pixels. Raises InvalidImage and Busy."""
        check_bytes(data, limits)
        question = question | {"max_bytes": limits.max_bytes, "max_pixels": limits.max_pixels}
        if (known := self._exchange.known(data)) is not None:
            raise known
        # A child may be killed by somebody, or be broken by an earlier picture. Two crashes are no coincidence.
        for last in (False, True):
            try:
                answer, room = self._ask_once(data, question)
            except Hostile as error:
                if error.reason != "crash" or last:
                    raise self._exchange.refused(data, error.reason, "picture", proven=error.proven) from None
            except (StartError, OSError) as error:
                _log.error("pictures can't be decoded now: %s", error)
                raise Busy("the server can't start a process to decode the picture", retry_after_ms=1000) from error
            else:
                try:
                    return self._exchange.checked(data, answer, "picture"), room
                except InvalidImage:
                    room.leave()
                    raise
        raise AssertionError

    def _ask_once(self, data: bytes, question: Message) -> tuple[Message, SharedRoom]:
        """One exchange with one child, which is killed on failure."""
        ask = self._exchange
        with ask.child() as child, ask.file(data) as file:
            # Memory for a small picture is sent along, which saves a round trip.
            with ask.room(_SMALL, _SMALL) as room:
                question = question | {"length": len(data), "inline": file is None, "room": _SMALL}
                fds = [] if file is None else [file.fd]
                tell(child, question, data if file is None else b"", [*fds, room.segment.fd])
                answer = ask.receive(child, LOOKING_CPU_S)
            while "memory" in answer:  # it needs more memory
                room.leave()
                with ask.room(answer["result"], answer["result"] + answer["memory"]) as room:
                    tell(child, {}, fds=[room.segment.fd])
                    answer = ask.receive(child, answer["cpu_s"])
            return answer, room
