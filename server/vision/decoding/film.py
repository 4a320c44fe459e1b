"""A video file -> the frames that are looked at. Only imported in child processes, and the only module that uses PyAV.

The demuxer is named, not guessed, and reads from a descriptor, so that no file can make it open another one or a
network connection. Which frames are taken depends on the file alone (docs/decisions/0075)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from facewire.protocol.formats import HEAD_BYTES, UNSUPPORTED_VIDEO, video_format_of
from facewire.server.errors import InvalidImage
from facewire.server.vision.decoding.video_limits import FRAME_SIDE, VideoLimits

CODECS = frozenset(
    {"h264", "hevc", "mpeg4", "h263", "mjpeg", "prores", "dvvideo", "vp8", "vp9", "libvpx-vp9", "libdav1d", "av1"}
)
"""Decoders that strangers' bytes may reach: what phones, cameras and browsers write."""

CUT = 27.0
"""Mean difference in brightness, of 255, between two frames of different scenes; PySceneDetect's threshold."""

_SMALL = (32, 18)  # width and height at which frames are compared
_MOST_DAMAGED = 100  # packets that can't be decoded: a tenth of a second of a bad connection has ten
_CUT_OFF_S, _CUT_OFF_SHARE = 1.0, 0.02  # missing at the end of a file that still counts as whole

_KEY_COST = 3  # times what any frame takes to decode, as it holds a whole picture

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """(height, width, 3) uint8 BGR `pixels` as shown, at `seconds` from the beginning; `cut`: a scene begins here."""

    pixels: Pixels
    seconds: float
    cut: bool


class Film:
    """An opened video. `duration_s`; `width`, `height`: as shown, in pixels."""

    def __init__(self, file: BinaryIO, limits: VideoLimits) -> None:
        """Reads the header. Raises InvalidImage."""
        head = file.read(HEAD_BYTES)
        if video_format_of(head) is None:
            raise InvalidImage(UNSUPPORTED_VIDEO)
        file.seek(0)
        with _damage("the video's header is damaged or cut off"):
            self._container = av.open(file, format="mov", metadata_errors="ignore")
        if not self._container.streams.video:
            raise InvalidImage("the video has no picture track, only sound")
        self._limits = limits
        self._stream = self._container.streams.video[0]
        context = self._stream.codec_context
        if context.name not in CODECS:
            raise InvalidImage(f"the video is coded as {context.name[:32]}, which is not supported")
        context.thread_count = 1
        self._check_size(context.width, context.height)
        self._stored = context.width, context.height
        self._start = float((self._stream.start_time or 0) * self._stream.time_base)
        self._declared = self._seconds(self._stream.duration) or float(self._container.duration or 0) / av.time_base
        if self._declared > limits.max_seconds:
            raise InvalidImage(f"the video lasts {self._declared:.0f} s, the limit is {limits.max_seconds:.0f} s")
        self._reached = 0.0  # the end of the last packet
        self._quarter_turns = 0
        self._key_gap: float | None = None  # seconds
        self._next_key = 0.0

    @property
    def pixels(self) -> int:
        """Of a frame as stored."""
        return int(self._stored[0]) * int(self._stored[1])

    @property
    def duration_s(self) -> float:
        """As declared, or else as far as it has been read."""
        return self._declared or self._reached

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as shown; known once a frame was decoded."""
        width, height = self._stored
        return (height, width) if self._quarter_turns % 2 else (width, height)

    def frames(self) -> Iterator[Frame]:
        """The first frame of each scene, and one every `frame_every_s` or more within it, `max_frames` at most.

        A third of these is set aside for scenes; once it is used up, only time counts. Raises InvalidImage.
        """
        limits = self._limits
        self._measure_if_needed()
        regular = max(1, limits.max_frames * 2 // 3)
        scenes, taken = limits.max_frames - regular, 0
        every = max(limits.frame_every_s, self._declared / regular)
        if self._work() > self._limits.max_decoded:
            self._only_keys(_KEY_COST * self._declared * self.pixels / limits.max_decoded)
        last, before = -every, None
        compare, turn = VideoReformatter(), VideoReformatter()
        for seconds, frame in self._decoded():
            small = (
                compare.reformat(frame, *_SMALL, "gray", interpolation="POINT", threads=1).to_ndarray().astype(np.int16)
            )
            cut = before is None or float(np.abs(small - before).mean()) > CUT
            before = small
            due = seconds - last >= every - 1e-6
            if due or (cut and scenes > 0):
                scenes -= not due
                last, taken = seconds, taken + 1
                yield Frame(self._shown(frame, turn), seconds, cut)
                if taken == limits.max_frames:
                    break
        if not taken:
            raise InvalidImage("the video has no frame that can be decoded")
        self._check_whole()

    def frame_at(self, seconds: float) -> Frame:
        """The first frame from there on, or else the last one. Raises InvalidImage."""
        with _damage("the video is damaged"):
            self._container.seek(int((seconds + self._start) / self._stream.time_base), stream=self._stream)
        found = None
        for at, frame in self._decoded():
            found = at, frame
            if at >= seconds - 1e-3:
                break
        if found is None:
            raise InvalidImage("the video has no frame that can be decoded")
        return Frame(self._shown(found[1], VideoReformatter()), found[0], False)

    def _decoded(self) -> Iterator[tuple[float, VideoFrame]]:
        """Every frame and its seconds. Raises InvalidImage."""
        damaged, number = 0, 0
        for packet in self._packets():
            if self._passes_over(packet):
                continue
            try:
                frames = packet.decode()
            except av.error.MemoryError as error:
                raise MemoryError from error
            except av.error.FFmpegError as error:
                damaged += 1
                if damaged > _MOST_DAMAGED:
                    raise InvalidImage("the video is damaged: much of it can't be decoded") from error
                continue
            for frame in frames:
                self._check_size(frame.width, frame.height)
                number += 1
                seconds = self._seconds(frame.pts) - self._start if frame.pts is not None else number / 25
                yield max(0.0, seconds), frame

    def _only_keys(self, gap: float) -> None:
        """Decode key frames only, one each `gap` seconds at most: an hour of 4K has thousands."""
        self._stream.codec_context.skip_frame = "NONKEY"
        self._key_gap, self._next_key = gap, 0.0

    def _passes_over(self, packet: av.Packet) -> bool:
        if self._key_gap is None or packet.pts is None:
            return False
        seconds = self._seconds(packet.pts) - self._start
        if not packet.is_keyframe or seconds < self._next_key:
            return True
        self._next_key = seconds + self._key_gap
        return False

    def _packets(self) -> Iterator[av.Packet]:
        with _damage("the video is damaged"):
            packets = self._container.demux(self._stream)
        while True:
            with _damage("the video is damaged"):
                packet = next(packets, None)
            if packet is None:
                return
            if packet.pts is not None:
                end = self._seconds(packet.pts + (packet.duration or 0)) - self._start
                self._reached = max(self._reached, end)
                limit = self._declared + 1.0 if self._declared else self._limits.max_seconds
                if self._reached > limit + 0.02 * limit:
                    raise InvalidImage("the video is damaged or hostile: it is longer than it claims, or than allowed")
            yield packet

    def _measure_if_needed(self) -> None:
        """The length of a video that doesn't declare one, as browsers record them: its packets are read twice."""
        if self._declared:
            return
        for _ in self._packets():
            pass
        self._declared = self._reached
        with _damage("the video is damaged"):
            self._container.seek(0)

    def _check_whole(self) -> None:
        missing = self._declared - self._reached
        if missing > max(_CUT_OFF_S, _CUT_OFF_SHARE * self._declared):
            percent = max(1, round(100 * missing / self._declared))
            raise InvalidImage(f"the file is cut off: about {percent} % of the video is missing; copy it again")

    def _work(self) -> float:
        count = self._stream.frames or self._declared * float(self._stream.average_rate or 30)
        return float(count * self.pixels)

    def _seconds(self, ticks: int | None) -> float:
        return float((ticks or 0) * (self._stream.time_base or 0))

    def _check_size(self, width: int, height: int) -> None:
        if width * height > self._limits.max_pixels:
            raise InvalidImage(
                f"the video has {width}x{height} pixels, the limit is {self._limits.max_pixels / 1e6:.1f} megapixels"
            )
        if not width or not height:
            raise InvalidImage("the video's header is damaged: it claims no size")

    def _shown(self, frame: VideoFrame, reformatter: VideoReformatter) -> Pixels:
        """Upright BGR pixels, reduced to FRAME_SIDE."""
        scale = min(1.0, FRAME_SIDE / max(frame.width, frame.height))
        size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        pixels = reformatter.reformat(frame, *size, "bgr24", interpolation="AREA", threads=1).to_ndarray()
        self._quarter_turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(pixels, self._quarter_turns), np.uint8)


@contextmanager
def _damage(what: str) -> Iterator[None]:
    """FFmpeg's errors as InvalidImage."""
    try:
        yield
    except (av.error.FFmpegError, ValueError, OSError) as error:
        if isinstance(error, av.error.MemoryError):
            raise MemoryError from error
        raise InvalidImage(what) from error
