"""Albums as people have them: B-cubed, and what a user must answer until everybody is right.

LFW's people (--people) are composed into group photographs, with strangers of both folders among and behind them
(gatherings.py): small, blurred and turned faces, everybody in many photographs, strangers once. `names`: people in two
photographs or more, each named once. `merges`: clusters of the same person beyond the first. `moves`: faces among
somebody else's. Half 0 of the people served to choose constants, so half 1 judges.

`children`: photographs of the strangers' folder `child`, if it has one. `groups`: real group photographs (--groups).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facewire.protocol.arguments import positive
from facewire.server.albums.clarity import clarity
from facewire.server.albums.clustering import FITTED, cluster, scale_of
from facewire.server.errors import StartError
from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort
from facewire.server.recognition.impostors import impostor_prior
from facewire.server.settings import add_vision_arguments, vision_settings
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.opening import open_analyser
from lab.evaluation.album_faces import AlbumFaces, look, together
from lab.evaluation.clusters import bcubed, harmonic
from lab.evaluation.gatherings import FAIRFACE_FACE, Cast, Gathering, Portrait, casts, gatherings
from lab.evaluation.group_photos import group_photos
from lab.evaluation.pictures import image_files

HELP = "B-cubed of people in group photographs, and what a user must correct"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=Path, required=True, help="a folder of sub-folders of portraits, as LFW's")
    parser.add_argument("--strangers", type=Path, required=True, help="sub-folders of pictures of different people")
    parser.add_argument("--groups", type=Path, help="bbt1.jpg to bbt5.jpg, and portraits of those people in people/")
    parser.add_argument("--half", type=int, choices=(0, 1), default=1, help="of the people (default: %(default)s)")
    parser.add_argument("--albums", type=positive, default=3, help="made of that half (default: %(default)s)")
    add_vision_arguments(parser, model_help="by default Facenet512", emotions=False)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report. Raises StartError."""
    made = casts(arguments.people, arguments.strangers, arguments.half, arguments.albums)
    analyser = open_analyser(vision_settings(arguments))
    try:
        albums = [look(analyser, _shown(gatherings(cast, number))) for number, cast in enumerate(made)]
        report: dict[str, Any] = {"albums": [corrected(analyser, album) for album in albums]}
        report["together"] = corrected(analyser, together(albums))
        if (arguments.strangers / "child").is_dir():
            report["children"] = corrected(analyser, look(analyser, _shown(gatherings(_children(arguments), 0))))
        if arguments.groups is not None:
            report["groups"] = corrected(analyser, look(analyser, _shown(group_photos(arguments.groups))))
        return {**report, "half": arguments.half, "model": analyser.spec.model}
    finally:
        analyser.close()


def corrected(analyser: Analyser, album: AlbumFaces) -> dict[str, Any]:
    """Clusters an album as the server would, and counts the corrections."""
    cohort = Cohort.load(DEFAULT_PATH, analyser.spec)
    scale = FITTED if cohort else scale_of(impostor_prior(analyser.spec.model).similarity_at)
    count = len(album.people)
    found = cluster(
        *(album.embeddings, album.photos, np.full(count, -1), np.zeros(count, np.bool_), ()),
        cohort.statistics(album.embeddings) if cohort else None,
        scale,
        clarity=clarity(album.sizes, album.scores, album.sharpness),
    )
    people = np.unique(album.people, return_inverse=True)[1]
    precision, recall = bcubed(found, people)
    return {
        "photos": len(np.unique(album.photos)),
        "faces": count,
        "bcubed_precision": round(precision, 4),
        "bcubed_recall": round(recall, 4),
        "bcubed_f": round(harmonic(precision, recall), 4),
        **answers(found, people),
    }


def answers(found: NDArray[np.int64], people: NDArray[np.int64]) -> dict[str, int]:
    """What a user must answer until everybody is right: a cluster belongs to whom most of its faces show."""
    names = int(np.sum(np.bincount(people) > 1))
    owners, moves = set(), 0
    clusters = np.unique(found)
    for number in clusters.tolist():
        shown = np.bincount(people[found == number])
        owners.add(int(shown.argmax()))
        moves += int(shown.sum() - shown.max())
    merges = len(clusters) - len(owners)
    return {"names": names, "merges": merges, "moves": moves, "answers": names + merges + moves}


def _children(arguments: argparse.Namespace) -> Cast:
    """All children, each in one to three photographs: the same portrait, so only keeping them apart is hard."""
    child = arguments.strangers / "child"
    found = [path for path in image_files(arguments.strangers) if path.parent == child]
    if not found:
        raise StartError(f"{child} has no pictures", exit_code=2)
    return Cast(tuple(Portrait(path, path.stem, FAIRFACE_FACE) for path in found), ())


def _shown(photographs: Iterable[Gathering]) -> Iterable[Gathering]:
    return tqdm(photographs, desc="looking", unit=" photos", file=sys.stderr)
