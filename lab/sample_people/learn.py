"""Reads training faces from an LFW-style folder onto the canvas. They stay in memory: no picture is ever copied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facewire.protocol.formats import has_extension
from facewire.server.errors import InvalidImage, StartError
from facewire.server.vision.analyser import Analyser, FoundFace
from facewire.server.vision.image import ImageLimits, decode_image
from lab.sample_people.geometry import EYES, LANDMARKS, Points, to_canvas

PICTURES_A_PERSON = 3
"""Nobody is learned from more often, so that the much photographed do not shape the faces drawn."""
FEWEST_FACES = 400
"""Below this the drawn faces would be blends of too few people."""
CLEARLY_SMALLER = 0.25
"""A second face below this part of the first one's area stands in the background and is no reason to skip."""
FRONTAL = 0.16
"""How far the nose may be off the middle of the eyes, in eye distances: turned faces blur the rest."""
ODD = 0.32
"""How far any landmark may be from its usual place, in eye distances."""


@dataclass(frozen=True, slots=True)
class AlignedFaces:
    """`textures`: (n, SIDE, SIDE, 3) uint8 RGB with aligned landmarks; `shapes`: (n, 5, 2) the original landmarks."""

    textures: NDArray[np.uint8]
    shapes: Points


def learn_faces(folder: Path, analyser: Analyser, most: int) -> AlignedFaces:
    """Up to `most` clear frontal faces below `folder` (one folder per person), spread over the people.

    Raises StartError if the folder is missing or shows too few faces.
    """
    if not folder.is_dir():
        raise StartError(f"{folder} is not a folder: give one in LFW's layout, Name/picture.jpg", exit_code=2)
    files = list(_in_turns(folder))
    if not files:
        raise StartError(f"{folder} has no folders with pictures in them: it should hold Name/picture.jpg", exit_code=2)
    found: list[tuple[NDArray[np.uint8], Points]] = []
    with tqdm(total=min(most, len(files)), desc="learning faces", unit="face") as progress:
        for path in files:
            face = _aligned(path, analyser)
            if face is not None:
                found.append(face)
                progress.update()
            if len(found) == most:
                break
    if len(found) < FEWEST_FACES:
        raise StartError(
            f"only {len(found)} of {len(files)} pictures in {folder} show one clear frontal face, {FEWEST_FACES} are"
            " needed: give a larger folder (LFW's 13,233 pictures are enough)",
            exit_code=2,
        )
    return AlignedFaces(np.stack([face[0] for face in found]), np.stack([face[1] for face in found]))


def _in_turns(folder: Path) -> Iterator[Path]:
    """Everybody's first picture, then everybody's second, ..."""
    files = sorted(path for path in folder.glob("*/*") if has_extension(path))
    taken: Counter[str] = Counter()
    turns: list[list[Path]] = [[] for _ in range(PICTURES_A_PERSON)]
    for path in files:
        if taken[path.parent.name] < PICTURES_A_PERSON:
            turns[taken[path.parent.name]].append(path)
        taken[path.parent.name] += 1
    for turn in turns:
        yield from turn


def _aligned(path: Path, analyser: Analyser) -> tuple[NDArray[np.uint8], Points] | None:
    data = path.read_bytes()
    try:
        faces = analyser.faces(data).faces
    except InvalidImage:
        return None
    if not faces or any(_area(face) > CLEARLY_SMALLER * _area(faces[0]) for face in faces[1:]):
        return None
    texture, shape = to_canvas(decode_image(data, ImageLimits()), np.array(faces[0].landmarks, np.float64))
    nose_off_middle = abs(shape[2, 0] - shape[:2, 0].mean())
    if nose_off_middle > FRONTAL * EYES or np.abs(shape - LANDMARKS).max() > ODD * EYES:
        return None
    return texture, shape


def _area(face: FoundFace) -> float:
    return face.box[2] * face.box[3]
