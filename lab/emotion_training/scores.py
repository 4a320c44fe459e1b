"""Calibrates the emotion networks on pictures kept from their training, and scores them, by the code that serves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.embedder import Embedder
from facewire.server.vision.emotion import Calibration, EmotionReader
from lab.emotion_training import calibrate
from lab.emotion_training.data import FER_PUBLIC, LABELS
from lab.evaluation.confusion_plot import save_confusion
from lab.evaluation.emotion import Framing, class_names, confusion, measure, read_all
from lab.evaluation.pictures import LabelledPicture, labelled_pictures

SIDES = {"fer2013": 48.0, "rafdb": 100.0}
"""Pixels a side of the data sets' pictures."""
UNCALIBRATED = Calibration(((1.0, 1.0),), certain_at=0.0)
Answers = tuple[NDArray[np.int64], NDArray[np.float64]]
"""True label numbers (n,) and logits (n, 7), up to a constant."""


def parts(shared: Path, held_out: Path) -> dict[str, Path]:
    """The pictures that are scored, by the names that emotion.json has for them."""
    return {
        "fer2013 set aside for choosing": held_out / "choice-fer2013",
        "rafdb set aside for choosing": held_out / "choice-rafdb",
        "fer2013 public_test": shared / FER_PUBLIC,
        "rafdb set aside for reporting": held_out / "report-rafdb",
    }


def answers_to(reader: EmotionReader, pictures: Path, embedder: Embedder | None) -> Answers:
    """The networks' outputs for labelled pictures, used whole; `reader` is not calibrated."""
    return answers(reader, labelled_pictures(pictures, class_names(LABELS)), embedder)


def answers(reader: EmotionReader, pictures: Iterable[LabelledPicture], embedder: Embedder | None) -> Answers:
    """The networks' outputs for these pictures, used whole; `reader` is not calibrated."""
    truth, rows = read_all(Framing(reader, None, embedder), iter(pictures))
    return truth, np.log(rows + 1e-12)


def calibrated(answered: Mapping[str, Answers]) -> Calibration:
    """Fits a temperature for each size of pictures, on all parts of that size together, and the limit of certainty on
    all parts."""
    sides = {name: side_of(name) for name in answered}
    temperatures = tuple(
        (side, round(fitted([answered[name] for name in sides if sides[name] == side]), 4))
        for side in sorted(set(sides.values()))
    )
    found = Calibration(temperatures, certain_at=0.0)
    rows = np.concatenate([chances(name, logits, found) for name, (_, logits) in answered.items()])
    right = rows.argmax(1) == np.concatenate([truth for truth, _ in answered.values()])
    return replace(found, certain_at=calibrate.fit_certainty(rows.max(1), right))


def fitted(answered: list[Answers]) -> float:
    """The temperature of these answers together."""
    truth, logits = (np.concatenate(column) for column in zip(*answered, strict=True))
    return calibrate.fit_temperature(logits, truth)


def side_of(name: str) -> float:
    """Side length in pixels of a data set's pictures."""
    return SIDES[name.split()[0]]


def chances(name: str, logits: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """(n, 7) calibrated probabilities for a data set's logits."""
    return calibrate.probabilities(logits, float(calibration.temperature(np.array([side_of(name)]))[0]))


def scores(answered: Mapping[str, Answers], calibration: Calibration, pictures: Path | None) -> dict[str, Any]:
    """The scores in emotion.json; also draws the test sets' confusion matrices into `pictures`."""
    told = {}
    for name, (truth, logits) in answered.items():
        rows = chances(name, logits, calibration)
        told[name] = measure(truth, rows, LABELS, calibration.certain_at)
        if pictures is not None and "choosing" not in name:
            picture = pictures / f"emotion_confusion_{name.split()[0]}.png"
            save_confusion(picture, confusion(truth, rows.argmax(1), len(LABELS)), LABELS)
    return told


def calibration_fields(calibration: Calibration) -> dict[str, Any]:
    """The calibration's fields, as read by `Calibration.of`."""
    temperatures = {f"{side:g}": temperature for side, temperature in calibration.temperatures}
    return {"temperature": temperatures, "certain_at": calibration.certain_at}
