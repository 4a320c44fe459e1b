"""A CLIP model of four numbers, in the files that a real one has: it sees the mean colour, and reads three colours."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

SIDE, CONTEXT = 32, 8
WORDS = ("red", "green", "blue")


def write_clip(folder: Path) -> Path:
    """The folder, with the model in it. Skips the test where what writes such files is not installed."""
    if importlib.util.find_spec("tokenizers") is None:
        reason = "the package tokenizers is not installed (requirements-clip.txt)"
        (pytest.fail if os.environ.get("FACEWIRE_REQUIRE_SHARED") else pytest.skip)(reason)
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    for part in ("visual", "textual"):
        (folder / part).mkdir(parents=True)
    opset = {"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 9}
    colours = np.eye(3, 4, dtype=np.float32)
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    seeing = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["colour"]),
            helper.make_node("MatMul", ["colour", "colours"], ["embedding"]),
        ],
        "visual",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(colours, "colours")],
    )
    reading = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "text"], ["words"]),
            helper.make_node("ReduceSum", ["words", "axes"], ["embedding"], keepdims=0),
        ],
        "textual",
        [helper.make_tensor_value_info("text", TensorProto.INT32, ["n", CONTEXT])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(np.vstack([np.zeros((2, 4), np.float32), colours]), "table"), axes],
    )
    onnx.save(helper.make_model(seeing, **opset), folder / "visual" / "model.onnx")
    onnx.save(helper.make_model(reading, **opset), folder / "textual" / "model.onnx")
    cut = {"size": [SIDE, SIDE], "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "interpolation": "bicubic"}
    (folder / "visual" / "preprocess_cfg.json").write_text(json.dumps(cut | {"resize_mode": "shortest"}))
    vocabulary = {word: number for number, word in enumerate(("[pad]", "[unknown]", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[unknown]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "textual" / "tokenizer.json"))
    (folder / "textual" / "tokenizer_config.json").write_text(json.dumps({"pad_token": {"content": "[pad]"}}))
    return folder
