"""Clustering: B-cubed and pairwise F of the clusters that the server makes of a set of pictures.

DIR has one sub-folder per person. Each picture's main face is embedded as in albums, in two views, and all faces are
clustered at once. B-cubed averages over faces: the share of a face's cluster that is the same person (precision), and
the share of its person that is in the same cluster (recall). `peak_mb` is the process's peak resident memory; `seconds`
is the time of clustering alone. `cohort` has the averages called USUAL in server/albums/clustering/normalisation.py.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.arguments import positive
from facewire.server.albums.clustering import FITTED, Scale, cluster, scale_of
from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort, Statistics
from facewire.server.recognition.impostors import impostor_prior
from facewire.server.settings import add_vision_arguments
from lab.evaluation import embedding
from lab.evaluation.crowds import crowd
from lab.evaluation.pictures import image_files

HELP = "B-cubed and pairwise F of the people found in a folder of pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    faces = parser.add_mutually_exclusive_group(required=True)
    faces.add_argument("--images", type=Path, help="a folder of sub-folders of pictures, one a person")
    faces.add_argument(
        "--synthetic", type=positive, metavar="N",
        help="N embeddings of nobody instead (crowds.py): what clustering so many costs",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic ones (default: %(default)s)")
    add_vision_arguments(parser, model_help="by default Facenet512", emotions=False)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report. Raises StartError."""
    if arguments.synthetic is not None:
        return {**clustered(*crowd(arguments.synthetic, arguments.seed), None, FITTED), "synthetic": True}
    embedded = embedding.embed(image_files(arguments.images), arguments)
    owner = [path.relative_to(arguments.images).parts[0] for path in embedded.paths]
    people = np.unique(np.array(owner, np.str_), return_inverse=True)[1]
    cohort = Cohort.load(DEFAULT_PATH, embedded.spec)
    statistics = cohort.statistics(embedded.templates) if cohort else None
    scale = FITTED if cohort else scale_of(impostor_prior(embedded.spec.model).similarity_at)
    return {
        **clustered(embedded.templates, people, statistics, scale),
        "without_face": len(embedded.without_face),
        "cohort": usual(statistics),
        "model": embedded.spec.model,
    }


def clustered(
    embeddings: NDArray[np.float32], people: NDArray[np.int64], statistics: Statistics | None, scale: Scale
) -> dict[str, Any]:
    """Clusters all faces at once, like an album filled before processing. Returns quality and cost."""
    faces = len(people)
    print(f"clustering {faces} faces", file=sys.stderr)
    started = time.perf_counter()
    nobody, nothing = np.full(faces, -1), np.zeros(faces, np.bool_)
    found = cluster(embeddings, np.arange(faces), nobody, nothing, (), statistics, scale)
    seconds = time.perf_counter() - started
    precision, recall = bcubed(found, people)
    return {
        "bcubed_precision": round(precision, 5),
        "bcubed_recall": round(recall, 5),
        "bcubed_f": round(harmonic(precision, recall), 5),
        "pairwise_f": round(harmonic(*pairwise(found, people)), 5),
        "clusters": len(np.unique(found)),
        "faces": faces,
        "seconds": round(seconds, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "people": len(np.unique(people)),
    }


def usual(statistics: Statistics | None) -> dict[str, float] | None:
    """The averages of the faces' cohort statistics."""
    if statistics is None:
        return None
    mean, deviation = statistics
    return {"mean": round(float(np.mean(mean)), 4), "deviation": round(float(np.mean(deviation)), 4)}


def bcubed(found: NDArray[np.int64], people: NDArray[np.int64]) -> tuple[float, float]:
    """Precision and recall of (n,) cluster numbers against (n,) people, averaged over the faces."""
    together, in_cluster, of_person = _sizes(found, people)
    if not len(together):
        return 1.0, 1.0
    return float(np.mean(together / in_cluster)), float(np.mean(together / of_person))


def pairwise(found: NDArray[np.int64], people: NDArray[np.int64]) -> tuple[float, float]:
    """Precision and recall over pairs of faces: pairs in the same cluster against pairs of the same person."""
    together, in_cluster, of_person = (np.sum(sizes - 1) for sizes in _sizes(found, people))
    return float(together / in_cluster) if in_cluster else 1.0, float(together / of_person) if of_person else 1.0


def harmonic(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _sizes(
    found: NDArray[np.int64], people: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each face, how many share its cluster and person, its cluster, and its person; including itself."""

    def size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
        _, which, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
        each: NDArray[np.int64] = counts[which.ravel()]
        return each

    return size(np.stack([found, people], axis=1)), size(found), size(people)
