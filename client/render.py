"""Draws an answer onto its picture. Needs numpy, cv2 and Pillow, so it is imported only when asked for."""

from __future__ import annotations

import io
import unicodedata

import cv2
import numpy as np
from PIL import Image, ImageOps
from pillow_heif import HeifImageFile

from facewire.client.lettering import Lettering, Plain, typeset
from facewire.client.report import who
from facewire.protocol.formats import format_of
from facewire.protocol.messages import Identified, IdentifiedFace

_COLOURS = {"match": (60, 170, 40), "unknown": (60, 60, 220), "ambiguous": (0, 160, 230)}  # BGR: green, red, amber
_SMALLEST_TEXT = 0.4  # of the font's 30 px: the smallest that can be read
_LABEL_WIDTH = 1.7  # of the face: people stand about twice a face's width apart, so labels rarely meet
_PICTURE_WIDTH = 1100.0  # pixels at which the font's own size, 1.0, looks right
# What takes no accent off when decomposed, in the spelling that people use themselves.
_SPELLED = str.maketrans(
    {"ß": "ss", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"}
    | {"ł": "l", "Ł": "L", "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "\u0131": "i", "\u2019": "'", "\u2013": "-"}
)
_DROPPED = ("Mn", "Me", "Cf", "So", "Sk")  # accents, joiners, pictures and the colours of their skin


class CannotDraw(Exception):
    """The picture can't be read or written."""


def draw(picture: bytes, answer: Identified) -> bytes:
    """A JPEG of the picture as shown, with a box and a label a face. Raises CannotDraw."""
    canvas = _as_shown(picture)  # as boxes are pixels of the picture as shown
    if canvas is None:
        raise CannotDraw("this computer can't read the picture")
    largest = max(_SMALLEST_TEXT, canvas.shape[1] / _PICTURE_WIDTH)
    for number, face in enumerate(answer.faces, 1):
        text = lettering(number, face)
        _draw_face(canvas, face, text, _text_size(text, face.box[2], largest))
    done, data = cv2.imencode(".jpg", canvas)
    if not done:
        raise CannotDraw("this picture can't be written as a JPEG")
    return data.tobytes()


def lettering(number: int, face: IdentifiedFace) -> Lettering:
    """What stands at a box: the name as it is, where this machine has a font for it; otherwise as `label` has it."""
    name = who(face)
    typed = None if name.isascii() or not _is_text(name) else typeset(name, _feeling(face))
    return typed or Plain(label(number, face))


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
    """What stands at a box in ASCII, all that cv2's own letters are; a name that has none in ASCII is given as the
    face's number in the printed answer."""
    return (in_ascii(who(face)) or f"face {number}") + _feeling(face)


def unwritten(answer: Identified) -> list[tuple[int, str]]:
    """The faces whose boxes bear their number, and their names, which no font here can write."""
    named = [(number, who(face)) for number, face in enumerate(answer.faces, 1)]
    return [
        (number, name)
        for number, name in named
        if not in_ascii(name) and not (_is_text(name) and typeset(name, "") is not None)
    ]


def _feeling(face: IdentifiedFace) -> str:
    return "" if face.emotion is None else f", {face.emotion.label}{'' if face.emotion.certain else '?'}"


def _is_text(name: str) -> bool:
    return all(character.isprintable() or character in "\u200c\u200d" for character in name)


def in_ascii(text: str) -> str:
    """`text` with accents and emoji taken off; empty when letters would be lost."""
    apart = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    kept = (c for c in apart if c.isascii() or unicodedata.category(c) not in _DROPPED)
    plain = "".join(kept).strip(" ")
    return plain if plain.isascii() and plain.isprintable() else ""


def _text_size(text: Lettering, face_width: float, largest: float) -> float:
    """The size at which the text is _LABEL_WIDTH as wide as the face, within what can be read and looks right."""
    return min(largest, max(_SMALLEST_TEXT, _LABEL_WIDTH * face_width / text.extent(1.0).width))


def _draw_face(canvas: cv2.typing.MatLike, face: IdentifiedFace, text: Lettering, size: float) -> None:
    x, y, width, height = (round(value) for value in face.box)
    colour = _COLOURS[face.decision]
    line = max(1, round(1.5 * size))  # of the letters; a box of less than 2 px loses its colour in a JPEG
    cv2.rectangle(canvas, (x, y), (x + width, y + height), colour, max(2, round(2 * size)))
    text_width, text_height, below = text.extent(size)
    # Above the box where there is room, below it otherwise, and inside the picture in any case.
    baseline = y - below - line if y - text_height - below - line >= 0 else y + height + text_height + line
    baseline = min(baseline, canvas.shape[0] - below)
    left = max(0, min(x, canvas.shape[1] - text_width))
    corner = (left + text_width, baseline + below)
    cv2.rectangle(canvas, (left, baseline - text_height - line), corner, colour, cv2.FILLED)
    text.paint(canvas, left, baseline, size)
