"""Finds how FaceNet is rounded to 8-bit integers: `python -m lab.quantise --images ../shared/demographics`.

Of faces that the images show, it notes how large each layer's output becomes, and then by how much the embeddings of
the rounded network differ from the others on average. What it writes (data/models/facenet512-int8.npz) holds these
numbers and no weights. The choices: docs/decisions/0055.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from openvino import Model
from openvino import opset13 as ops
from tqdm import tqdm

from facewire.protocol.arguments import Parser
from facewire.protocol.text import printable
from facewire.server.cores import cores
from facewire.server.errors import FacewireError, StartError
from facewire.server.settings import vision_settings
from facewire.server.vision import runtime
from facewire.server.vision.embedder import NORMALISATIONS, mirrored, unit_rows
from facewire.server.vision.facenet import converted, rounding_path
from facewire.server.vision.identity import canonical
from facewire.server.vision.image import Pixels
from facewire.server.vision.models import DEFAULT_MODEL, model_card
from facewire.server.vision.opening import VisionSettings, find_weights, open_analyser
from facewire.server.vision.quantisation import Rounding, kernel, layers, round_network
from facewire.server.vision.runtime import Floats
from facewire.server.vision.weights import WeightsFinder
from lab.evaluation import embedding
from lab.evaluation.pictures import image_files

CARD = model_card(DEFAULT_MODEL)

LEFT = (0, 1)
"""Convolutions whose weights are not rounded. The first reads pixels, which are no integers of the network's own; the
second's channels differ so much in size that rounding its weights alone makes more than half of all squared error."""

SPARE = 1.15
"""Ranges beyond the mean of what single pictures reach: 1.0 and 1.35 err more (0.038, 0.032 and 0.034 at 1.0, 1.15 and
1.35, as the root mean square of the difference of unit vectors)."""

_BATCH = 16


def main() -> int:
    arguments = parse()
    try:
        settings = vision_settings(arguments)
        crops = _crops(image_files(arguments.images), settings)
        network = _network(settings)
        chosen = np.random.default_rng(arguments.seed).permutation(len(crops))[: arguments.pictures]
        how = ranges(network, [crops[number] for number in np.sort(chosen)])
        views = crops + [mirrored(crop) for crop in crops]
        print(f"embedding {len(views)} views by both networks", file=sys.stderr)
        exact, rounded = _embeddings(_read(network), views), _embeddings(round_network(_read(network), how), views)
    except FacewireError as error:
        print(printable(f"quantise.py: {error}"), file=sys.stderr)
        return 2
    how = replace(how, moved=(exact - rounded).mean(axis=0))
    how.save(arguments.out)
    before, after = _apart(exact, rounded), _apart(exact, rounded + how.moved)
    print(f"{arguments.out}: {arguments.out.stat().st_size} bytes; apart by {before:.4f}, moved by {after:.4f}")
    return 0


def ranges(network: Path, crops: Sequence[Pixels]) -> Rounding:
    """What each layer's output may be rounded to, and no shift yet."""
    model = _read(network)
    found = layers(model)
    sums = np.array([layer.total is not None for layer in found])
    outputs = [layer.output for layer in found] + [layer.total for layer in found if layer.total is not None]
    greatest = _greatest(
        Model([ops.concat([_most(node) for node in outputs], 1).output(0)], model.get_parameters(), "most"), crops
    )
    highs = _as_joined(outputs, greatest) * SPARE
    total = np.full(len(found), np.nan, np.float32)
    total[sums] = highs[len(found) :]
    total[-1] = np.nan  # the last is averaged, not multiplied
    branch = np.where(sums, np.nan, highs[: len(found)])
    branch[0] = np.nan  # read by a layer that is left
    kept = np.array([number not in LEFT for number in range(len(found))])
    shapes = np.array([weights.shape for layer in found if (weights := kernel(layer.convolution)) is not None])
    unmoved = np.zeros(CARD.dimension, np.float32)
    return Rounding(str(canonical(CARD)), shapes, kept, branch.astype(np.float32), total, unmoved)


def _read(network: Path) -> Model:
    """The network for a free number of faces, with the embedding as its only output."""
    model = runtime.read_model(network)
    alone = Model([model.output(0).get_node().input_value(0)], model.get_parameters(), model.get_name())
    return runtime.reshape(alone, (-1, *CARD.input_size[::-1], 3))


def _most(node: Any) -> Any:
    return ops.unsqueeze(ops.reduce_max(node, [1, 2, 3], False), 1)


def _greatest(model: Model, crops: Sequence[Pixels]) -> Floats:
    """(values,) mean over pictures of the model's (n, values)."""
    return np.asarray(_embeddings(model, crops).mean(axis=0), np.float32)


def _as_joined(nodes: Sequence[Any], greatest: Floats) -> Floats:
    """Layers that are joined to one share the greatest range, so that they stay integers when they are joined."""
    numbers = {node.get_name(): number for number, node in enumerate(nodes)}
    shared = greatest.copy()
    joins = {
        reader.get_node().get_name(): reader.get_node()
        for node in nodes
        for reader in node.output(0).get_target_inputs()
    }
    for join in joins.values():
        if join.get_type_name() == "Concat":
            members = [numbers[name] for value in join.input_values() if (name := _through_pools(value)) in numbers]
            shared[members] = shared[members].max()
    return shared


def _through_pools(value: Any) -> str:
    node = value.get_node()
    while node.get_type_name() == "MaxPool":
        node = node.input_value(0).get_node()
    return str(node.get_name())


def _embeddings(model: Model, crops: Sequence[Pixels]) -> Floats:
    """(n, ...) the model's first output, not of unit length."""
    graph = runtime.OpenVinoGraph(model, streams=1, threads=cores(), exact=True)
    normalised = NORMALISATIONS[CARD.normalisation]
    rows = [
        graph.run(normalised(np.stack(crops[at : at + _BATCH]).astype(np.float32)))[0]
        for at in tqdm(range(0, len(crops), _BATCH), file=sys.stderr)
    ]
    return np.concatenate(rows)


def _apart(one: Floats, other: Floats) -> float:
    """Root mean square of the difference of unit vectors."""
    return float(np.sqrt(((unit_rows(one) - unit_rows(other)) ** 2).sum(axis=1).mean()))


def _crops(paths: Sequence[Path], settings: VisionSettings) -> list[Pixels]:
    """The main face of every picture that shows one."""
    analyser = open_analyser(replace(settings, emotion="off", precision="f32"))
    try:
        with ThreadPoolExecutor(cores()) as pool:
            found = list(
                tqdm(
                    pool.map(lambda path: embedding.main_crop(analyser, path), paths), total=len(paths), file=sys.stderr
                )
            )
    finally:
        analyser.close()
    return [crop for crop in found if crop is not None]


def _network(settings: VisionSettings) -> Path:
    """The converted network. Raises StartError if it is not the one whose rounding is shipped."""
    weights = find_weights(CARD, WeightsFinder(settings.weights_dir, None))
    found = converted(CARD, weights, settings.cache_dir)
    if found.identity != canonical(CARD):
        raise StartError(f"{weights.path} is not the network that galleries name")
    return found.network


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200, help="for ranges (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of their choice (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=rounding_path(CARD), help="(default: %(default)s)")
    embedding.add_image_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
