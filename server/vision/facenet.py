"""Opens a FaceNet's weights as an embedder: converted once to OpenVINO's format, or run by TensorFlow."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from facewire.models import FOLDER
from facewire.server.cache import cache_key, cached_folder
from facewire.server.errors import StartError
from facewire.server.vision import deepface_models, quantisation, runtime
from facewire.server.vision.embedder import Embedder, FaceNetEngine, OpenBare
from facewire.server.vision.identity import canonical, identity
from facewire.server.vision.models import DEFAULT_MODEL, ModelCard
from facewire.server.vision.runtime import Network
from facewire.server.vision.stages import Stages
from facewire.server.vision.streams import open_by_company
from facewire.server.vision.weights import WeightsFile

Runtime = Literal["openvino", "tensorflow"]
Precision = Literal["auto", "int8", "f32"]

_FACTS = "facts.json"  # beside a converted network

log = logging.getLogger("facewire.vision")


def open_facenet(
    card: ModelCard,
    weights: WeightsFile,
    with_runtime: Runtime,
    cache_dir: Path,
    head: Path | None,
    precision: Precision = "auto",
) -> Embedder:
    """`head`: the emotion head to attach, if this is the FaceNet it was trained on. Raises StartError."""
    if with_runtime == "tensorflow":
        return _in_tensorflow(card, weights, head, precision)
    return _in_openvino(card, weights, cache_dir, head, precision)


def _in_tensorflow(card: ModelCard, weights: WeightsFile, head: Path | None, precision: Precision) -> Embedder:
    if precision == "int8":
        raise StartError("--precision int8 needs --runtime openvino", exit_code=2)
    width, height = card.input_size
    model = deepface_models.keras_model(card, weights.path)
    name = identity(card, deepface_models.tensorflow_network(model, height, width), weights.sha256)
    attached = _fitting(head, card, weights, name, has_maps=True)
    opened = runtime.open_network(attached) if attached else None
    bare = partial(deepface_models.tensorflow_network, model, height, width)
    return _embedder(card, name, deepface_models.tensorflow_network(model, height, width, opened), "f32", bare)


def _in_openvino(
    card: ModelCard, weights: WeightsFile, cache_dir: Path, head: Path | None, precision: Precision
) -> Embedder:
    found = converted(card, weights, cache_dir)
    attached = _fitting(head, card, weights, found.identity, has_maps=found.has_maps)
    path = None if precision == "f32" else rounded(card, found, cache_dir, attached, required=precision == "int8")
    network: Network
    try:
        if path is None:
            network = runtime.open_network(found.network, head=attached, exact=True)
        else:
            network = open_by_company(path, exact=True)
    except StartError as error:
        raise _damaged((path or found.network).parent, card) from error
    bare = partial(runtime.open_network, found.network, exact=True)
    return _embedder(card, found.identity, network, "int8" if path else "f32", bare)


def _embedder(
    card: ModelCard, name: str, network: Network, precision: Literal["int8", "f32"], bare: OpenBare
) -> Embedder:
    spec = card.spec(name)
    return Embedder(spec, FaceNetEngine(spec, network), precision, bare)


def _fitting(head: Path | None, card: ModelCard, weights: WeightsFile, name: str, *, has_maps: bool) -> Path | None:
    """The head, or None if the network is not the one it was trained on."""
    if head is None or (has_maps and name == canonical(card)):
        return head
    log.warning(
        "%s is not the network that the emotion head was trained for: emotions are read from pixels alone",
        weights.path,
    )
    return None


_CONVERSION = "2"
"""Raise it when the conversion makes other layers of the same weights: an older cache would pass for its result, and
what is known about rounding be applied to the wrong layers."""


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
        stages = Stages()
        stages.now(f"converting {card.name}, once: later starts read it from {cache_dir}")
        model = _read(card, weights.path, stages)
        facts = {"has_maps": len(model.outputs) > 1}
        stages.now("writing the converted network, and checking what it computes")
        runtime.save_model(model, folder / "network.xml")
        exact = runtime.open_network(folder / "network.xml", exact=True)
        (folder / _FACTS).write_text(json.dumps(facts | {"identity": identity(card, exact, weights.sha256)}))
        stages.now(f"{card.name} is converted")

    tensorflow = deepface_models.tensorflow_version() if weights.path.suffix == ".h5" else None
    parts = (card.name, card.maps, weights.sha256, canonical(card), runtime.version(), tensorflow, _CONVERSION)
    folder = cached_folder(cache_dir, cache_key(*(part or "" for part in parts)), build)
    try:
        return Converted(folder / "network.xml", **json.loads((folder / _FACTS).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise _damaged(folder, card) from error


def rounded(card: ModelCard, found: Converted, cache_dir: Path, head: Path | None, *, required: bool) -> Path | None:
    """The network in 8-bit integers as an IR file, made unless it is cached; its only output is the embedding, and what
    `head` says. None if that gains nothing on this processor, or nothing is known about rounding this network;
    `required`: then a StartError says so.
    """
    numbers = rounding_path(card)
    known = canonical(card) == found.identity and numbers.exists()
    if not required and not (known and runtime.gains_by_integers()):
        return None
    if not known:
        raise StartError(
            f"--precision int8 is for the released {DEFAULT_MODEL}, whose rounding was measured", exit_code=2
        )

    def build(folder: Path) -> None:
        stages = Stages()
        stages.now(f"rounding {card.name} to 8-bit integers, once")
        model = runtime.read_model(found.network)
        if not quantisation.fits(model, how):
            raise _OtherLayers(f"the converter made other layers of {card.name} than those whose rounding was measured")
        model = quantisation.round_network(model, how)
        # Attached here, not at every start, so that the file can be compiled as it is.
        runtime.save_model(runtime.with_free_batch(runtime.followed(model, head)), folder / "network.xml")
        stages.now(f"{card.name} is rounded")

    how = quantisation.Rounding.load(numbers)
    digests = [sha256(file.read_bytes()).hexdigest() if file else "" for file in (numbers, head)]
    key = cache_key("int8, batch free", found.network.parent.name, *digests, quantisation.RECIPE)
    try:
        return cached_folder(cache_dir, key, build) / "network.xml"
    except _OtherLayers as error:
        if required:
            raise
        log.warning("%s: f32 is used instead", error)
        return None


class _OtherLayers(StartError):
    """The numbers don't fit the graph."""


def rounding_path(card: ModelCard) -> Path:
    """The path for how the known network is rounded (`quantisation.Rounding`), whether or not it exists."""
    return FOLDER / f"{card.name.lower()}-int8.npz"


def _damaged(folder: Path, card: ModelCard) -> StartError:
    return StartError(f"{folder} is damaged: delete it, and {card.name} is converted again")


def _read(card: ModelCard, weights: Path, stages: Stages) -> Any:
    """The network as an OpenVINO model. Raises StartError if the file does not hold the card's network."""
    if weights.suffix == ".h5":
        stages.now("loading TensorFlow, and the weights into it")
        model = deepface_models.keras_model(card, weights)
        stages.now("converting its network to OpenVINO's")
        with deepface_models.no_bytecode():
            return runtime.convert_keras(model)
    width, height = card.input_size
    try:
        model = runtime.convert_onnx(weights, card.maps_relu)
        fits = runtime.takes(model, (1, height, width, 3), (1, card.dimension))
    except StartError:
        fits = False
    if not fits:
        raise StartError(f"{weights} does not hold the weights of {card.name}: delete it, and it is downloaded again")
    return model
