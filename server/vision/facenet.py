"""Opens a FaceNet's weights as an embedder: converted once to OpenVINO's format, or run by TensorFlow."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from facewire.server.errors import StartError
from facewire.server.vision import deepface_models, runtime
from facewire.server.vision.cache import cache_key, cached_folder
from facewire.server.vision.embedder import Embedder, FaceNetEngine
from facewire.server.vision.identity import canonical, identity
from facewire.server.vision.models import ModelCard
from facewire.server.vision.runtime import Network
from facewire.server.vision.weights import WeightsFile

Runtime = Literal["openvino", "tensorflow"]

_FACTS = "facts.json"  # beside a converted network

log = logging.getLogger("facewire.vision")


def open_facenet(
    card: ModelCard, weights: WeightsFile, with_runtime: Runtime, cache_dir: Path, head: Path | None
) -> Embedder:
    """`head`: the emotion head to attach, if this is the FaceNet it was trained on. Raises StartError."""
    opened = _in_tensorflow if with_runtime == "tensorflow" else _in_openvino
    network, name = opened(card, weights, cache_dir, head)
    spec = card.spec(name)
    return Embedder(spec, FaceNetEngine(spec, network))


def _in_tensorflow(card: ModelCard, weights: WeightsFile, _: Path, head: Path | None) -> tuple[Network, str]:
    width, height = card.input_size
    model = deepface_models.keras_model(card, weights.path)
    name = identity(card, deepface_models.tensorflow_network(model, height, width), weights.sha256)
    riding = _fitting(head, card, weights, name, has_maps=True)
    opened = runtime.open_network(riding) if riding else None
    return deepface_models.tensorflow_network(model, height, width, opened), name


def _in_openvino(card: ModelCard, weights: WeightsFile, cache_dir: Path, head: Path | None) -> tuple[Network, str]:
    found = converted(card, weights, cache_dir)
    riding = _fitting(head, card, weights, found.identity, has_maps=found.has_maps)
    try:
        return runtime.open_network(found.network, head=riding), found.identity
    except StartError as error:
        raise _damaged(found.network.parent, card) from error


def _fitting(head: Path | None, card: ModelCard, weights: WeightsFile, name: str, *, has_maps: bool) -> Path | None:
    """The head, or None if the network is not the one it was trained on."""
    if head is None or (has_maps and name == canonical(card)):
        return head
    log.warning(
        "%s is not the network that the emotion head was trained on: expressions are read from pixels alone",
        weights.path,
    )
    return None


@dataclass(frozen=True, slots=True)
class Converted:
    """A cache entry. `network`: an IR file whose outputs are the embedding and, if `has_maps`, the card's maps;
    `identity`: the sha256 that stands for it in the spec."""

    network: Path
    identity: str
    has_maps: bool


def converted(card: ModelCard, weights: WeightsFile, cache_dir: Path) -> Converted:
    """A FaceNet as OpenVINO IR, converted unless it is cached. Raises StartError."""

    def build(folder: Path) -> None:
        log.info("converting %s once; later starts take it from %s", card.name, cache_dir)
        model = _read(card, weights.path)
        facts = {"has_maps": len(model.outputs) > 1}
        runtime.save_model(model, folder / "network.xml")
        exact = runtime.open_network(folder / "network.xml", exact=True)
        (folder / _FACTS).write_text(json.dumps(facts | {"identity": identity(card, exact, weights.sha256)}))

    tensorflow = deepface_models.tensorflow_version() if weights.path.suffix == ".h5" else None
    parts = (card.name, card.maps, weights.sha256, canonical(card), runtime.version(), tensorflow)
    folder = cached_folder(cache_dir, cache_key(*(part or "" for part in parts)), build)
    try:
        return Converted(folder / "network.xml", **json.loads((folder / _FACTS).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(folder, card) from error


def _damaged(folder: Path, card: ModelCard) -> StartError:
    return StartError(f"{folder} is damaged: delete it, and {card.name} is converted again")


def _read(card: ModelCard, weights: Path) -> Any:
    """The network as an OpenVINO model. Raises StartError if the file does not hold the card's network."""
    if weights.suffix == ".h5":
        return runtime.convert_keras(deepface_models.keras_model(card, weights))
    width, height = card.input_size
    try:
        model = runtime.convert_onnx(weights, card.maps_relu)
        fits = runtime.takes(model, (1, height, width, 3), (1, card.dimension))
    except StartError:
        fits = False
    if not fits:
        raise StartError(f"{weights} does not hold the weights of {card.name}: delete it, and it is fetched again")
    return model
