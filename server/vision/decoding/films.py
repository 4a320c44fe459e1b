"""`Films`: untrusted video bytes in, frames as JPEG files out, decoded in a child process as pictures are.

A frame is decoded only when it is asked for, so a video costs a child and its memory while the networks look at the
frame before, and no more."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from facewire.protocol.formats import UNSUPPORTED_VIDEO, Format, video_format_of
from facewire.server.errors import Busy, InvalidImage, StartError, VideosNotRead
from facewire.server.vision.decoding.exchange import Exchange, Hostile, tell
from facewire.server.vision.decoding.memory import mapped
from facewire.server.vision.decoding.on_disk import OnDisk, Video
from facewire.server.vision.decoding.pool import Child
from facewire.server.vision.decoding.showing import ROOM_BYTES
from facewire.server.vision.decoding.video_limits import VIDEO_LIMITS
from facewire.server.vision.decoding.wire import Message

_log = logging.getLogger("facewire.decoding")

MISSING = "this server can't read videos; its owner can install PyAV (pip install 'facewire[video]')"


def videos_are_read() -> bool:
    """Is the library installed? It is only ever loaded in a child."""
    return importlib.util.find_spec("av") is not None


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """`format`: key of its format (protocol/formats.py); `width` and `height` in pixels as shown; its length."""

    format: str
    width: int
    height: int
    seconds: float


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A frame as a JPEG, perhaps smaller than the video, whose pixels as shown are `width` and `height`. `at`: seconds
    from the beginning; `cut`: a scene begins here; `seconds`: the video's length."""

    jpeg: bytes
    at: float
    cut: bool
    width: int
    height: int
    seconds: float


class Films:
    """Thread-safe. Everything raises InvalidImage, VideosNotRead and Busy."""

    def __init__(self, exchange: Exchange, processes: int, patience_s: float) -> None:
        """`processes`: all that decode; videos take half of them at most, however long they last."""
        self._exchange = exchange
        self._patience_s = patience_s
        self._places = threading.BoundedSemaphore(max(1, processes // 2))

    def look(self, video: Video) -> VideoHeader:
        """What a video is, from its header and first frame."""
        form = _format_of(video)
        with self._asked(video, {"wanted": "header"}) as (_, answer, _):
            pass
        return VideoHeader(form.key, answer["width"], answer["height"], answer["seconds"])

    def frames(self, video: Video) -> Generator[VideoFrame, None, None]:
        """The frames that are looked at: the first of each scene, and some within it; see VideoLimits.

        Close the generator to end early.
        """
        yield from self._shown(video, {"wanted": "frames"})

    def frame(self, video: Video, at: float) -> VideoFrame:
        """The frame at that second, or else the last one."""
        with contextlib.closing(self._shown(video, {"wanted": "frame", "at": at})) as frames:
            return next(frames)

    def _shown(self, video: Video, question: Message) -> Generator[VideoFrame, None, None]:
        with self._asked(video, question) as (child, answer, fd), self._exchange.room(1, answer["memory"]) as room:
            answer = self._answered(video, child, {})  # the decoder's memory is there, which it has waited for
            while "frame" in answer:
                yield _frame(answer, fd)
                answer = self._answered(video, child, {})
            room.leave()

    @contextlib.contextmanager
    def _asked(self, video: Video, question: Message) -> Iterator[tuple[Child, Message, int]]:
        """A child, its first answer, and the descriptor of its frames."""
        _format_of(video)
        if (known := self._exchange.known(video)) is not None:
            raise known
        ask = self._exchange
        if not self._places.acquire(timeout=self._patience_s):
            raise Busy("too many videos are waiting to be decoded", retry_after_ms=5000)
        try:  # what a video's libraries hold, no picture's child need hold: this one is not used again
            with (
                ask.child(once=True) as child,
                self._open(video) as (inline, fds),
                ask.room(ROOM_BYTES, 2 * ROOM_BYTES) as room,
            ):
                question = question | {"op": "video", "length": len(video), "inline": not fds, "room": ROOM_BYTES}
                yield child, self._answered(video, child, question, inline, [*fds, room.segment.fd]), room.segment.fd
                room.leave()
        except (StartError, OSError) as error:
            _log.error("videos can't be decoded now: %s", error)
            raise Busy("the server can't start a process to decode the video", retry_after_ms=1000) from error
        finally:
            self._places.release()

    @contextlib.contextmanager
    def _open(self, video: Video) -> Iterator[tuple[bytes, list[int]]]:
        """The file for a message to a child: its bytes if they are few, else a descriptor."""
        if isinstance(video, OnDisk):
            yield b"", [video.fd]
            return
        with self._exchange.file(video) as file:
            yield (video, []) if file is None else (b"", [file.fd])

    def _answered(
        self, video: Video, child: Child, question: Message, payload: bytes = b"", fds: list[int] | None = None
    ) -> Message:
        try:
            tell(child, question, payload, fds or [])
            answer = self._exchange.receive(child, 2 * VIDEO_LIMITS.cpu_s)
        except Hostile as error:
            # A child may have been killed by somebody: only what it used up speaks against the video.
            proven = error.proven and error.reason != "crash"
            raise self._exchange.refused(video, error.reason, "video", proven=proven) from None
        if "missing" in answer:
            raise VideosNotRead(MISSING)
        return self._exchange.checked(video, answer, "video")


def _format_of(video: Video) -> Format:
    """Raises InvalidImage."""
    form = video_format_of(video) if isinstance(video, bytes) else video.video_format
    if form is None:
        raise InvalidImage(UNSUPPORTED_VIDEO)
    return form


def _frame(answer: Message, fd: int) -> VideoFrame:
    with mapped(fd, answer["frame"]) as shared:
        jpeg = shared[:]
    return VideoFrame(jpeg, answer["at"], answer["cut"], answer["width"], answer["height"], answer["seconds"])
