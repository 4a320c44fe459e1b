"""What is looked at in a frame's pixels: how sharp a face is, and its crop."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.protocol.messages import IdentifiedFace

Box = tuple[float, float, float, float]

_LOOKED_AT = 64  # pixels: sharpness is compared at one size, or a large face would count as a blurred one
_HALF_SHARP = 60.0  # the Laplacian's variance of a face that a webcam has just in focus
_FULL_SIZE = 80.0  # pixels: FaceNet gains nothing from larger faces (it reads 160, and detectors add a margin)
_MARGIN = 0.35  # of the face, around a crop: hair and chin
_LARGEST_CROP = 320  # pixels
_QUALITY = 85


class Picture:
    """A decoded frame; `pixels` is None where the JPEG can't be read."""

    def __init__(self, jpeg: bytes) -> None:
        self._pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)

    def weight(self, face: IdentifiedFace) -> float:
        """What this face's vote counts, 0 to 1: large and sharp faces say more."""
        part = self._part(face.box, 0.0)
        if part is None:
            return 0.0
        grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(grey, (_LOOKED_AT, _LOOKED_AT), interpolation=cv2.INTER_AREA)
        variance = float(cv2.Laplacian(small, cv2.CV_64F).var())
        size = min(1.0, min(face.box[2], face.box[3]) / _FULL_SIZE)
        return size * variance / (variance + _HALF_SHARP) * face.detection

    def crop(self, box: Box) -> bytes | None:
        """A JPEG of the face with some margin."""
        part = self._part(box, _MARGIN)
        if part is None:
            return None
        longest = max(part.shape[:2])
        if longest > _LARGEST_CROP:
            scale = _LARGEST_CROP / longest
            part = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        done, data = cv2.imencode(".jpg", part, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        return data.tobytes() if done else None

    def _part(self, box: Box, margin: float) -> NDArray[np.uint8] | None:
        if self._pixels is None:
            return None
        x, y, width, height = box
        high, wide = self._pixels.shape[:2]
        left, top = max(0, round(x - margin * width)), max(0, round(y - margin * height))
        right, bottom = min(wide, round(x + (1 + margin) * width)), min(high, round(y + (1 + margin) * height))
        if right - left < 2 or bottom - top < 2:
            return None
        return self._pixels[top:bottom, left:right]  # type: ignore[return-value]
