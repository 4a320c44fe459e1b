"""What FaceNet in 8-bit integers costs: every picture against every other, in both precisions and across them.

DIR has one sub-folder per person. Each picture is a probe (one view), each other one a template (two views), as in
`identify`; similarities are raw. For each precision of probes and templates: TAR at three FARs; `change`, by how much
that is more than with float32 on both sides, and its standard error (people are drawn, thresholds are taken as they
are); and the FAR that float32's thresholds obtain. With --most N, people count with N pictures at most, as a few of
LFW's have hundreds.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.arguments import positive
from facewire.server.vision.runtime import Floats
from lab.evaluation import embedding
from lab.evaluation.curves import threshold_at
from lab.evaluation.pictures import image_files

HELP = "what 8-bit integers cost: TAR at FAR over all pairs, by the precision of either side"
FARS = (0.01, 0.001, 0.0001)
PRECISIONS = ("f32", "int8")
BLOCK_ROWS = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--most", type=positive, metavar="N", help="the first N pictures of each person (default: all)")
    embedding.add_image_arguments(parser, precision=False)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: `sides`, by "probe x template"; genuine, impostor: numbers of pairs. Raises StartError."""
    paths = image_files(arguments.images)
    by_precision = {each: embedding.embed(paths, _in(each, arguments)) for each in PRECISIONS}
    shown = by_precision[PRECISIONS[0]].paths
    owners = np.unique([path.relative_to(arguments.images).parts[0] for path in shown], return_inverse=True)[1]
    kept = np.flatnonzero(numbered(owners) < (arguments.most or len(owners)))
    owners = owners[kept]
    exact = compared(by_precision["f32"].probes[kept], by_precision["f32"].templates[kept], owners)
    sides = {}
    for probe in PRECISIONS:
        for template in PRECISIONS:
            found = compared(by_precision[probe].probes[kept], by_precision[template].templates[kept], owners)
            sides[f"{probe} x {template}"] = measured(found, exact)
    return {
        "sides": sides,
        "genuine": len(exact.genuine),
        "impostor": len(exact.impostor),
        "pictures": len(kept),
        "people": len(np.unique(owners)),
        "model": by_precision["f32"].spec.model,
    }


def _in(precision: str, arguments: argparse.Namespace) -> argparse.Namespace:
    return argparse.Namespace(**vars(arguments) | {"precision": precision})


def numbered(owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) how many earlier pictures the same person has."""
    order = np.argsort(owners, kind="stable")
    counts = np.bincount(owners)
    places = np.empty(len(owners), np.int64)
    places[order] = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    return places


@dataclass(frozen=True, slots=True)
class Similarities:
    """`genuine`: (g,) of two pictures of one person, who is (g,) `people`; `impostor`: (i,) of different people."""

    genuine: Floats
    people: NDArray[np.int64]
    impostor: Floats


def compared(probes: Floats, templates: Floats, owners: NDArray[np.int64]) -> Similarities:
    """All pairs of (n, d) probes with the other pictures' (n, d) templates; `owners`: (n,) who is shown."""
    genuine, people, impostor = [], [], []
    for start in range(0, len(owners), BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, len(owners)))
        scores = probes[rows] @ templates.T
        same = owners[rows, None] == owners[None]
        impostor.append(scores[~same])
        same[np.arange(len(rows)), rows] = False
        genuine.append(scores[same])
        people.append(owners[rows[np.nonzero(same)[0]]])
    return Similarities(np.concatenate(genuine), np.concatenate(people), np.concatenate(impostor))


def measured(found: Similarities, exact: Similarities) -> dict[str, Any]:
    """The report on `found`, compared with `exact`, which is of the same pairs."""
    report: dict[str, Any] = {"tar_at_far": {}, "change": {}, "change_error": {}, "far_at_thresholds_of_f32": {}}
    for far in FARS:
        before, after = threshold_at(exact.impostor, far), threshold_at(found.impostor, far)
        accepted = found.genuine > after
        change = accepted.astype(np.float64) - (exact.genuine > before)
        obtained = float(np.mean(found.impostor > before))
        report["tar_at_far"][f"{far:g}"] = round(float(accepted.mean()), 5)
        report["change"][f"{far:g}"] = round(float(change.mean()), 5)
        report["change_error"][f"{far:g}"] = round(error_over_people(change, found.people), 5)
        report["far_at_thresholds_of_f32"][f"{far:g}"] = float(f"{obtained:.4g}")
    return report


def error_over_people(values: NDArray[np.float64], people: NDArray[np.int64]) -> float:
    """The standard error of the mean of (n,) values that belong to (n,) people, whose values hang together."""
    apart = np.bincount(people, values - values.mean())
    return float(np.sqrt(np.sum(apart**2)) / len(values))
