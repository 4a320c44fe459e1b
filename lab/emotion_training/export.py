"""Writes the trained network as ONNX with compressed weights, and the JSON file that describes it to the server."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import nn

HALVED_FROM = 256
"""Elements from which a weight is stored as float16: half the file. What is smaller (biases) is not worth a node."""
QUARTERED_FROM = 60_000
"""Elements from which a weight is stored as int8 with a scale for every output channel: 2 M parameters in 2.3 MB. It
computes in float32 as before; the large layers come last, where rounding has little left to pass through."""
OPSET = 17


def export_onnx(network: nn.Module, shape: tuple[int, ...], path: Path) -> None:
    """Write faces (n, *shape) -> (n, 7) logits, for any n; batch normalisation is folded away."""
    network.eval()
    # The TorchScript-based exporter folds batch normalisation into the convolutions; the newer one does not.
    torch.onnx.export(
        network,
        (torch.zeros(1, *shape),),
        str(path),
        input_names=["faces"],
        output_names=["logits"],
        dynamic_axes={"faces": {0: "n"}, "logits": {0: "n"}},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(str(path))
    compress_weights(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def compress_weights(model: onnx.ModelProto) -> None:
    """Compresses large weights, with nodes that restore float32, which every runtime folds on loading."""
    restoring = []
    for weight in list(model.graph.initializer):
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < HALVED_FROM:
            continue
        name, small = weight.name, weight.name + "_small"
        if values.size < QUARTERED_FROM:
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), small))
            restoring.append(helper.make_node("Cast", [small], [name], to=onnx.TensorProto.FLOAT))
            continue
        integers, scales = rounded(values)
        weight.CopyFrom(numpy_helper.from_array(integers, small))
        model.graph.initializer.append(numpy_helper.from_array(scales, name + "_scales"))
        restoring.append(helper.make_node("Cast", [small], [name + "_whole"], to=onnx.TensorProto.FLOAT))
        restoring.append(helper.make_node("Mul", [name + "_whole", name + "_scales"], [name]))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*restoring, *nodes])


def rounded(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantises (outputs, ...) weights to int8 with (outputs, 1, ...) scales. The error is at most half a step, where a
    step is 1/127 of the channel's largest weight."""
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    scales = np.maximum(largest / 127, 1e-12).astype(np.float32)
    return np.rint(weight / scales).astype(np.int8), scales


def write_spec(path: Path, network: Path, head: Path, fields: dict[str, Any]) -> None:
    """Writes `fields`, and the names and sha256s of the networks in the same folder, as the JSON file for the
    server."""
    files = {"onnx": _file(network)} | fields
    files["head"] = {"onnx": _file(head)} | fields["head"]
    path.write_text(json.dumps(files, indent=2) + "\n", encoding="utf-8")


def _file(network: Path) -> dict[str, str]:
    return {"file": network.name, "sha256": hashlib.sha256(network.read_bytes()).hexdigest()}
