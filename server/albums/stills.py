"""The pictures of an original: a photo is one itself, a video has one at each second."""

from __future__ import annotations

from facewire.server.albums.originals import Originals
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.decoding.video_limits import FRAME_SIDE


class Stills:
    """Thread-safe."""

    def __init__(self, originals: Originals, decoder: Decoder) -> None:
        self._originals = originals
        self._decoder = decoder

    def picture(self, sha256: str, at: float | None) -> bytes:
        """A picture file; `at`: of a video, the second. Raises OSError; InvalidImage and Busy for a video."""
        if at is None:
            return self._originals.read(sha256)
        with self._originals.opened(sha256) as video:
            return self._decoder.films.frame(video, at).jpeg


def scale_of(width: int, height: int, at: float | None) -> float:
    """By how much a picture of an original of that size is smaller than it."""
    return 1.0 if at is None else min(1.0, FRAME_SIDE / max(width, height))
