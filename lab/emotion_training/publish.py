"""Publishes a finished run to `data/models`: networks, calibration and scores, measured with the server's code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from facewire.server.vision.emotion import EmotionReader, EmotionSpec, HeadSpec
from facewire.server.vision.opening import VisionSettings, open_embedder
from facewire.server.vision.runtime import open_network
from facewire.server.vision.weights import WeightsFinder
from lab.emotion_training import calibrate
from lab.emotion_training.data import LABELS, Split
from lab.emotion_training.export import export_onnx, write_spec
from lab.emotion_training.maps import CARD, WHOLE
from lab.emotion_training.parts import write_parts
from lab.emotion_training.pixels import SERVED_SIZE
from lab.emotion_training.scores import UNCALIBRATED, Answers, answers_to, calibrated, calibration_fields, parts, scores

SIDE, DOWN = 0.88, 0.04
"""The server's crop relative to YuNet's box. FER2013's pictures are 0.96 of its longer side, 0.01 of it lower than its
middle; RAF-DB's 0.83 and 0.04 (medians of the parts set aside, enlarged to 200 px with their edges drawn out by 60).
Found by YuNet and cropped again, RAF-DB's scored 0.76 to 0.77 from 0.85 to 0.92 and 0.73 at 1.0; FER2013's, 0.66, 0.65
and 0.65."""

WEIGHTS = np.arange(0.0, 1.01, 0.05)
"""Candidate weights of the head's logits relative to the network's."""

MAPS = (8, 8, 896)


def publish(network: nn.Module, head: nn.Module, split: Split, shared: Path, run: Path, target: Path) -> None:
    """Writes both networks, emotion.json and the confusion matrices into `target`, and the held-out parts, as folders
    of pictures for scripts/evaluate.py, into `run`/held-out."""
    target.mkdir(parents=True, exist_ok=True)
    spec, head_spec = exported(network, head, target)
    sources = parts(shared, write_parts(split, shared, run / "held-out"))
    reader = EmotionReader(spec, open_network(spec.onnx))
    embedder = open_embedder(CARD, VisionSettings(), WeightsFinder(shared / "deepface", None), spec)
    alone, head_alone = (
        {name: answers_to(reader, path, carrier) for name, path in sources.items()} for carrier in (None, embedder)
    )
    weight = calibrate.fit_weight(
        [(answers, head_alone[name][1]) for name, answers in for_choosing(alone).items()], WEIGHTS
    )
    together = {
        name: (truth, weight * head_alone[name][1] + (1 - weight) * logits) for name, (truth, logits) in alone.items()
    }
    head = replace(head_spec, weight=round(weight, 2), calibration=calibrated(for_choosing(together)))
    spec = replace(spec, calibration=calibrated(for_choosing(alone)), head=head)
    fields = spec_fields(spec, head) | {
        "scores": scores(together, head.calibration, target),
        "scores_alone": scores(alone, spec.calibration, None),
    }
    write_spec(target / "emotion.json", spec.onnx, head.onnx, fields)


def for_choosing(answered: dict[str, Answers]) -> dict[str, Answers]:
    """Only the parts on which things are chosen."""
    return {name: answers for name, answers in answered.items() if "choosing" in name}


def exported(network: nn.Module, head: nn.Module, target: Path) -> tuple[EmotionSpec, HeadSpec]:
    """Writes the networks to `target`, without calibration yet: where there is a head, it alone counts."""
    onnx, head_onnx = target / "emotion.onnx", target / "emotion_head.onnx"
    export_onnx(network, (1, SERVED_SIZE, SERVED_SIZE), onnx)
    export_onnx(head, MAPS, head_onnx)
    head_spec = HeadSpec(head_onnx, CARD.name, str(CARD.maps), weight=1.0, whole=WHOLE, calibration=UNCALIBRATED)
    spec = EmotionSpec("emotion", onnx, LABELS, SERVED_SIZE, SIDE, DOWN, UNCALIBRATED, head_spec)
    return spec, head_spec


def spec_fields(spec: EmotionSpec, head: HeadSpec) -> dict[str, Any]:
    """The fields of emotion.json, except the networks' files, sha256s and scores."""
    return {
        "name": "facewire-emotion",
        "version": 2,
        "labels": list(LABELS),
        "input": {"size": SERVED_SIZE, "colour": "grey", "range": "0..1; the network normalises each picture itself"},
        "crop": {"side": SIDE, "down": DOWN, "relative_to": "the longer side of YuNet's box"},
        "mirrored": True,
        **calibration_fields(spec.calibration),
        "head": {
            "model": head.model,
            "maps": head.maps,
            "weight": head.weight,
            "whole": head.whole,
            **calibration_fields(head.calibration),
        },
        "data": {"FER2013, train part": "research use", "RAF-DB, train part": "non-commercial research use"},
    }
