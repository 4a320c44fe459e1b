"""A perceptual hash of 192 bytes: similar for copies of a picture in other formats, qualities and sizes.

The mean colours of an 8x8 grid laid over the picture as shown. `server.gallery.search.lookalikes` decides when two
match.
"""

from __future__ import annotations

import cv2
import numpy as np

from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.image import ImageLimits, Pixels

GRID = 8

ENOUGH_PX = 8 * GRID
"""Minimum longer side when a JPEG is decoded at reduced scale: 8 pixels per cell average out the rounding."""


def fingerprint_of(decoder: Decoder, data: bytes, limits: ImageLimits) -> bytes:
    """The fingerprint of a picture file. Raises InvalidImage and Busy."""
    return fingerprint(decoder.photo(data, limits, ENOUGH_PX).pixels)


def fingerprint(pixels: Pixels) -> bytes:
    """(height, width, 3) uint8 RGB -> GRID x GRID x 3 bytes, rows from the top."""
    cells = cv2.resize(pixels, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(cells, np.uint8).tobytes()
