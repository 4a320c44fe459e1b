"""Normalised similarities of two people at large: the table for `verify`'s thresholds (impostors.py).

DIR has one folder per group, called APPEARANCE_men or APPEARANCE_women (others only count in `alike`), in which every
picture shows a different person. A cohort is trained on one half of the people, and all pairs of the other half are
scored with it; then vice versa, for several random splits. All groups have equal weight, so half of the pairs are of
the same sex, and one in N of the same appearance, for N appearances. `people` are the real people; `drawn` are sampled
from the Gaussians of the half that is not in the cohort, so there are enough of them, and none twice. `alike`: the
similarity that pairs of one group, any folder's, exceed at 0.6 in 1,000 on average; `alike_by_group`: how many in 1,000
exceed the table's similarity at 1 in 1,000.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.server.comparison import normalised_matrix
from facewire.server.errors import StartError
from facewire.server.gallery.search.cohort import Cohort, members_of
from facewire.server.vision.runtime import Floats
from lab.evaluation import embedding
from lab.evaluation.groups import group_of
from lab.evaluation.pictures import image_files
from lab.train_cohort import Recipe, trained

HELP = "how near two people at large come: the table of verify's rates"
RATES = (0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
COUNTED = 3e-4
"""Below this rate, most similar pairs are people who appear twice in FairFace."""
SEXES = ("_men", "_women")
ALIKE = 6e-4
"""Rate within groups at which the shift between people at large and people alike is measured: below the 1 in 1,000 that
it stands for, as other data sets show higher rates than FairFace (docs/decisions/0010)."""
DRAWN = Recipe(crowded="", members=200, members_of={})
"""The people who are drawn: as many of each group."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--draws", type=int, default=2, metavar="N", help="random halves (default: %(default)s)")
    embedding.add_arguments(parser, plot=False)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: rates and the similarity exceeded at each, for `people`, for `drawn`, and in the shipped `table`:
    from people, and beyond COUNTED from those drawn. Raises StartError."""
    embedded = embedding.embed(image_files(arguments.images), arguments)
    groups = np.array([group_of(path, arguments.images) for path in embedded.paths])
    people, drawn, alike = [], [], []
    for seed in range(arguments.draws):
        for known, others in _halves(groups, seed):
            cohort = Cohort(
                members_of(trained(embedded.templates[known], groups[known], Recipe(), 0)), Recipe().nearest
            )
            alike.append(_alike(cohort, embedded.templates[others], groups[others]))
            adults = others[[group.endswith(SEXES) for group in groups[others]]]
            people.append(_scores(cohort, embedded.templates[adults], embedded.templates[adults], groups[adults]))
            model = trained(embedded.templates[adults], groups[adults], DRAWN, seed)
            strangers = members_of(model)
            drawn.append(_scores(cohort, strangers, strangers, np.repeat(np.unique(groups[adults]), DRAWN.members)))
    of_people, of_drawn = _exceeded(people), _exceeded(drawn)
    last = RATES.index(COUNTED)
    table = [*of_people[: last + 1], *of_drawn[last + 1 :]]
    return {
        "rates": RATES,
        "people": of_people,
        "drawn": of_drawn,
        "table": table,
        "alike": _exceeded_within(alike, ALIKE),
        "alike_by_group": _in_a_thousand(alike, table[RATES.index(1e-3)]),
        "pairs": {"people": sum(len(scores) for scores, _ in people), "drawn": sum(len(scores) for scores, _ in drawn)},
        "model": embedded.spec.model,
    }


def _halves(groups: NDArray[np.str_], seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The rows for training the cohort, and the other half's."""
    if not any(group.endswith(SEXES) for group in groups):
        raise StartError("no group is called APPEARANCE_men or APPEARANCE_women", exit_code=2)
    order = np.random.default_rng(seed).permutation(len(groups))
    middle = len(order) // 2
    yield order[:middle], order[middle:]
    yield order[middle:], order[:middle]


def _alike(cohort: Cohort, faces: Floats, groups: NDArray[np.str_]) -> dict[str, NDArray[np.float32]]:
    """Scores of all pairs of each group."""
    found = {}
    for group in np.unique(groups).tolist():
        own = faces[groups == group]
        scales = cohort.scales(own)
        found[group] = normalised_matrix(own, own, scales, scales)[np.triu_indices(len(own), k=1)]
    return found


def _in_a_thousand(parts: list[dict[str, NDArray[np.float32]]], least: float) -> dict[str, float]:
    """How many in 1,000 pairs of each group score at least this."""
    return {
        group: round(1e3 * float(np.mean([np.mean(part[group] >= least) for part in parts])), 1) for group in parts[0]
    }


def _exceeded_within(parts: list[dict[str, NDArray[np.float32]]], rate: float) -> float:
    """The score that pairs of one group exceed at this rate, all groups counting alike."""
    scores = np.concatenate([own for part in parts for own in part.values()])
    weights = np.concatenate([np.full(len(own), 1 / len(own)) for part in parts for own in part.values()])
    order = np.argsort(-scores)
    shares = np.cumsum(weights[order]) / weights.sum()
    return round(float(scores[order[np.searchsorted(shares, rate)]]), 3)


Weighed = tuple[NDArray[np.float32], NDArray[np.float32]]
"""(n,) scores and their weights."""


def _scores(cohort: Cohort, probes: Floats, templates: Floats, groups: NDArray[np.str_]) -> Weighed:
    """Scores of all pairs of different people; all pairs of groups have equal weight."""
    scores = 1 - (1 - probes @ templates.T) / np.outer(cohort.scales(probes), cohort.scales(templates))
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    own = sizes[number]
    different = ~np.eye(len(groups), dtype=bool)
    alike = number[:, None] == number
    weights = 1 / np.where(alike, np.outer(own, np.maximum(1, own - 1)), np.outer(own, own))
    return scores[different].astype(np.float32), weights[different].astype(np.float32)


def _exceeded(parts: list[Weighed]) -> list[float]:
    scores, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(-scores)
    shares = np.cumsum(weights[order], dtype=np.float64) / weights.sum(dtype=np.float64)
    return [round(float(scores[order[np.searchsorted(shares, rate)]]), 3) for rate in RATES]
