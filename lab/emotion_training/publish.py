"""Publishes a finished run to `data/models`: networks, calibration and scores, measured with the server's code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from facewire.server.vision.embedder import Embedder
from facewire.server.vision.emotion import Calibration, EmotionReader, EmotionSpec, HeadSpec
from facewire.server.vision.opening import VisionSettings, open_embedder
from facewire.server.vision.runtime import open_network
from facewire.server.vision.weights import WeightsFinder
from lab.emotion_training import calibrate
from lab.emotion_training.data import FER_PUBLIC, FER_TRAIN, LABELS, RAF_TRAIN, Split, write_pictures
from lab.emotion_training.export import export_onnx, write_spec
from lab.emotion_training.maps import CARD, WHOLE
from lab.emotion_training.pixels import SERVED_SIZE
from lab.evaluation.confusion_plot import save_confusion
from lab.evaluation.emotion import Framing, class_names, confusion, measure, read_all
from lab.evaluation.pictures import labelled_pictures

SIDE, DOWN = 0.88, 0.04
"""The server's crop relative to YuNet's box. FER2013's pictures are 0.96 of its longer side, 0.01 of it lower than its
middle; RAF-DB's 0.83 and 0.04 (medians of the parts set aside, enlarged to 200 px with their edges drawn out by 60).
Found by YuNet and cropped again, RAF-DB's scored 0.76 to 0.77 from 0.85 to 0.92 and 0.73 at 1.0; FER2013's, 0.66, 0.65
and 0.65."""

WEIGHTS = np.arange(0.0, 1.01, 0.05)
"""Candidate weights of the head's logits relative to the network's."""

SIDES = {"fer2013": 48.0, "rafdb": 100.0}
"""Pixels a side of the data sets' pictures."""
MAPS = (8, 8, 896)
UNCALIBRATED = Calibration(((1.0, 1.0),), certain_at=0.0)

Answers = tuple[NDArray[np.int64], NDArray[np.float64]]
"""True label numbers (n,) and logits (n, 7), up to a constant."""


def publish(network: nn.Module, head: nn.Module, split: Split, shared: Path, run: Path, target: Path) -> None:
    """Writes both networks, emotion.json and the confusion matrices into `target`, and the held-out parts, as folders
    of pictures for scripts/evaluate.py, into `run`/held-out."""
    target.mkdir(parents=True, exist_ok=True)
    spec, riding = exported(network, head, target)
    held_out = write_held_out(split, shared, run / "held-out")
    sources = {
        "fer2013 set aside for choosing": held_out / "choice-fer2013",
        "rafdb set aside for choosing": held_out / "choice-rafdb",
        "fer2013 public_test": shared / FER_PUBLIC,
        "rafdb set aside for reporting": held_out / "report-rafdb",
    }
    reader = EmotionReader(spec, open_network(spec.onnx))
    embedder = open_embedder(CARD, VisionSettings(), WeightsFinder(shared / "deepface", None), spec)
    alone, head_alone = (
        {name: answers(reader, path, carrier) for name, path in sources.items()} for carrier in (None, embedder)
    )
    weight = calibrate.fit_weight(
        [(alone[name], head_alone[name][1]) for name in sources if "choosing" in name], WEIGHTS
    )
    together = {
        name: (truth, weight * head_alone[name][1] + (1 - weight) * logits) for name, (truth, logits) in alone.items()
    }
    head = replace(riding, weight=round(weight, 2), calibration=calibrated(together))
    spec = replace(spec, calibration=calibrated(alone), head=head)
    fields = spec_fields(spec, head) | {
        "scores": scores(together, head.calibration, target),
        "scores_alone": scores(alone, spec.calibration, None),
    }
    write_spec(target / "emotion.json", spec.onnx, head.onnx, fields)


def exported(network: nn.Module, head: nn.Module, target: Path) -> tuple[EmotionSpec, HeadSpec]:
    """Writes the networks to `target`, without calibration yet: where there is a head, it alone counts."""
    onnx, head_onnx = target / "emotion.onnx", target / "emotion_head.onnx"
    export_onnx(network, (1, SERVED_SIZE, SERVED_SIZE), onnx)
    export_onnx(head, MAPS, head_onnx)
    riding = HeadSpec(head_onnx, CARD.name, str(CARD.maps), weight=1.0, whole=WHOLE, calibration=UNCALIBRATED)
    spec = EmotionSpec("emotion", onnx, LABELS, SERVED_SIZE, SIDE, DOWN, UNCALIBRATED, riding)
    return spec, riding


def write_held_out(split: Split, shared: Path, folder: Path) -> Path:
    write_pictures(shared / FER_TRAIN, split.choice_fer, folder / "choice-fer2013")
    write_pictures(shared / RAF_TRAIN, split.choice_raf, folder / "choice-rafdb")
    write_pictures(shared / RAF_TRAIN, split.raf_report, folder / "report-rafdb")
    return folder


def answers(reader: EmotionReader, pictures: Path, embedder: Embedder | None) -> Answers:
    """The networks' outputs for labelled pictures, used whole."""
    truth, rows = read_all(Framing(reader, None, embedder), labelled_pictures(pictures, class_names(LABELS)))
    return truth, np.log(rows + 1e-12)


def calibrated(answered: dict[str, Answers]) -> Calibration:
    """Fits a temperature for each validation set, at the size of its pictures."""
    chosen = {name: answers for name, answers in answered.items() if "choosing" in name}
    temperatures = tuple(
        (side_of(name), round(calibrate.fit_temperature(logits, truth), 4)) for name, (truth, logits) in chosen.items()
    )
    found = Calibration(temperatures, certain_at=0.0)
    rows = np.concatenate([chances(name, logits, found) for name, (_, logits) in chosen.items()])
    right = rows.argmax(1) == np.concatenate([truth for truth, _ in chosen.values()])
    return replace(found, certain_at=calibrate.fit_certainty(rows.max(1), right))


def side_of(name: str) -> float:
    """Side length in pixels of a data set's pictures."""
    return SIDES[name.split()[0]]


def chances(name: str, logits: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """(n, 7) calibrated probabilities for a data set's logits."""
    return calibrate.probabilities(logits, float(calibration.temperature(np.array([side_of(name)]))[0]))


def scores(answered: dict[str, Answers], calibration: Calibration, pictures: Path | None) -> dict[str, Any]:
    """The scores in emotion.json; also draws the test sets' confusion matrices into `pictures`."""
    told = {}
    for name, (truth, logits) in answered.items():
        rows = chances(name, logits, calibration)
        told[name] = measure(truth, rows, LABELS, calibration.certain_at)
        if pictures is not None and "choosing" not in name:
            picture = pictures / f"emotion_confusion_{name.split()[0]}.png"
            save_confusion(picture, confusion(truth, rows.argmax(1), len(LABELS)), LABELS)
    return told


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


def calibration_fields(calibration: Calibration) -> dict[str, Any]:
    """The calibration's fields, as read by `Calibration.of`."""
    temperatures = {f"{side:g}": temperature for side, temperature in calibration.temperatures}
    return {"temperature": temperatures, "certain_at": calibration.certain_at}
