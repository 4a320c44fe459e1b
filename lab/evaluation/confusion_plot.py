"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import StartError

CELL, MARGIN = 84, 110  # pixels: a cell fits "100 %" and a margin "surprise" at this font size
LETTERS, INK, PAPER = 0.5, (40, 40, 40), 255


def save_confusion(path: Path, counts: NDArray[np.int64], labels: Sequence[str]) -> None:
    """Writes an image: a row per true label, a column per predicted one, and percentages of the row.

    Raises StartError if the file can't be written.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = MARGIN + CELL * len(labels)
    canvas = np.full((side, side, 3), PAPER, np.uint8)
    for row, label in enumerate(labels):
        _write(canvas, label, (MARGIN // 2, MARGIN + row * CELL + CELL // 2), INK)
        _write(canvas, label, (MARGIN + row * CELL + CELL // 2, MARGIN - 20), INK)
        for column in range(len(labels)):
            _draw_cell(canvas, row, column, float(shares[row, column]))
    _write(canvas, "true, given:", (MARGIN // 2, MARGIN - 60), INK)
    if not cv2.imwrite(str(path), canvas):
        raise StartError(f"{path} can't be written", exit_code=2)


def _draw_cell(canvas: NDArray[np.uint8], row: int, column: int, share: float) -> None:
    left, top = MARGIN + column * CELL, MARGIN + row * CELL
    shade = tuple(round(PAPER + share * (dark - PAPER)) for dark in (150, 80, 20))
    cv2.rectangle(canvas, (left, top), (left + CELL - 2, top + CELL - 2), shade, cv2.FILLED)
    light = share > 0.5  # white letters on dark cells
    _write(canvas, f"{share:.0%}", (left + CELL // 2, top + CELL // 2), (PAPER,) * 3 if light else INK)


def _write(canvas: NDArray[np.uint8], text: str, middle: tuple[int, int], ink: tuple[int, ...]) -> None:
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, LETTERS, 1)
    start = (middle[0] - width // 2, middle[1] + height // 2)
    cv2.putText(canvas, text, start, cv2.FONT_HERSHEY_SIMPLEX, LETTERS, ink, 1, cv2.LINE_AA)
