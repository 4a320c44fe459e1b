"""Train the emotion network and publish it: `python scripts/train_emotion.py --shared ../shared --run runs/emotion`.

Needs requirements-train.txt. Resumes by itself from the run folder's checkpoint; one seed gives one result, up to the
order in which threads add floats. data/models/README.md tells what the network may be used for.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.emotion_training.data import load_split
from scripts.emotion_training.loop import SERVED_SIZE, Recipe, Training
from scripts.emotion_training.publish import publish

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    arguments = parse()
    arguments.run.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(seed=arguments.seed, epochs=arguments.epochs)
    split = load_split(arguments.shared)
    training = Training(split, recipe, arguments.run, arguments.threads)
    training.resume()
    if not arguments.publish_only:
        training.run()
    training.settle(SERVED_SIZE)
    publish(training.average.module, split, arguments.shared, arguments.run, arguments.models)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="holds fer2013/ and rafdb/")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoint, curve and held-out parts")
    parser.add_argument("--models", type=Path, default=ROOT / "data/models", help="where the network is published")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--publish-only", action="store_true", help="publish the last checkpoint as it is")
    parser.add_argument("--threads", type=int, default=2, help="at most so many")
    return parser.parse_args()


if __name__ == "__main__":
    main()
