"""The limits of a video: what is refused, and how many of its frames are looked at."""

from __future__ import annotations

from dataclasses import dataclass

FRAME_SIDE = 1920
"""Pixels of the longer side of a frame, to which larger ones are reduced: 4K yields no face that matters more."""

HEADER_CPU_S = 10
"""Processor time in seconds for a video's header and one frame: twenty times what they take."""


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """A video of more seconds, or more pixels a frame, is refused.

    `frame_every_s`: time between two frames that are looked at within a scene; more in a video that would have more
    than `max_frames` of them. `max_decoded`: pixels of all frames together, beyond which only key frames are decoded,
    a third as many pixels of them: two minutes of 1080p, a quarter of one of 4K at 60 frames a second; up to 20 seconds
    on one core. `cpu_s`: processor time for all of it, four times that; the kernel ends it at twice this.
    """

    max_seconds: float = 3 * 3600.0  # longer than a film in the cinema
    max_pixels: int = 4096 * 2304  # 4K, as phones and cinemas write it
    frame_every_s: float = 0.5  # nobody walks through a picture in less
    max_frames: int = 300  # a minute of a server that looks at five a second
    max_decoded: int = 7_500_000_000
    cpu_s: int = 80


VIDEO_LIMITS = VideoLimits()
