"""A child's showing of a video: one frame for each that the server asks for, as a JPEG. Only imported in child
processes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

import cv2
import numpy as np

from facewire.protocol.settings import MEBIBYTE
from facewire.server.vision.decoding.memory import mapped
from facewire.server.vision.decoding.video_limits import HEADER_CPU_S, VIDEO_LIMITS
from facewire.server.vision.decoding.wire import Message, receive, send

LIBRARY_BYTES = 256 * MEBIBYTE
"""Of memory: PyAV's libraries, and what a demuxer takes, of which the index of three hours at 60 frames a second has
60 MB. The file itself stays outside."""

ROOM_BYTES = 12 * MEBIBYTE
"""For a frame's JPEG: the pixels of the largest one."""

_HELD_FRAMES = 24  # that a decoder keeps: sixteen, and those on their way
_BYTES_A_PIXEL = 3  # ten bits a colour, at half resolution
_QUALITY = (92, 60)  # the second for one that is noise and larger than its pixels
_LONGER = 2  # the kernel waits: it can't say why it ended a child
_NICE = 5  # pictures, which somebody waits for, come first; unless the whole server is nice already

Allow = Callable[[int, int], None]
"""Allows processor time in seconds, and bytes of memory, from now on."""


def show(channel: socket.socket, message: Message, file: BinaryIO, room: int, allow: Allow) -> Message:
    """Answers `message` about the video in `file`: `wanted` is "header", "frames", or "frame" `at` some second. `room`:
    a descriptor of ROOM_BYTES. Raises InvalidImage, MemoryError and Ended."""
    if os.nice(0) == 0:
        os.nice(_NICE)
    limits = VIDEO_LIMITS
    seconds = limits.cpu_s if message["wanted"] == "frames" else HEADER_CPU_S
    begun = time.process_time()
    allow(_LONGER * seconds, LIBRARY_BYTES)
    try:
        from facewire.server.vision.decoding.film import Film, Frame
    except ModuleNotFoundError as error:
        if error.name != "av":
            raise
        return {"missing": True}
    film = Film(file, limits)
    memory = _HELD_FRAMES * _BYTES_A_PIXEL * film.pixels
    if message["wanted"] != "header":
        send(channel, {"memory": memory})
        receive(channel)  # waits until the budget allows it
    allow(_LONGER * seconds, LIBRARY_BYTES + 2 * (memory + ROOM_BYTES))
    frames: Iterator[Frame] = film.frames()
    if message["wanted"] == "frame":
        frames = iter([film.frame_at(message["at"])])
    if message["wanted"] == "header":
        frame = film.frame_at(0.0)  # which knows how the video is turned
        return {"width": film.shown[0], "height": film.shown[1], "seconds": film.duration_s, "at": frame.seconds}
    for frame in frames:
        if time.process_time() > begun + seconds:
            return {"hostile": "time"}
        said = {"frame": _written(frame.pixels, room), "at": frame.seconds, "cut": frame.cut}
        send(channel, said | {"width": film.shown[0], "height": film.shown[1], "seconds": film.duration_s})
        receive(channel)
    return {"end": True, "seconds": film.duration_s}


def _written(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], room: int) -> int:
    """Writes a JPEG of BGR pixels into the room; its length in bytes."""
    for quality in _QUALITY:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _FULL_COLOUR]
        done, data = cv2.imencode(".jpg", pixels, options)
        if done and len(data) <= ROOM_BYTES:
            with mapped(room, ROOM_BYTES) as shared:
                shared[: len(data)] = data.tobytes()
            return len(data)
    raise ValueError(f"no JPEG of {pixels.shape} fits")


_FULL_COLOUR = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444  # a face's colours are halved once already, in the video
