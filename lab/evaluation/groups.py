"""False match rates within groups at `verify`'s default, which is 1 in 1,000 for people at large.

DIR has one folder per group (by age, sex, appearance), in which every picture shows a different person. All pairs
within a group are compared by the server's own decision, and by a fixed threshold on raw similarity: the one that LFW's
strangers exceed at the requested rate.

With --like OTHER, DIR has no groups: a discriminant of OTHER's assigns them, and faces that it isn't sure of are left
out. If DIR's folders are people, --people takes one picture of each; otherwise nobody says who is the same person, and
pairs of a similarity above 0.72 are taken for one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facewire.server.errors import StartError
from facewire.server.recognition.impostors import DEFAULT_FMR, impostor_prior
from lab.evaluation import embedding
from lab.evaluation.pictures import image_files
from lab.evaluation.pseudo_groups import Discriminant
from lab.evaluation.scoring import Scorer

SAME_PERSON = 0.72
HELP = "how often strangers of one group are taken for each other, by group"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--like", type=Path, metavar="OTHER", help="assign groups as in this folder, which has them")
    parser.add_argument("--people", action="store_true", help="with --like: the folders of DIR are people")
    embedding.add_arguments(parser, plot=False)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: fmr_by_group and fmr_asked; fmr_by_group_raw, pairs and people by group. Raises StartError."""
    embedded = embedding.embed(image_files(arguments.images), arguments)
    folders = np.array([group_of(path, arguments.images) for path in embedded.paths])
    if arguments.like is None:
        return measured(embedded, folders)
    known = embedding.embed(image_files(arguments.like), arguments)
    learnt = Discriminant(known.templates, np.array([group_of(path, arguments.like) for path in known.paths]))
    groups = learnt.groups(embedded.templates)
    if arguments.people:
        _, first = np.unique(folders, return_index=True)
        groups[np.setdiff1d(np.arange(len(groups)), first)] = ""
        return measured(embedded, groups)
    return measured(embedded, groups, SAME_PERSON)


def measured(embedded: embedding.Embedded, groups: NDArray[np.str_], same_person: float = np.inf) -> dict[str, Any]:
    """The report, by (n,) group of every picture, "" for none; pairs of at least the raw similarity `same_person` don't
    count. Raises StartError if no group has two faces."""
    scorer = Scorer(embedded.spec)
    raw_threshold = impostor_prior(embedded.spec.model).similarity_at(DEFAULT_FMR)
    rates: dict[str, float] = {}
    raw_rates: dict[str, float] = {}
    pairs: dict[str, int] = {}
    for group in tqdm(np.unique(groups[groups != ""]).tolist(), desc="comparing", unit=" groups", file=sys.stderr):
        own = embedded.templates[groups == group]
        if len(own) < 2:
            print(f"{group} has fewer than two faces and is left out", file=sys.stderr)
            continue
        first, second = np.triu_indices(len(own), k=1)
        similarities = (own @ own.T)[first, second]
        counted = similarities < same_person
        similarities = similarities[counted]
        normalised = scorer.matrix(own, own)[first, second][counted]
        rates[group] = _share(normalised >= scorer.decider.verification_threshold())
        raw_rates[group] = _share(similarities >= raw_threshold)
        pairs[group] = len(similarities)
    if not rates:
        raise StartError("there is no group of two faces or more", exit_code=2)
    return {
        "fmr_by_group": rates,
        "fmr_asked": DEFAULT_FMR,
        "fmr_by_group_raw": raw_rates,
        "pairs": pairs,
        "pictures_without_face": len(embedded.without_face),
        "normalised": scorer.normalised,
        "model": embedded.spec.model,
    }


def group_of(path: Path, folder: Path) -> str:
    """The sub-folder of `folder` that contains a picture."""
    return path.relative_to(folder).parts[0]


def _share(accepted: NDArray[np.bool_]) -> float:
    return round(float(np.mean(accepted)), 6)
