"""Real group photographs with known people: bbt1.jpg to bbt5.jpg and portraits of the same eight people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from facewire.server.errors import StartError
from lab.evaluation.gatherings import Gathering, Shown

# The middle of each face and its width, as shares of the picture's width, height and width; found by looking.
PEOPLE: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "bbt1": {
        "raj": (0.19, 0.25, 0.07), "leonard": (0.38, 0.27, 0.07), "howard": (0.57, 0.27, 0.07),
        "sheldon": (0.77, 0.2, 0.07),
    },
    "bbt2": {"leonard": (0.2, 0.37, 0.13), "sheldon": (0.6, 0.34, 0.12)},
    "bbt3": {
        "sheldon": (0.11, 0.15, 0.1), "howard": (0.3, 0.31, 0.1), "penny": (0.47, 0.33, 0.1), "raj": (0.66, 0.35, 0.1),
        "leonard": (0.87, 0.33, 0.1),
    },
    "bbt4": {
        "amy": (0.17, 0.17, 0.13), "raj": (0.39, 0.21, 0.12), "bernadette": (0.865, 0.26, 0.11),
        "leonard": (0.14, 0.67, 0.13), "penny": (0.42, 0.6, 0.13), "sheldon": (0.73, 0.5, 0.13),
    },
    "bbt5": {
        "raj": (0.15, 0.47, 0.09), "penny": (0.27, 0.2, 0.08), "sheldon": (0.51, 0.42, 0.09),
        "leonard": (0.65, 0.21, 0.08), "howard": (0.81, 0.37, 0.09),
    },
}  # fmt: skip


def group_photos(folder: Path) -> Iterator[Gathering]:
    """The group photographs and the portraits in people/NAME. Raises StartError if one is missing or unreadable."""
    for name, shown in PEOPLE.items():
        data, width, height = _picture(folder / f"{name}.jpg")
        faces = [Shown(who, x * width, y * height, across * width, "near") for who, (x, y, across) in shown.items()]
        yield Gathering(data, tuple(faces))
    for path in sorted((folder / "people").glob("*/*")):
        data, width, height = _picture(path)
        yield Gathering(data, (Shown(path.parent.name, width / 2, height / 2, width / 2, "near"),))


def _picture(path: Path) -> tuple[bytes, int, int]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StartError(f"can't read {path}: {error.strerror}", exit_code=2) from error
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise StartError(f"{path} is no picture", exit_code=2)
    height, width = pixels.shape[:2]
    return data, width, height
