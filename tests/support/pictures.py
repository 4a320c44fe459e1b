"""Picture files of a face in various formats, and invalid files."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image
from pillow_heif import register_heif_opener

register_heif_opener(thumbnails=False)  # for saving; the server's own reader needs no registration


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def animated(face: bytes, form: str) -> bytes:
    """An animation: first the face, then only grey."""
    first = opened(face)
    return saved(first, form, save_all=True, append_images=[Image.new("RGB", first.size, "grey")], duration=100)


def sixteen_bit(face: bytes) -> bytes:
    bgr = np.asarray(opened(face), np.uint16)[..., ::-1] * 257
    return bytes(cv2.imencode(".png", bgr)[1])


def with_alpha(face: bytes) -> bytes:
    image = opened(face)
    image.putalpha(200)
    return saved(image, "PNG")


def turned(face: bytes) -> bytes:
    """The picture stored sideways, with the EXIF orientation (6) that corrects it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(opened(face).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif.tobytes(), quality=95)


def side_by_side(faces: Sequence[bytes]) -> bytes:
    """One picture with the faces from left to right."""
    images = [opened(face) for face in faces]
    canvas = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)))
    at = 0
    for image in images:
        canvas.paste(image, (at, 0))
        at += image.width
    return saved(canvas, "JPEG", quality=95)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG with a valid header but hardly any pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(100))
    chunks = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, body))
    return b"\x89PNG\r\n\x1a\n" + chunks
