"""The trained network as ONNX with float16 weights, and the JSON file that tells the server how to feed and read it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

HALVED_FROM = 256
"""Elements from which a weight is stored as float16: half the file. What is smaller (biases) is not worth a node."""
OPSET = 17


def export_onnx(network: nn.Module, size: int, path: Path) -> None:
    """Write (n, 1, size, size) grey faces in 0..1 -> (n, 7) logits, for any n; batch normalisation is folded away."""
    network.eval()
    # The exporter built on TorchScript folds batch normalisation into the convolutions; the newer one leaves it.
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, size, size),),
        str(path),
        input_names=["faces"],
        output_names=["logits"],
        dynamic_axes={"faces": {0: "n"}, "logits": {0: "n"}},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(str(path))
    halve_weights(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def halve_weights(model: onnx.ModelProto) -> None:
    """Store large weights as float16 with a cast back to float32, which every runtime folds when it loads."""
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < HALVED_FROM:
            continue
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), name + "_half"))
        casts.append(helper.make_node("Cast", [name + "_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])


def write_spec(path: Path, network: Path, fields: dict[str, Any]) -> None:
    """Write `fields` and the sha256 of `network`, which lies beside, as the JSON file that the server reads."""
    digest = hashlib.sha256(network.read_bytes()).hexdigest()
    path.write_text(
        json.dumps({"onnx": {"file": network.name, "sha256": digest}} | fields, indent=2) + "\n", encoding="utf-8"
    )
