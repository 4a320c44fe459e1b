"""Text on a picture: in OpenCV's own letters, which are ASCII only, or in a font of this machine that has all it needs.

Pillow draws what OpenCV can't. Where it is not installed, or no font has the letters, who draws needs another text.
"""

from __future__ import annotations

import importlib.util
import os
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import cv2
import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

WHITE = (255, 255, 255)
_HERSHEY = cv2.FONT_HERSHEY_SIMPLEX
_PIXELS = 30  # a font's height that looks as large as OpenCV's letters at size 1
_PROBED_AT = 24  # pixels at which a font is asked for its letters
_MISSING = "\U0010fffe"  # no character, so what a font shows for it is what it shows for all that it lacks

_MOST_FONTS = 1000  # looked at; some machines have the whole of TeX's
_SUFFIXES = (".ttf", ".otf", ".ttc")
_FOLDERS = (
    *("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
    *("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    *(r"%WINDIR%\Fonts", r"%LOCALAPPDATA%\Microsoft\Windows\Fonts"),
)
_PLAIN = ("notosans-regular", "notosanscjk-regular", "dejavusans", "arialuni", "arial", "segoeui")
_FANCY = ("bold", "italic", "oblique", "mono", "condensed", "narrow", "light", "thin", "black", "serif", "type1")


class Extent(NamedTuple):
    """In pixels: how wide, how high above the baseline, how deep below it."""

    width: int
    height: int
    below: int


class Lettering(Protocol):
    """A line of text that can be drawn at any size; 1 is OpenCV's natural one."""

    def extent(self, size: float) -> Extent: ...
    def paint(self, canvas: cv2.typing.MatLike, left: int, baseline: int, size: float) -> None:
        """White, with its beginning at `left`; what reaches beyond the canvas is cut off."""


class Plain:
    """ASCII, in OpenCV's letters."""

    def __init__(self, text: str) -> None:
        self._text = text

    def extent(self, size: float) -> Extent:
        (width, height), below = cv2.getTextSize(self._text, _HERSHEY, size, _line(size))
        return Extent(width, height, below)

    def paint(self, canvas: cv2.typing.MatLike, left: int, baseline: int, size: float) -> None:
        cv2.putText(canvas, self._text, (left, baseline), _HERSHEY, size, WHITE, _line(size), cv2.LINE_AA)


class Typeset:
    """Text in fonts, one after the other."""

    def __init__(self, runs: Sequence[tuple[str, Path | None]]) -> None:
        """`runs`: texts, each with its font; None: Pillow's own, of Latin letters."""
        self._runs = runs

    def extent(self, size: float) -> Extent:
        fonts = [_font(path, _height(size)) for _, path in self._runs]
        boxes = [font.getbbox(text, anchor="ls") for (text, _), font in zip(self._runs, fonts, strict=True)]
        width = sum(font.getlength(text) for (text, _), font in zip(self._runs, fonts, strict=True))
        height, below = max(-box[1] for box in boxes), max(box[3] for box in boxes)
        return Extent(round(width) + 1, max(1, round(height)), max(0, round(below)))

    def paint(self, canvas: cv2.typing.MatLike, left: int, baseline: int, size: float) -> None:
        from PIL import Image, ImageDraw

        width, height, below = self.extent(size)
        mask = Image.new("L", (width, height + below))
        pen, at = ImageDraw.Draw(mask), 0.0
        for text, path in self._runs:
            font = _font(path, _height(size))
            pen.text((at, height), text, fill=255, font=font, anchor="ls")
            at += font.getlength(text)
        _blend(canvas, np.asarray(mask), left, baseline - height)


def typeset(name: str, rest: str) -> Lettering | None:
    """`name` and `rest`, which is ASCII, in a font that has every letter of the name; None where there is none."""
    font = _font_for(name)
    if font is None:
        return None
    return Typeset([(name + rest, font)] if _has(font, rest) else [(name, font), (rest, None)])


def _blend(canvas: cv2.typing.MatLike, mask: np.ndarray[tuple[int, int], np.dtype[np.uint8]], x: int, y: int) -> None:
    top, left = max(0, y), max(0, x)
    bottom, right = min(canvas.shape[0], y + mask.shape[0]), min(canvas.shape[1], x + mask.shape[1])
    if top >= bottom or left >= right:
        return
    share = mask[top - y : bottom - y, left - x : right - x, None].astype(np.float32) / 255
    area = canvas[top:bottom, left:right]
    area[:] = np.rint(area * (1 - share) + 255 * share).astype(np.uint8)


def _line(size: float) -> int:
    return max(1, round(1.5 * size))


def _height(size: float) -> int:
    return max(8, round(_PIXELS * size))


@lru_cache(maxsize=64)
def _font(path: Path | None, height: int) -> FreeTypeFont | BitmapFont:
    from PIL import ImageFont

    return ImageFont.load_default(height) if path is None else ImageFont.truetype(path, height)


@lru_cache(maxsize=256)
def _font_for(text: str) -> Path | None:
    """The plainest font that has every letter of the text."""
    if importlib.util.find_spec("PIL") is None:
        return None
    return next((path for path in _fonts() if _has(path, text)), None)


def _has(path: Path, text: str) -> bool:
    letters = {letter for letter in text if not letter.isspace() and unicodedata.category(letter) != "Cf"}
    try:
        font = _font(path, _PROBED_AT)
        missing = _shape(font, _MISSING)
        return all(_shape(font, letter) not in (missing, b"") for letter in letters)
    except (OSError, ValueError):  # damaged, of one size only, or not a font
        return False


def _shape(font: FreeTypeFont | BitmapFont, letter: str) -> bytes:
    mask = font.getmask(letter)
    return bytes(mask) + repr(mask.size).encode() if mask.size[0] and mask.size[1] else b""


@lru_cache(maxsize=1)
def _fonts() -> tuple[Path, ...]:
    """The fonts of this machine, the plainest first."""
    found = [path for folder in _folders() for path in _below(folder)]
    return tuple(sorted(found, key=_fanciness)[:_MOST_FONTS])


def _folders() -> Iterator[Path]:
    for folder in _FOLDERS:
        yield Path(os.path.expandvars(folder)).expanduser()
    matplotlib = importlib.util.find_spec("matplotlib")
    if matplotlib is not None and matplotlib.origin is not None:
        yield Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"


def _below(folder: Path) -> Iterator[Path]:
    for directory, _, files in os.walk(folder):
        yield from (Path(directory, name) for name in files if name.lower().endswith(_SUFFIXES))


def _fanciness(path: Path) -> tuple[int, int, str]:
    stem = path.stem.lower()
    known = _PLAIN.index(stem) if stem in _PLAIN else len(_PLAIN)
    return known, sum(word in stem for word in _FANCY), str(path)
