"""Rounds a converted FaceNet to 8-bit integers: half the arithmetic on a processor with AVX2, less still on newer ones.

Weights are rounded as they are, one scale per output channel. What an activation may be rounded to shows only on faces:
its range was found at development time, like the shift that all embeddings have in common (`lab/quantise.py`,
docs/decisions/0055). The server needs these numbers, and neither the pictures nor the tool.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from openvino import Model
from openvino import opset13 as ops

from facewire.server.errors import StartError

Floats = NDArray[np.float32]

RECIPE = "1"
"""Part of the cache key of rounded networks: changes with what `round_network` does."""

_LEVELS = 256
_LARGEST_WEIGHT = 127
"""Symmetric: -127..127, so that zero is exact."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """How one network is rounded; convolutions are numbered as in `layers`.

    `network`: sha256 of the network, as in `identity.canonical`; `kernels`: (n, 4) shapes of its weights; `rounded`:
    (n,) whether those become integers; `outputs`: (n,) greatest value of what follows each convolution (bias and ReLU),
    `sums`: (n,) the same after what it is added to; all are at least 0; NaN: not rounded. `moved`: (d,)
    is added to every embedding.
    """

    network: str
    kernels: NDArray[np.int64]
    rounded: NDArray[np.bool_]
    outputs: Floats
    sums: Floats
    moved: Floats

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads `save`'s file. Raises StartError if it is missing or damaged."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                floats = {name: stored[name].astype(np.float32) for name in _FLOATS}
                return cls(str(stored["network"]), stored["kernels"], stored["rounded"], **floats)
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise StartError(f"{path} can't be read: {error}") from error

    def save(self, path: Path) -> None:
        """Writes an .npz file."""
        floats = {name: getattr(self, name).astype(np.float32) for name in _FLOATS}
        np.savez_compressed(path, network=self.network, kernels=self.kernels, rounded=self.rounded, **floats)


_FLOATS = ("outputs", "sums", "moved")


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution; the last node before its output is read (its bias, and the ReLU if there is one), and the last
    node of the sum that it is a part of, if it is."""

    convolution: Any
    output: Any
    total: Any | None


def layers(model: Model) -> list[Layer]:
    """The convolutions that the first output depends on, in an order that does not depend on the converter: a layer
    after those it reads, branches in the order in which they are joined. Raises StartError if one is no convolution
    with a bias."""
    found, seen = [], set()
    waiting: list[tuple[Any, bool]] = [(model.output(0).get_node(), False)]
    while waiting:
        node, read = waiting.pop()
        if read:
            found.append(node)
        elif node.get_name() not in seen:
            seen.add(node.get_name())
            inputs = [(value.get_node(), False) for value in reversed(node.input_values())]
            waiting += [(node, True), *inputs] if node.get_type_name() == "Convolution" else inputs
    return [_layer(node) for node in found]


def _layer(convolution: Any) -> Layer:
    biases = _readers(convolution, "Add")
    if not biases:
        raise StartError(f"the layer {convolution.get_friendly_name()} has no bias")
    bias = biases[0]
    relu, total = _readers(bias, "Relu"), _readers(bias, "Add")
    if relu or not total:
        return Layer(convolution, relu[0] if relu else bias, None)
    return Layer(convolution, bias, (_readers(total[0], "Relu") or total)[0])


def _readers(node: Any, kind: str) -> list[Any]:
    nodes = (reader.get_node() for reader in node.output(0).get_target_inputs())
    return [node for node in nodes if node.get_type_name() == kind]


def kernel(convolution: Any) -> Floats | None:
    """(outputs, inputs, height, width) weights, or None if they are computed."""
    source = convolution.input_value(1).get_node()
    while source.get_type_name() == "Convert":
        source = source.input_value(0).get_node()
    return np.asarray(source.get_data(), np.float32) if source.get_type_name() == "Constant" else None


def fits(model: Model, how: Rounding) -> bool:
    """Whether the model has the layers that the numbers were found for."""
    try:
        shapes = [kernel(layer.convolution) for layer in layers(model)]
    except StartError:
        return False
    known = [tuple(shape) for shape in how.kernels.tolist()]
    return known == [None if weights is None else weights.shape for weights in shapes]


def round_network(model: Model, how: Rounding) -> Model:
    """Changes the model in place; see `fits`. Its outputs keep their order and shapes."""
    for number, layer in enumerate(layers(model)):
        if how.rounded[number]:
            _round_weights(layer.convolution)
        _round_activation(layer.output, how.outputs[number])
        if layer.total is not None:
            _round_activation(layer.total, how.sums[number])
    result = model.get_results()[0]
    result.input(0).replace_source_output(ops.add(result.input_value(0), how.moved).output(0))
    model.validate_nodes_and_infer_types()
    return model


def _round_weights(convolution: Any) -> None:
    weights = kernel(convolution)
    assert weights is not None
    scale = np.maximum(np.abs(weights).max(axis=(1, 2, 3), keepdims=True), np.finfo(np.float32).tiny) / _LARGEST_WEIGHT
    whole = ops.convert(ops.constant(np.rint(weights / scale).astype(np.int8)), np.float32)
    convolution.input(1).replace_source_output(ops.multiply(whole, scale.astype(np.float32)).output(0))


def _round_activation(node: Any, greatest: np.float32) -> None:
    if not np.isfinite(greatest):
        return
    readers = node.output(0).get_target_inputs()
    low, high = ops.constant(np.float32(0)), ops.constant(greatest)
    rounded = ops.fake_quantize(node, low, high, low, high, _LEVELS)
    for reader in readers:
        reader.replace_source_output(rounded.output(0))
