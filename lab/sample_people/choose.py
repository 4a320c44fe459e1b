"""Chooses people whose pictures recognisers find similar to each other and different from everybody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facewire.server.errors import StartError
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.image import Pixels
from facewire.server.vision.runtime import Floats
from lab.sample_people.model import FaceModel
from lab.sample_people.people import SMILES, Person, draw_look, draw_person
from lab.sample_people.portrait import cut_out, draw_shot, photograph

JPEG_QUALITY = 88
MOST_CANDIDATES = 1500
"""About thirty times as many as twelve people usually take."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Cosine similarities: any two pictures of a person reach `together`, those of two people stay below `apart`."""

    together: float
    apart: float


BOUNDS = {
    "Facenet512": Bounds(together=0.62, apart=0.40),
    # dlib's own 0.6 between faces of length 1.4 is 0.91 here, so `apart` is what dlib calls clearly different.
    "Dlib": Bounds(together=0.945, apart=0.915),
}


@dataclass(frozen=True, slots=True)
class Recogniser:
    """A model's analyser and its bounds."""

    name: str
    analyser: Analyser
    bounds: Bounds

    def embeddings(self, jpegs: Sequence[bytes]) -> Floats | None:
        """(n, d), one per picture, or None if any picture does not show exactly one face."""
        pictures = [self.analyser.faces(jpeg).faces for jpeg in jpegs]
        if any(len(faces) != 1 for faces in pictures):
            return None
        return self.analyser.probes([faces[0].crop for faces in pictures])


@dataclass(frozen=True, slots=True)
class Chosen:
    """A person with their pictures (JPEG files; the last one is the probe) and each recogniser's embeddings of them."""

    person: Person
    pictures: tuple[bytes, ...]
    embeddings: tuple[Floats, ...]


def choose_people(
    model: FaceModel, recognisers: Sequence[Recogniser], count: int, pictures: int, seed: int
) -> list[Chosen]:
    """`count` people with `pictures` + 1 pictures each, all from different face clusters.

    Raises StartError if too few are found.
    """
    chosen: list[Chosen] = []
    with tqdm(total=count, desc="choosing people", unit="person") as progress:
        for attempt in range(MOST_CANDIDATES):
            # A generator per candidate, so that a draw does not depend on how far earlier candidates got.
            rng = np.random.default_rng([seed, attempt])
            free = sorted(set(range(len(model.centres))) - {one.person.cluster for one in chosen})
            if not free:
                break
            candidate = _candidate(model, free[rng.integers(len(free))], recognisers, chosen, pictures, rng)
            progress.set_postfix(drawn=attempt + 1)
            if candidate is None:
                continue
            chosen.append(candidate)
            progress.update()
            if len(chosen) == count:
                return chosen
    raise StartError(f"only {len(chosen)} of {count} people could be told apart: try another --seed, or fewer --people")


def jpeg_of(picture: Pixels) -> bytes:
    """An RGB picture as a JPEG file."""
    encoded = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return encoded.tobytes()


def draw_portrait(model: FaceModel, person: Person, smile: float, rng: np.random.Generator) -> Pixels:
    """One more picture of somebody, (PICTURE, PICTURE, 3) RGB."""
    return photograph(cut_out(model, draw_look(model, person, smile, rng)), draw_shot(rng), rng)


def _candidate(
    model: FaceModel,
    cluster: int,
    recognisers: Sequence[Recogniser],
    chosen: Sequence[Chosen],
    pictures: int,
    rng: np.random.Generator,
) -> Chosen | None:
    person = draw_person(model, cluster, rng)
    smiles = [SMILES[index % len(SMILES)] for index in range(pictures + 1)]
    # The first picture alone rejects most candidates, at a fifth of the cost.
    first = jpeg_of(draw_portrait(model, person, smiles[0], rng))
    if _embedded([first], recognisers[:1], chosen) is None:
        return None
    jpegs = (first, *(jpeg_of(draw_portrait(model, person, smile, rng)) for smile in smiles[1:]))
    embeddings = _embedded(jpegs, recognisers, chosen)
    return None if embeddings is None else Chosen(person, jpegs, embeddings)


def _embedded(
    jpegs: Sequence[bytes], recognisers: Sequence[Recogniser], chosen: Sequence[Chosen]
) -> tuple[Floats, ...] | None:
    """Each recogniser's embeddings, or None as soon as one rejects them."""
    found: list[Floats] = []
    for index, recogniser in enumerate(recognisers):
        embeddings = recogniser.embeddings(jpegs)
        others = [one.embeddings[index] for one in chosen]
        if embeddings is None or not told_apart(embeddings, others, recogniser.bounds):
            return None
        found.append(embeddings)
    return tuple(found)


def told_apart(embeddings: Floats, others: Sequence[NDArray[np.float32]], bounds: Bounds) -> bool:
    """Whether (n, d) unit rows of one person are close to each other and far from everybody else's."""
    together = (embeddings @ embeddings.T).min() >= bounds.together
    return bool(together and all((embeddings @ other.T).max() < bounds.apart for other in others))
