"""Train the cohort of other people that similarities are normalised by: `python scripts/train_cohort.py --images DIR`.

DIR has one folder a group, each picture another person (FairFace's faces by age and appearance). What is kept is a
Gaussian a group, as people drawn from it: nobody's picture, and no person's vector.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.evaluation import embedding
from scripts.evaluation.openset import pictures
from server.errors import FacewireError
from server.gallery.cohort import DEFAULT_PATH
from server.vision.embedder import unit_rows

NEAREST = 100


def main() -> int:
    arguments = parse()
    try:
        embedded = embedding.embed(pictures(arguments.images), arguments)
    except FacewireError as error:
        print(f"train_cohort.py: {error}", file=sys.stderr)
        return 2
    groups = np.array([path.relative_to(arguments.images).parts[0] for path in embedded.paths])
    members = drawn(embedded.templates, groups, arguments.each, np.random.default_rng(arguments.seed))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    kept = np.round(members * (127 / np.abs(members).max(axis=1, keepdims=True))).astype(np.int8)
    np.savez(arguments.out, members=kept, nearest=np.array(NEAREST), spec=embedded.spec.to_json())
    print(f"{arguments.out}: {len(members)} members", file=sys.stderr)
    return 0


def drawn(
    templates: NDArray[np.float32], groups: NDArray[np.str_], each: int, choice: np.random.Generator
) -> NDArray[np.float32]:
    """`each` unit vectors from the Gaussian of each group's templates, (groups * each, d)."""
    parts = []
    for group in np.unique(groups):
        own = templates[groups == group]
        middle = own.mean(axis=0)
        weights = choice.standard_normal((each, len(own))) / np.sqrt(len(own) - 1)
        parts.append(middle + weights @ (own - middle))
    return unit_rows(np.concatenate(parts).astype(np.float32))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=90, metavar="N", help="members a group (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_PATH, help="(default: %(default)s)")
    embedding.add_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
