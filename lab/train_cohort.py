"""Trains the cohort that normalises similarities: `python scripts/train_cohort.py --images DIR`.

DIR has one folder per group, in which every picture shows a different person (FairFace by age and appearance:
../shared/demographics). For each group, a low-rank Gaussian of its embeddings is stored; for children, whom FaceNet
separates least and unevenly, one for each of eight clusters. More members are drawn where strangers come closest. No
picture and nobody's embedding is stored. The settings were chosen on held-out people: docs/decisions/0057.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.arguments import Parser
from facewire.protocol.text import printable
from facewire.server.errors import FacewireError, StartError
from facewire.server.gallery.search.cohort import DEFAULT_PATH
from facewire.server.vision.embedder import unit_rows
from lab.evaluation import embedding
from lab.evaluation.pictures import image_files

Floats = NDArray[np.float32]


MEMBERS: Mapping[str, int] = {
    "child": 2000,
    "east_asian_women": 450,
    "east_asian_men": 300,
    "black_men": 225,
    "black_women": 225,
    "indian_men": 225,
    "indian_women": 225,
    "middle_eastern_men": 225,
    "southeast_asian_men": 225,
    "southeast_asian_women": 225,
    "teen": 100,
}
"""Members drawn for a group, if not Recipe.members: more where held-out people were confused more often than elsewhere,
fewer where less often (docs/decisions/0057)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings chosen by measurement (docs/decisions/0010, 0057). `crowded`: the folder of the group that is split into
    clusters of `cluster_people` on average."""

    nearest: int = 100
    rank: int = 64
    members: int = 150
    members_of: Mapping[str, int] = field(default_factory=lambda: MEMBERS)
    crowded: str = "child"
    cluster_people: int = 31


def main() -> int:
    arguments = parse()
    try:
        embedded = embedding.embed(image_files(arguments.images), arguments)
        groups = np.array([path.relative_to(arguments.images).parts[0] for path in embedded.paths])
        model = trained(embedded.templates, groups, Recipe(), arguments.seed)
    except FacewireError as error:
        print(printable(f"train_cohort.py: {error}"), file=sys.stderr)
        return 2
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, allow_pickle=False, spec=np.array(embedded.spec.to_json()), **model)
    drawn = int(model["members"].sum())
    print(f"{arguments.out}: {len(groups)} people as {len(model['means'])} Gaussians; {drawn} members are drawn")
    return 0


def trained(templates: Floats, groups: NDArray[np.str_], recipe: Recipe, seed: int) -> dict[str, NDArray[np.generic]]:
    """The arrays of `Cohort.load`. `templates`: (n, d) unit rows; `groups`: (n,). Raises StartError."""
    choice = np.random.default_rng(seed)
    means, factors, ranks, residuals, members = [], [], [], [], []
    for group in np.unique(groups):
        own = templates[groups == group]
        wanted = recipe.members_of.get(str(group), recipe.members)
        parts = max(1, len(own) // recipe.cluster_people) if group == recipe.crowded else 1
        clusters = k_means(own, parts, choice)
        for cluster in np.unique(clusters):
            people = own[clusters == cluster]
            if len(people) < recipe.rank // 4:
                raise StartError(f"{len(people)} pictures of {group} are too few: nobody's vector may be left visible")
            mean, factor, residual = gaussian(people, recipe.rank)
            means.append(mean)
            factors.append(factor)
            ranks.append(len(factor))
            residuals.append(residual)
            members.append(round(wanted * len(people) / len(own)))
    rows = np.concatenate(factors)
    scales = np.abs(rows).max(axis=1) / 127
    return {
        "means": np.stack(means).astype(np.float16),
        "factors": np.round(rows / scales[:, None]).astype(np.int8),
        "factor_scales": scales.astype(np.float32),
        "ranks": np.array(ranks),
        "residuals": np.array(residuals, np.float32),
        "members": np.array(members),
        "nearest": np.array(recipe.nearest),
        "seed": np.array(seed),
    }


def gaussian(people: Floats, rank: int) -> tuple[Floats, Floats, float]:
    """Mean (d,), factor (r, d) and residual deviation: covariance = factor' factor + residual^2."""
    mean = people.mean(axis=0)
    _, spread, directions = np.linalg.svd((people - mean) / np.sqrt(len(people) - 1), full_matrices=False)
    rank = min(rank, len(people) - 1)
    residual = float(np.sqrt((spread[rank:] ** 2).sum() / people.shape[1]))
    return mean, spread[:rank, None] * directions[:rank], residual


def k_means(rows: Floats, clusters: int, choice: np.random.Generator, starts: int = 8) -> NDArray[np.intp]:
    """(n,) the cluster of each row, by cosine; the best of several random starts."""
    best: tuple[float, NDArray[np.intp]] = (-np.inf, np.zeros(len(rows), np.intp))
    for _ in range(starts):
        centres = rows[choice.choice(len(rows), clusters, replace=False)]
        for _ in range(50):
            nearest = (rows @ centres.T).argmax(axis=1)
            centres = unit_rows(np.stack([rows[nearest == each].sum(axis=0) for each in range(clusters)]))
        closeness = float((rows * centres[nearest]).sum())
        if closeness > best[0]:
            best = closeness, nearest
    return best[1]


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of clusters and drawn members (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_PATH, help="(default: %(default)s)")
    embedding.add_image_arguments(parser)
    return parser.parse_args()
