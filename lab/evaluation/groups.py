"""False match rates within groups at `verify`'s default, which is 1 in 1,000 for people at large.

DIR has one folder per group (by age, sex, appearance), in which every picture shows a different person. All pairs
within a group are compared by the server's own decision, and by a fixed threshold on raw similarity: the one that LFW's
strangers exceed at the requested rate.
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
from lab.evaluation.scoring import Scorer

HELP = "how often strangers of one group are taken for each other, by group"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    embedding.add_arguments(parser, plot=False)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: fmr_by_group and fmr_asked; fmr_by_group_raw, pairs and people by group. Raises StartError."""
    return measured(embedding.embed(image_files(arguments.images), arguments), arguments.images)


def measured(embedded: embedding.Embedded, folder: Path) -> dict[str, Any]:
    """The report of pictures below `folder`. Raises StartError if no group has two faces."""
    scorer = Scorer(embedded.spec)
    groups = np.array([group_of(path, folder) for path in embedded.paths])
    raw_threshold = impostor_prior(embedded.spec.model).similarity_at(DEFAULT_FMR)
    rates: dict[str, float] = {}
    raw_rates: dict[str, float] = {}
    pairs: dict[str, int] = {}
    for group in tqdm(np.unique(groups).tolist(), desc="comparing", unit=" groups", file=sys.stderr):
        own = embedded.templates[groups == group]
        if len(own) < 2:
            print(f"{group} has fewer than two faces and is left out", file=sys.stderr)
            continue
        first, second = np.triu_indices(len(own), k=1)
        similarities = (own @ own.T)[first, second]
        normalised = scorer.matrix(own, own)[first, second]
        rates[group] = _share(normalised >= scorer.decider.verification_threshold())
        raw_rates[group] = _share(similarities >= raw_threshold)
        pairs[group] = len(first)
    if not rates:
        raise StartError(f"{folder} has no group of two faces or more", exit_code=2)
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
