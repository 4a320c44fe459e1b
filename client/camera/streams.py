"""Frames of a stream, a file or a device. Only the reading child imports this: PyAV and OpenCV may hang or crash."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Protocol
from urllib.parse import urlsplit

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.client.camera.pipe import Order

Pixels = NDArray[np.uint8]

_BEHIND_S = 1.0  # a decoder that is later than this reads only whole pictures (key frames) until it has caught up
_CAUGHT_UP_S = 0.3
_DAMAGED = 100  # frames in a row that can't be decoded before the stream counts as lost
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,tcp,tls",
    "http": "http,https,httpproxy,tcp,tls,crypto",
    "https": "http,https,httpproxy,tcp,tls,crypto",
    "": "file",
}
"""What a source may lead to: a playlist of somebody's must not make us read a file of this machine."""


class NotWatchable(Exception):
    """There is no video, and there never will be."""


class StreamLost(Exception):
    """It can't be opened, or broke off; asking again may help."""


class Frame(Protocol):
    """`at`: seconds into the stream."""

    at: float

    def pixels(self, width: int) -> Pixels:
        """BGR, at most so wide."""


class _Decoded:
    """A frame as PyAV has it: converted only if it is asked for."""

    def __init__(self, frame: Any, at: float) -> None:
        self._frame = frame
        self.at = at

    def pixels(self, width: int) -> Pixels:
        wide, high = self._frame.width, self._frame.height
        narrow = min(wide, width)
        frame = self._frame.reformat(width=narrow, height=max(1, round(high * narrow / wide)), format="bgr24")
        pixels: Pixels = frame.to_ndarray()
        turns = round(getattr(self._frame, "rotation", 0) / 90) % 4  # as a phone was held
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


class _Grabbed:
    """A frame as OpenCV has it."""

    def __init__(self, pixels: Pixels, at: float) -> None:
        self._pixels = pixels
        self.at = at

    def pixels(self, width: int) -> Pixels:
        high, wide = self._pixels.shape[:2]
        if wide <= width:
            return self._pixels
        return cv2.resize(self._pixels, (width, round(high * width / wide)), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def device_frames(order: Order) -> Iterator[Frame]:
    """Of a camera at this machine. Raises NotWatchable, StreamLost."""
    device = cv2.VideoCapture(int(order.where))
    try:
        if not device.isOpened():
            raise StreamLost(f"device {order.where} can't be opened: it is not there, or in use")
        while True:
            done, pixels = device.read()
            if not done:
                raise StreamLost(f"device {order.where} stopped delivering pictures")
            yield _Grabbed(pixels, time.monotonic())  # type: ignore[arg-type]
    finally:
        device.release()


def stream_frames(order: Order) -> Iterator[Frame]:
    """Of a URL, all; of a file, one every `step_s`. Raises NotWatchable, StreamLost."""
    live = order.kind == "stream"
    with closing(_opened(order, live)) as container:
        video = next(iter(container.streams.video), None)
        if video is None:
            raise NotWatchable("it has no video, only " + _kinds(container))
        video.thread_type = "SLICE" if live else "AUTO"  # frame threads would each hold a frame back
        frames = _decoded(container, video, live)
        yield from frames if live else _every(frames, order.step_s)


def _opened(order: Order, live: bool) -> Any:
    scheme = urlsplit(order.where).scheme if live else ""
    options = {"protocol_whitelist": _PROTOCOLS[scheme]}
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # a lost packet of UDP is a grey face
    if live:
        options |= {"fflags": "nobuffer", "analyzeduration": "1000000"}  # microseconds; FFmpeg's own 5 s are for films
    where = order.where if live else f"file:{order.where}"
    try:
        return av.open(where, timeout=(order.open_s, order.read_s), options=options)
    except av.error.FFmpegError as error:
        raise _said(error, scheme) from error


_NEVER = (
    *(av.error.HTTPNotFoundError, av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
    *(av.error.HTTPBadRequestError, av.error.HTTPOtherClientError, av.error.FileNotFoundError),
    *(av.error.PermissionError, av.error.IsADirectoryError, av.error.DemuxerNotFoundError),
    av.error.ProtocolNotFoundError,
)  # fmt: skip


def _said(error: Any, scheme: str) -> Exception:
    """The error in words, without the URL, which may hold a password."""
    reason = error.strerror or "unknown error"
    if isinstance(error, av.error.InvalidDataError):
        if scheme.startswith("rtsp"):  # what FFmpeg says when nothing at all is answered, too
            return StreamLost("no RTSP server answers there in time")
        return NotWatchable("this is not a video" + (" (a web page?)" if scheme else ""))
    if isinstance(error, av.error.ExitError):
        return StreamLost("it doesn't answer in time")
    if isinstance(error, _NEVER):
        return NotWatchable(reason)
    return StreamLost(f"can't be opened: {reason}" if reason == "Input/output error" else reason)


def _kinds(container: Any) -> str:
    kinds = sorted({stream.type for stream in container.streams})
    return " and ".join(kinds) or "an empty container"


def _decoded(container: Any, video: Any, live: bool) -> Iterator[Frame]:
    pace = _Pace()
    damaged = 0
    packets = container.demux(video)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            if live:
                video.codec_context.skip_frame = "NONKEY" if pace.behind else "DEFAULT"
            for frame in packet.decode():
                damaged = 0
                at = float(frame.time or 0.0)
                pace.arrived(at)
                yield _Decoded(frame, at)
        except av.error.ExitError as error:
            raise StreamLost("no data for too long") from error
        except av.error.InvalidDataError as error:
            damaged += 1  # lost packets; the next key frame mends it
            if damaged >= _DAMAGED:
                raise StreamLost("the stream can't be decoded") from error
        except av.error.FFmpegError as error:
            raise StreamLost(f"broke off: {error.strerror}") from error


class _Pace:
    """How late the decoder is: a stream's own clock against this machine's, counted from the best frame so far."""

    def __init__(self) -> None:
        self.behind = False
        self._earliest: float | None = None

    def arrived(self, at: float) -> None:
        late = time.monotonic() - at
        if self._earliest is None or late < self._earliest or late > self._earliest + 60:  # the camera's clock jumped
            self._earliest = late
        if late - self._earliest > _BEHIND_S:
            self.behind = True
        elif late - self._earliest < _CAUGHT_UP_S:
            self.behind = False


def _every(frames: Iterator[Frame], step_s: float) -> Iterator[Frame]:
    due = -1.0
    for frame in frames:
        if frame.at >= due:
            due = frame.at + step_s - 1e-6
            yield frame
