"""Where a face is in a picture, as XMP's regions say it: relative to the picture as it is stored.

Other programs turn a stored picture by its EXIF orientation before they show it, and turn the regions with it (Metadata
Working Group, Guidelines for Handling Image Metadata 2.0, 5.9).
"""

from __future__ import annotations

from dataclasses import dataclass

from facewire.server.gallery.records import Box
from facewire.server.vision.image import lies

_BACK = {6: 8, 8: 6}
"""Orientations that are not their own inverse."""


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle by its centre and size, as fractions of the picture's width and height."""

    x: float
    y: float
    w: float
    h: float

    @classmethod
    def of(cls, box: Box, width: int, height: int) -> Area:
        """The part of a box, x, y, width, height in pixels, that lies inside a picture of this size."""
        x, y, w, h = box
        left, top = max(0.0, x), max(0.0, y)
        right, bottom = min(width, x + w), min(height, y + h)
        return cls(
            (left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height
        )

    def as_stored(self, orientation: int) -> Area:
        """The same part of the stored picture, if this one is shown by turning that by EXIF's `orientation`."""
        return self.as_shown(_BACK.get(orientation, orientation))

    def as_shown(self, orientation: int) -> Area:
        """The same part of the picture as shown, if this one is of the stored picture."""
        x, y = _SHOWN_AT[orientation](self.x, self.y)
        return Area(x, y, self.h, self.w) if lies(orientation) else Area(x, y, self.w, self.h)


_SHOWN_AT = {
    1: lambda x, y: (x, y),
    2: lambda x, y: (1 - x, y),
    3: lambda x, y: (1 - x, 1 - y),
    4: lambda x, y: (x, 1 - y),
    5: lambda x, y: (y, x),
    6: lambda x, y: (1 - y, x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (y, 1 - x),
}
"""EXIF's orientation -> where a point of the stored picture is shown."""
