"""1:N, open set: rank-1, FNIR at FPIR 1 % and 5 %, and the FPIR obtained by the server's threshold for each target.

DIR has one sub-folder per person. A random half of the people with at least two pictures is enrolled with one picture
each and probed with the others; everybody else is a stranger, with one picture each. Averaged over repetitions. With
--templates N, a half of the people with more than N pictures is enrolled with N each.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import StartError
from facewire.server.gallery.records import Templates
from facewire.server.recognition.calibration import effective_size, offset_of
from lab.evaluation import embedding
from lab.evaluation.curves import save_curves, threshold_at
from lab.evaluation.pictures import image_files
from lab.evaluation.scoring import Scorer
from lab.evaluation.strangers import RATES

HELP = "1:N rank-1, FNIR at FPIR, and the FPIR obtained for the one asked for"
FPIRS = (0.01, 0.05)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--people", type=int, metavar="N", help="enrol N people (default: half of those who can be)")
    parser.add_argument(
        "--templates", type=int, default=1, metavar="N", help="enrol N pictures of each (default: %(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=10, metavar="N", help="random galleries (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default: %(default)s)")
    embedding.add_arguments(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: rank1, fnir_at_fpir, fpir_obtained, people, probes; fnir_at_fpir_asked: at the server's own
    thresholds, whereas fnir_at_fpir is at thresholds with exactly that FPIR. impostors: the score that pairs of
    different people, one picture each, exceed at each rate: the prior's table. Raises StartError."""
    paths = image_files(arguments.images)
    embedded = embedding.embed(paths, arguments)
    owner = np.array([path.relative_to(arguments.images).parts[0] for path in embedded.paths])
    choice = np.random.default_rng(arguments.seed)
    scorer = Scorer(embedded.spec)
    trials = [_Trial(embedded, owner, arguments, choice, scorer) for _ in range(arguments.repeats)]
    genuine = np.concatenate([trial.genuine for trial in trials])
    strangers = np.concatenate([trial.strangers for trial in trials])
    right = np.concatenate([trial.right for trial in trials])
    people = trials[0].people
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
            f"{fpir:g}": round(float(np.mean([trial.accepted[fpir] for trial in trials])), 5) for fpir in FPIRS
        },
        "fnir_at_fpir_asked": {
            f"{fpir:g}": round(float(np.mean(np.concatenate([trial.missed[fpir] for trial in trials]))), 5)
            for fpir in FPIRS
        },
        "impostors": _impostors(embedded, owner, scorer),
        "people": people,
        "templates": arguments.templates,
        "probes": len(genuine),
        "strangers": len(strangers),
        "repeats": arguments.repeats,
        "normalised": scorer.normalised,
        "model": embedded.spec.model,
    }


def _impostors(embedded: embedding.Embedded, owner: NDArray[np.str_], scorer: Scorer) -> dict[str, float]:
    _, first = np.unique(owner, return_index=True)
    scores = scorer.matrix(embedded.probes[first], embedded.templates[first])[~np.eye(len(first), dtype=bool)]
    exceeded = np.quantile(scores, [1 - rate for rate in RATES])
    return {f"{rate:g}": round(float(score), 3) for rate, score in zip(RATES, exceeded, strict=True)}


class _Trial:
    """One random gallery: best scores of its people's probes and of strangers, and results at the server's
    thresholds."""

    def __init__(
        self,
        embedded: embedding.Embedded,
        owner: NDArray[np.str_],
        arguments: argparse.Namespace,
        choice: np.random.Generator,
        scorer: Scorer,
    ) -> None:
        names, first, counts = np.unique(owner, return_index=True, return_counts=True)
        each = arguments.templates
        able = np.flatnonzero(counts > each)
        wanted = arguments.people or len(able) // 2
        if each < 1 or not 1 <= wanted <= len(able):
            found = f"{len(able)} have more than {each} pictures"
            raise StartError(f"{wanted} people can't be enrolled with {each} each: {found}", exit_code=2)
        enrolled = choice.permutation(able)[:wanted]
        mine = [np.flatnonzero(owner == names[person]) for person in enrolled]
        gallery = np.concatenate([choice.choice(pictures, each, replace=False) for pictures in mine])
        owners = np.repeat(np.arange(wanted), each)
        known = np.isin(owner, names[enrolled])
        probes = np.setdiff1d(np.flatnonzero(known), gallery)
        strangers = np.setdiff1d(first, np.flatnonzero(known))
        self.people = wanted
        enrolled_templates = embedded.templates[gallery]
        scores = scorer.people(embedded.probes[probes], enrolled_templates, owners)
        self.genuine = scores.max(axis=1)
        self.right = names[enrolled][scores.argmax(axis=1)] == owner[probes]
        self.strangers = scorer.people(embedded.probes[strangers], enrolled_templates, owners).max(axis=1)
        templates = Templates(enrolled_templates, owners, scorer.scales(enrolled_templates))
        offset = offset_of(templates, scorer.decider.prior)
        thresholds = {fpir: scorer.decider_at(fpir).threshold(effective_size(owners), offset) for fpir in FPIRS}
        self.accepted = {fpir: float(np.mean(self.strangers >= at)) for fpir, at in thresholds.items()}
        self.missed = {fpir: ~self.right | (self.genuine < at) for fpir, at in thresholds.items()}
