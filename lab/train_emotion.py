"""Trains the emotion network and the emotion head on FaceNet, and publishes them:

    python scripts/train_emotion.py --shared ../shared --run runs/emotion

Needs requirements-train.txt. Every step is saved in the run folder and resumed from there: the network's checkpoint,
FaceNet's feature maps of the training pictures (2 GB per view), the head's checkpoint. A seed determines the result, up
to the order in which threads add floats. See data/models/README.md for what the networks may be used for.
"""

import argparse
from pathlib import Path

from torch import nn

from facewire.protocol.arguments import Parser
from facewire.server.cache import default_cache_dir
from facewire.server.vision.facenet import converted
from facewire.server.vision.opening import find_weights
from facewire.server.vision.weights import WeightsFinder
from lab.emotion_training import on_maps, pixels
from lab.emotion_training.data import Split, load_split
from lab.emotion_training.loop import Training, smooth_labels
from lab.emotion_training.maps import (
    CARD,
    FaceNetWatcher,
    channel_scales,
    pictures_of,
    seeded,
    whole_view,
    write_maps,
)
from lab.emotion_training.network import OnMaps
from lab.emotion_training.on_maps import MapSubject
from lab.emotion_training.pixels import PixelSubject
from lab.emotion_training.publish import publish

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    arguments = parse()
    arguments.run.mkdir(parents=True, exist_ok=True)
    split = load_split(arguments.shared)
    labels = smooth_labels(split.train)
    recipe = pixels.recipe(arguments.seed, arguments.epochs)
    network = trained(Training(PixelSubject(split), labels, recipe, arguments.run, arguments.threads), arguments)
    subject, recipe = map_subject(split, arguments), on_maps.recipe(arguments.seed, arguments.head_epochs)
    head = trained(Training(subject, labels, recipe, arguments.run / "head", arguments.threads), arguments)
    served = OnMaps(head, subject.deviations)
    publish(network, served, split, arguments.shared, arguments.run, arguments.models)
    return 0


def trained(training: Training, arguments: argparse.Namespace) -> nn.Module:
    """The averaged network at the end of the run; with --publish-only, at the last checkpoint."""
    training.resume()
    if not arguments.publish_only:
        training.run()
    return training.settle()


def map_subject(split: Split, arguments: argparse.Namespace) -> MapSubject:
    """FaceNet's feature maps of the head's training pictures, computed now unless the run folder has them."""
    folder = arguments.run / "maps"
    folder.mkdir(exist_ok=True)
    weights = find_weights(CARD, WeightsFinder(arguments.shared / "deepface", None))
    watcher = FaceNetWatcher(converted(CARD, weights, default_cache_dir()).network)
    pictures = pictures_of(arguments.shared, split.train)
    scales = channel_scales(folder / "scales.npy", watcher, pictures, arguments.seed)
    views = [
        write_maps(folder / f"train-{number}.npy", watcher, pictures, seeded(number), scales)
        for number in range(arguments.views)
    ]
    watched = [
        (
            name,
            write_maps(folder / f"{name}.npy", watcher, pictures_of(arguments.shared, faces), whole_view, scales),
            faces,
        )
        for name, faces in (("fer", split.choice_fer), ("raf", split.choice_raf))
    ]
    return MapSubject(views, scales, watched)


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared", help="holds fer2013/, rafdb/, deepface/")
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints, curves, maps, held-out parts")
    parser.add_argument("--models", type=Path, default=ROOT / "data/models", help="where the networks are published")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=64, help="of the network")
    parser.add_argument("--head-epochs", type=int, default=24, help="of the head")
    parser.add_argument("--views", type=int, default=4, help="of every picture that the head learns from")
    parser.add_argument("--publish-only", action="store_true", help="publish the last checkpoints as they are")
    parser.add_argument("--threads", type=int, default=2, help="at most so many")
    return parser.parse_args()
