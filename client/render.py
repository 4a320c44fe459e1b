"""Draws an answer onto its picture. Needs numpy, cv2 and Pillow, so it is imported only when asked for."""

from __future__ import annotations

import io
import unicodedata

import cv2
import numpy as np
from PIL import Image, ImageOps
from pillow_heif import HeifImageFile

from client.report import who
from protocol.formats import format_of
from protocol.messages import Identified, IdentifiedFace

_COLOURS = {"match": (60, 170, 40), "unknown": (60, 60, 220), "ambiguous": (0, 160, 230)}  # BGR: green, red, amber
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST_TEXT = 0.4  # of the font's 30 px: the smallest that can be read
_LABEL_WIDTH = 1.7  # of the face: people stand about twice a face's width apart, so labels rarely meet
_PICTURE_WIDTH = 1100.0  # pixels at which the font's own size, 1.0, looks right
# What takes no accent off when decomposed, in the spelling that people use themselves.
_SPELLED = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"}
    | {"ł": "l", "Ł": "L", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "\u0131": "i", "\u2019": "'", "\u2013": "-"}
)


class CannotDraw(Exception):
    """The picture can't be read, or not written, here."""


def draw(picture: bytes, answer: Identified) -> bytes:
    """A JPEG of the picture as shown, with a box and a label a face. Raises CannotDraw."""
    canvas = _as_shown(picture)  # as boxes are pixels of the picture as shown
    if canvas is None:
        raise CannotDraw("this picture can't be read here")
    largest = max(_SMALLEST_TEXT, canvas.shape[1] / _PICTURE_WIDTH)
    for number, face in enumerate(answer.faces, 1):
        text = label(number, face)
        _draw_face(canvas, face, text, _text_size(text, face.box[2], largest))
    done, data = cv2.imencode(".jpg", canvas)
    if not done:
        raise CannotDraw("this picture can't be written as a JPEG")
    return data.tobytes()


def _as_shown(picture: bytes) -> cv2.typing.MatLike | None:
    """BGR pixels, turned as the file says; None where it can't be read. OpenCV turns only JPEGs as all viewers do."""
    form = format_of(picture)
    try:
        if form is not None and form.key == "JPEG":
            return cv2.imdecode(np.frombuffer(picture + _JPEG_END, np.uint8), cv2.IMREAD_COLOR)
        file = io.BytesIO(picture)
        is_heif = form is not None and form.key == "HEIF"
        with HeifImageFile(file) if is_heif else Image.open(file) as image:  # type: ignore[no-untyped-call]
            return cv2.cvtColor(np.array(ImageOps.exif_transpose(image).convert("RGB")), cv2.COLOR_RGB2BGR)
    except (cv2.error, OSError, ValueError, SyntaxError, RuntimeError):  # damaged, or more pixels than they take
        return None


_JPEG_END = b"\xff\xd9"  # which some files lack, and which does no harm behind another


def label(number: int, face: IdentifiedFace) -> str:
    """What stands at a box: the name in ASCII, all that cv2's fonts have; a name that has none in ASCII is given as
    the face's number in the printed answer."""
    name = in_ascii(who(face)) or f"face {number}"
    if face.emotion is None:
        return name
    return f"{name}, {face.emotion.label}{'' if face.emotion.certain else '?'}"


def in_ascii(text: str) -> str:
    """`text` with accents taken off; empty when letters would be lost."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.translate(_SPELLED)) if not unicodedata.combining(c))
    return plain if plain.isascii() and plain.isprintable() else ""


def _text_size(text: str, face_width: float, largest: float) -> float:
    """The size at which the text is _LABEL_WIDTH as wide as the face, within what can be read and looks right."""
    width_at_one = cv2.getTextSize(text, _FONT, 1.0, 1)[0][0]
    return min(largest, max(_SMALLEST_TEXT, _LABEL_WIDTH * face_width / width_at_one))


def _draw_face(canvas: cv2.typing.MatLike, face: IdentifiedFace, text: str, size: float) -> None:
    x, y, width, height = (round(value) for value in face.box)
    colour = _COLOURS[face.decision]
    line = max(1, round(1.5 * size))  # of the letters; a box of less than 2 px loses its colour in a JPEG
    cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, max(2, round(2 * size)))
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, size, line)
    # Above the box where there is room, below it otherwise, and inside the picture in any case.
    baseline = y - below - line if y - text_height - below - line >= 0 else y + height + text_height + line
    baseline = min(baseline, canvas.shape[0] - below)
    left = max(0, min(x, canvas.shape[1] - text_width))
    corner = (left + text_width, baseline + below)
    cv2.rectangle(canvas, (left, baseline - text_height - line), corner, colour, cv2.FILLED)
    cv2.putText(canvas, text, (left, baseline), _FONT, size, (255, 255, 255), line, cv2.LINE_AA)
