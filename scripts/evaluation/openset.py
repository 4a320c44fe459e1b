"""1:N, open set: rank-1, FNIR at FPIR 1 % and 5 %, and for each requested FPIR the one the server's threshold obtains.

DIR has one sub-folder a person. Of the people with two pictures or more, a random half is enrolled with one picture
each and probed with their others; everybody else is a stranger, with one picture each. Repeated, and averaged.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.evaluation import embedding
from scripts.evaluation.curves import save_curves, threshold_at
from scripts.evaluation.pictures import image_files
from server.errors import StartError
from server.recognition.decision import Decider

HELP = "1:N rank-1, FNIR at FPIR, and the FPIR obtained for the one asked for"
FPIRS = (0.01, 0.05)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=int, metavar="N", help="enrol N people (default: half of those who can be)")
    parser.add_argument("--repeats", type=int, default=10, metavar="N", help="random galleries (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: %(default)s)")
    embedding.add_arguments(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: rank1, fnir_at_fpir, fpir_obtained, people, probes. Raises StartError."""
    paths = image_files(arguments.images)
    embedded = embedding.embed(paths, arguments)
    owner = np.array([path.relative_to(arguments.images).parts[0] for path in embedded.paths])
    choice = np.random.default_rng(arguments.seed)
    trials = [_Trial(embedded, owner, arguments.people, choice) for _ in range(arguments.repeats)]
    genuine = np.concatenate([trial.genuine for trial in trials])
    strangers = np.concatenate([trial.strangers for trial in trials])
    right = np.concatenate([trial.right for trial in trials])
    people = trials[0].people
    deciders = {fpir: Decider(embedded.spec, fpir).threshold(people) for fpir in FPIRS}
    if arguments.plot:
        thresholds = np.quantile(strangers, np.linspace(1, 0, 400))
        accepted = np.array([np.mean(strangers > threshold) for threshold in thresholds])
        missed = np.array([np.mean(~right | (genuine <= threshold)) for threshold in thresholds])
        save_curves(
            arguments.plot, f"{embedded.spec.model}, {people} people enrolled", accepted, missed, "FPIR", "FNIR"
        )
    return {
        "rank1": round(float(right.mean()), 5),
        "fnir_at_fpir": {
            f"{fpir:g}": round(float(np.mean(~right | (genuine <= threshold_at(strangers, fpir)))), 5) for fpir in FPIRS
        },
        "fpir_obtained": {
            f"{fpir:g}": round(float(np.mean(strangers >= threshold)), 5) for fpir, threshold in deciders.items()
        },
        "people": people,
        "probes": len(genuine),
        "strangers": len(strangers),
        "repeats": arguments.repeats,
        "model": embedded.spec.model,
    }


class _Trial:
    """One random gallery: best similarities of its people's probes and of strangers, and whether the best was right."""

    def __init__(
        self,
        embedded: embedding.Embedded,
        owner: NDArray[np.str_],
        people: int | None,
        choice: np.random.Generator,
    ) -> None:
        names, first, counts = np.unique(owner, return_index=True, return_counts=True)
        able = np.flatnonzero(counts > 1)
        wanted = people or len(able) // 2
        if not 1 <= wanted <= len(able):
            raise StartError(f"{wanted} people can't be enrolled: {len(able)} have two pictures or more", exit_code=2)
        enrolled = choice.permutation(able)[:wanted]
        gallery = np.array([choice.choice(np.flatnonzero(owner == names[person])) for person in enrolled])
        known = np.isin(owner, names[enrolled])
        probes = np.setdiff1d(np.flatnonzero(known), gallery)
        strangers = np.setdiff1d(first, np.flatnonzero(known))
        self.people = wanted
        similarities = embedded.probes[probes] @ embedded.templates[gallery].T
        self.genuine = similarities.max(axis=1)
        self.right = owner[gallery][similarities.argmax(axis=1)] == owner[probes]
        self.strangers = (embedded.probes[strangers] @ embedded.templates[gallery].T).max(axis=1)
