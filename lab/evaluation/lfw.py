"""1:1 on the official LFW pairs: accuracy over the file's folds, TAR at FAR 1 % and 0.1 %, equal error rate.

The pairs file begins with "FOLDS PAIRS" and lists, for each fold, PAIRS lines with one person and two picture numbers,
then PAIRS lines with two people and a number each. A fold's threshold is chosen on the other folds. The first picture
is embedded as a probe, the second as a template, like `identify` does. `two_views` repeats the measures for two
templates, and `decision` for `verify`: two templates with normalised similarity. It also reports the default
threshold's accuracy, and the share of all pairs of different people that pass at each requested rate.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import StartError
from facewire.server.vision.runtime import Floats
from lab.evaluation import embedding
from lab.evaluation.curves import accepted_at, best_threshold, equal_error_rate, roc, save_curves
from lab.evaluation.scoring import Scorer

HELP = "1:1 accuracy, TAR at FAR and EER on the official LFW pairs"
FARS = (0.01, 0.001)
FMRS = (0.01, 0.001, 0.0001)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures, and whether they show the same person."""

    first: Path
    second: Path
    same: bool
    fold: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=Path, required=True, help="the official pairs file, with any number of folds")
    embedding.add_arguments(parser)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: accuracy, std, tar_at_far, eer, pairs, decision. Raises StartError."""
    pairs = read_pairs(arguments.pairs, arguments.images)
    paths = sorted({path for pair in pairs for path in (pair.first, pair.second)})
    embedded = embedding.embed(paths, arguments)
    rows = embedded.rows()
    scored = [pair for pair in pairs if pair.first in rows and pair.second in rows]
    if not scored:
        raise StartError(f"no pair of {arguments.pairs} shows two faces")
    ones, others = ([rows[getattr(pair, which)] for pair in scored] for which in ("first", "second"))
    first, second = embedded.probes[ones], embedded.templates[others]
    scorer = Scorer(embedded.spec)
    similarities = _similarities(first, second)
    both = embedded.templates[ones]
    decided = scorer.pairs(both, second)
    same = np.array([pair.same for pair in scored])
    folds = np.array([pair.fold for pair in scored])
    genuine, impostor = similarities[same], similarities[~same]
    if arguments.plot:
        accept, true = roc(genuine, impostor)
        title = f"{embedded.spec.model} on {len(scored)} LFW pairs"
        save_curves(arguments.plot, title, accept, 1 - true, "false acceptance (FMR)", "false rejection (FNMR)")
    return {
        **_measures(similarities, same, folds),
        "decision": {
            **_measures(decided, same, folds),
            "tar": round(float(np.mean(decided[same] >= scorer.decider.verification_threshold())), 5),
            "far": round(float(np.mean(decided[~same] >= scorer.decider.verification_threshold())), 5),
            "fmr_obtained": fmr_obtained(embedded, scorer),
            "normalised": scorer.normalised,
        },
        "two_views": _measures(_similarities(both, second), same, folds),
        "pairs": len(scored),
        "pairs_without_face": len(pairs) - len(scored),
        "folds": len(np.unique(folds)),
        "model": embedded.spec.model,
    }


def fmr_obtained(embedded: embedding.Embedded, scorer: Scorer) -> dict[str, float]:
    """For each requested rate, the share of all pairs of different people, one picture each, that `verify` calls the
    same: thousands of times as many pairs as in the file."""
    _, first = np.unique([path.parent.name for path in embedded.paths], return_index=True)
    scores = scorer.matrix(embedded.templates[first], embedded.templates[first])
    impostor = scores[~np.eye(len(first), dtype=bool)]
    return {f"{fmr:g}": float(f"{np.mean(impostor >= scorer.decider.verification_threshold(fmr)):.3g}") for fmr in FMRS}


def _similarities(ones: Floats, others: Floats) -> NDArray[np.float64]:
    """(n,) cosines of the rows of (n, d) and (n, d) embeddings."""
    return np.asarray(np.einsum("nd,nd->n", ones.astype(np.float64), others.astype(np.float64)))


def _measures(scores: NDArray[np.float64], same: NDArray[np.bool_], folds: NDArray[np.int_]) -> dict[str, Any]:
    accuracies = [_fold_accuracy(scores, same, folds == fold) for fold in np.unique(folds)]
    genuine, impostor = scores[same], scores[~same]
    return {
        "accuracy": round(float(np.mean(accuracies)), 5),
        "std": round(float(np.std(accuracies)), 5),
        "tar_at_far": {f"{far:g}": round(accepted_at(genuine, impostor, far), 5) for far in FARS},
        "eer": round(equal_error_rate(genuine, impostor), 5),
    }


def _fold_accuracy(similarities: NDArray[np.float64], same: NDArray[np.bool_], fold: NDArray[np.bool_]) -> float:
    threshold = best_threshold(similarities[~fold], same[~fold])
    return float(np.mean((similarities[fold] >= threshold) == same[fold]))


def read_pairs(file: Path, images: Path) -> list[Pair]:
    """Reads the pairs file. Raises StartError if it is invalid or names a missing picture."""
    try:
        header, *lines = file.read_text(encoding="utf-8").splitlines()
        folds, size = (int(number) for number in header.split())
        if len(lines) < 2 * folds * size:
            raise ValueError("it ends too early")
        pairs = [_pair(line, images, number // (2 * size)) for number, line in enumerate(lines[: 2 * folds * size])]
    except (OSError, ValueError) as error:
        raise StartError(f"{file} is not a pairs file in LFW's format: {error}", exit_code=2) from error
    absent = [path for pair in pairs for path in (pair.first, pair.second) if not path.is_file()]
    if absent:
        raise StartError(f"{len(absent)} pictures of {file} are not in {images}, the first {absent[0]}", exit_code=2)
    return pairs


def _pair(line: str, images: Path, fold: int) -> Pair:
    words = line.split("\t")
    if len(words) not in (3, 4):
        raise ValueError(f"'{line}' is no pair")
    name, number = words[0], int(words[1])
    other = words[0] if len(words) == 3 else words[2]
    return Pair(_picture(images, name, number), _picture(images, other, int(words[-1])), len(words) == 3, fold)


def _picture(images: Path, name: str, number: int) -> Path:
    return images / name / f"{name}_{number:04d}.jpg"
