"""The faces that the server's own code finds in photographs whose people are known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.analyser import Analyser
from facewire.server.vision.detector import Box
from facewire.server.vision.image import Pixels
from facewire.server.vision.quality import quality_of
from lab.evaluation.gatherings import Gathering, Shown

BATCH = 32  # faces embedded at once
NEAR = 0.6  # most distance of a face found from where one is known to be, in widths of that
SIZES = (0.4, 2.2)  # width of a face found, relative to the one known to be there


@dataclass(frozen=True, slots=True, eq=False)
class AlbumFaces:
    """n faces. `photos`, `people`: (n,) which photograph, and whose face; a face that nobody knows is somebody else's.
    `sizes`, `scores`, `sharpness`: (n,) as for `facewire.server.albums.clarity`."""

    embeddings: NDArray[np.float32]
    photos: NDArray[np.int64]
    people: NDArray[np.str_]
    sizes: NDArray[np.float64]
    scores: NDArray[np.float64]
    sharpness: NDArray[np.float64]


def look(analyser: Analyser, photographs: Iterable[Gathering]) -> AlbumFaces:
    """Finds and embeds the faces of an album, as the server does."""
    crops: list[Pixels] = []
    people: list[str] = []
    measured: list[tuple[float, ...]] = []
    for number, photograph in enumerate(photographs):
        picture = analyser.faces(photograph.jpeg)
        left = list(photograph.shown)
        for face in picture.faces:
            known = _nearest(left, face.box)
            if known is not None:
                left.remove(known)
            people.append(f"nobody {len(people)}" if known is None else known.person)
            quality = quality_of(face.crop, face.box, face.landmarks, picture.width, picture.height)
            measured.append((number, min(face.box[2:]), face.detection, quality.sharpness))
            crops.append(face.crop)
    embeddings = [analyser.templates(crops[start : start + BATCH]) for start in range(0, len(crops), BATCH)]
    photos, sizes, scores, sharpness = np.array(measured, np.float64).reshape(-1, 4).T
    blank = np.zeros((0, analyser.spec.dimension), np.float32)
    return AlbumFaces(
        np.concatenate([blank, *embeddings]),
        photos.astype(np.int64),
        np.array(people, np.str_),
        sizes,
        scores,
        sharpness,
    )


def together(albums: Sequence[AlbumFaces]) -> AlbumFaces:
    """Several albums as one."""
    photos, begun = [], 0
    for album in albums:
        photos.append(album.photos + begun)
        begun += int(album.photos.max(initial=-1)) + 1
    return AlbumFaces(
        np.concatenate([album.embeddings for album in albums]),
        np.concatenate(photos),
        np.concatenate([_apart(album.people, number) for number, album in enumerate(albums)]),
        *(np.concatenate([getattr(album, name) for album in albums]) for name in ("sizes", "scores", "sharpness")),
    )


def _apart(people: NDArray[np.str_], album: int) -> NDArray[np.str_]:
    """The same people; those whom nobody knows are others in each album."""
    return np.array([f"{one} of {album}" if one.startswith("nobody ") else one for one in people.tolist()], np.str_)


def _nearest(shown: Sequence[Shown], box: Box) -> Shown | None:
    x, y, width, height = box
    middle = x + width / 2, y + height / 2

    def distance(one: Shown) -> float:
        return max(abs(middle[0] - one.x), abs(middle[1] - one.y)) / one.width

    nearest = min(shown, key=distance, default=None)
    if nearest is None or distance(nearest) >= NEAR or not SIZES[0] < width / nearest.width < SIZES[1]:
        return None
    return nearest
