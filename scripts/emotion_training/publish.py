"""From a finished run to `data/models`: network, calibration, scores; measured by the code that serves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from scripts.emotion_training import calibrate
from scripts.emotion_training.data import FER_PUBLIC, FER_TRAIN, LABELS, RAF_TRAIN, Split, write_pictures
from scripts.emotion_training.export import export_onnx, write_spec
from scripts.emotion_training.loop import SERVED_SIZE
from scripts.evaluation.confusion_plot import save_confusion
from scripts.evaluation.emotion import Framing, class_names, confusion, measure, read_all
from scripts.evaluation.pictures import labelled_pictures
from server.vision.emotion import EmotionReader, EmotionSpec
from server.vision.runtime import open_network

SIDE, DOWN = 0.88, 0.04
"""The server's crop relative to YuNet's box. FER2013's pictures are 0.96 of its longer side, 0.01 of it lower than its
middle; RAF-DB's 0.83 and 0.04 (medians of the parts set aside, enlarged to 200 px with their edges drawn out by 60).
Found by YuNet and cropped again, RAF-DB's scored 0.76 to 0.77 from 0.85 to 0.92 and 0.73 at 1.0; FER2013's, 0.66, 0.65
and 0.65."""

Answers = tuple[NDArray[np.int64], NDArray[np.float64]]


def publish(network: nn.Module, split: Split, shared: Path, run: Path, target: Path) -> None:
    """Write emotion.onnx, emotion.json and the confusion pictures into `target`; the parts set aside, as folders of
    pictures for scripts/evaluate.py, into `run`/held-out."""
    target.mkdir(parents=True, exist_ok=True)
    onnx_path = target / "emotion.onnx"
    export_onnx(network, SERVED_SIZE, onnx_path)
    held_out = write_held_out(split, shared, run / "held-out")
    sources = {
        "fer2013 set aside for choosing": held_out / "choice-fer2013",
        "rafdb set aside for choosing": held_out / "choice-rafdb",
        "fer2013 public_test": shared / FER_PUBLIC,
        "rafdb set aside for reporting": held_out / "report-rafdb",
    }
    spec = EmotionSpec("emotion", onnx_path, LABELS, SERVED_SIZE, SIDE, DOWN, temperature=1.0, certain_at=0.0)
    reader = EmotionReader(spec, open_network(onnx_path))
    answered = {name: answers(reader, path) for name, path in sources.items()}
    spec = calibrated(spec, [answered[name] for name in sources if "choosing" in name])
    scores = {}
    for name, (truth, logits) in answered.items():
        rows = calibrate.probabilities(logits, spec.temperature)
        scores[name] = measure(truth, rows, spec)
        if "choosing" not in name:
            picture = target / f"emotion_confusion_{name.split()[0]}.png"
            save_confusion(picture, confusion(truth, rows.argmax(1), len(LABELS)), LABELS)
    write_spec(target / "emotion.json", onnx_path, spec_fields(spec, scores))


def write_held_out(split: Split, shared: Path, folder: Path) -> Path:
    write_pictures(shared / FER_TRAIN, split.choice_fer, folder / "choice-fer2013")
    write_pictures(shared / RAF_TRAIN, split.choice_raf, folder / "choice-rafdb")
    write_pictures(shared / RAF_TRAIN, split.raf_report, folder / "report-rafdb")
    return folder


def answers(reader: EmotionReader, pictures: Path) -> Answers:
    """True label numbers and logits (up to a constant) of labelled pictures, taken whole."""
    truth, rows = read_all(Framing(reader, None), labelled_pictures(pictures, class_names(LABELS)))
    return truth, np.log(rows + 1e-12)


def calibrated(spec: EmotionSpec, choice: list[Answers]) -> EmotionSpec:
    """The spec with the temperature and certainty fitted on what it answered at temperature 1."""
    temperature = calibrate.fit_temperature([(logits, truth) for truth, logits in choice])
    rows = np.concatenate([calibrate.probabilities(logits, temperature) for _, logits in choice])
    right = rows.argmax(1) == np.concatenate([truth for truth, _ in choice])
    certain_at = calibrate.fit_certainty(rows.max(1), right)
    return replace(spec, temperature=round(temperature, 4), certain_at=certain_at)


def spec_fields(spec: EmotionSpec, scores: dict[str, Any]) -> dict[str, Any]:
    """What emotion.json says beside the network's file and sha256."""
    return {
        "name": "facewire-emotion",
        "version": 1,
        "labels": list(LABELS),
        "input": {"size": SERVED_SIZE, "colour": "grey", "range": "0..1; the network normalises each picture itself"},
        "crop": {"side": SIDE, "down": DOWN, "relative_to": "the longer side of YuNet's box"},
        "mirrored": True,
        "temperature": spec.temperature,
        "certain_at": spec.certain_at,
        "data": {"FER2013, train part": "research use", "RAF-DB, train part": "non-commercial research use"},
        "scores": scores,
    }
