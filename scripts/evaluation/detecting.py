"""The server's face detector, for the evaluations that start from photographs."""

from __future__ import annotations

from pathlib import Path

from server.vision import runtime
from server.vision.detector import YuNet
from server.vision.models import YUNET_FILE
from server.vision.opening import VisionSettings
from server.vision.weights import WeightsFinder


def open_yunet(weights_dir: Path | None) -> YuNet:
    """YuNet as the server runs it, from `weights_dir` or DeepFace's folder. Raises StartError where it is absent."""
    weights = WeightsFinder(weights_dir, None).find(YUNET_FILE)
    model = runtime.reshape(runtime.read_model(weights.path), (1, 3, -1, -1))
    return YuNet(runtime.OpenVinoGraph(model, streams=1, threads=runtime.cores()), VisionSettings().canvas)
