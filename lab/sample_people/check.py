"""Checks that the right faces are found and the right people recognised. One table row per recogniser."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.analyser import Analyser, FoundFace
from lab.sample_people.album import Album, shown
from lab.sample_people.choose import Recogniser

CLEAR_GAP = 0.02
"""Between the least similar right answer and the most similar wrong one; dlib's similarities lie close together."""


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One recogniser's results on an album; similarities are cosines, the best over a person's templates.

    `right` of `asked` faces got the correct name; `genuine`: the lowest similarity to the right person; `impostor`: the
    highest to a wrong one; `stranger`: the stranger's highest to anybody.
    """

    model: str
    right: int
    asked: int
    genuine: float
    impostor: float
    stranger: float
    problems: tuple[str, ...]


def check_album(album: Album, recogniser: Recogniser) -> CheckRow:
    """Enrols the album's people and identifies every face of its probes."""
    analyser = recogniser.analyser
    problems: list[str] = []
    templates = [_templates(analyser, name, pictures, problems) for name, pictures in album.people.items()]
    names = [shown(name) for name in album.people]
    right, asked, genuine, impostor, stranger = 0, 0, [1.0], [-1.0], -1.0
    for file, expected in album.expected.items():
        faces = sorted(analyser.faces(album.probes[file]).faces, key=lambda face: face.box[0])
        if len(faces) != len(expected):
            problems.append(f"{file}: {len(faces)} faces instead of {len(expected)}")
            continue
        for similarities, name in zip(_similarities(analyser, faces, templates), expected, strict=True):
            if name is None:
                stranger = max(stranger, float(similarities.max()))
                continue
            index, asked = names.index(name), asked + 1
            right += int(similarities.argmax() == index)
            genuine.append(float(similarities[index]))
            impostor.append(float(np.delete(similarities, index).max()))
    if right != asked:
        problems.append(f"{asked - right} of {asked} faces are taken for somebody else")
    if min(genuine) - max(*impostor, stranger) < CLEAR_GAP:
        problems.append("right and wrong answers overlap, or nearly so")
    return CheckRow(recogniser.name, right, asked, min(genuine), max(impostor), stranger, tuple(problems))


def table(rows: Sequence[CheckRow]) -> str:
    """The rows under a heading, for a terminal."""
    lines = [f"{'model':<12}{'right':>9}{'genuine min':>14}{'impostor max':>15}{'stranger max':>15}"]
    for row in rows:
        right = f"{row.right}/{row.asked}"
        lines.append(f"{row.model:<12}{right:>9}{row.genuine:>14.3f}{row.impostor:>15.3f}{row.stranger:>15.3f}")
    return "\n".join(lines + [f"{row.model}: {problem}" for row in rows for problem in row.problems])


def _templates(analyser: Analyser, name: str, pictures: Sequence[bytes], problems: list[str]) -> NDArray[np.float32]:
    found = [analyser.faces(picture).faces for picture in pictures]
    for number, faces in enumerate(found, start=1):
        if len(faces) != 1:
            problems.append(f"{name}, picture {number}: {len(faces)} faces instead of one")
    return analyser.templates([faces[0].crop for faces in found if faces])


def _similarities(
    analyser: Analyser, faces: Sequence[FoundFace], templates: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """(faces, people): each face's best cosine among a person's templates."""
    probes = analyser.probes([face.crop for face in faces])
    best = [(probes @ rows.T).max(axis=1) for rows in templates]
    return np.stack(best, axis=1)
