"""Writes DeepFace's FaceNet, and its Emotion network with random weights, as the ONNX files that DeepFace expects.

    python -m lab.benchmarking.deepface_to_onnx WEIGHTS_FOLDER

Runs in its own process, because it imports TensorFlow. Timing the Emotion network doesn't need the released weights:
random ones take the same multiplications.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def main(folder: Path) -> int:
    """Writes both files into `folder`."""
    from deepface.modules import modeling

    from lab.benchmarking.deepface_worker import random_emotion_network

    facenet = modeling.build_model("facial_recognition", "Facenet512").model
    _convert(facenet, (160, 160, 3), folder / "facenet512_weights.onnx")
    _convert(random_emotion_network().model, (48, 48, 1), folder / "facial_expression_model_weights.onnx")
    return 0


def _convert(model: Any, shape: tuple[int, ...], path: Path) -> None:
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, *shape), tf.float32, name="input")]
    forward = tf.function(lambda batch: model(batch, training=False))
    tf2onnx.convert.from_function(forward, input_signature=signature, opset=17, output_path=str(path))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
