"""The emotion model's accuracy, recall by class and calibration, on pictures in a folder per class.

Pictures are taken for faces as they are, edge to edge, as FER2013's 48x48 and RAF-DB's aligned 100x100 are, and
shrunk to the network's input. With --detect they go through the detector first, as in the server; where it finds no
face, the picture is taken as it is and counted in `undetected`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.evaluation.calibration import BINS, calibration_error
from scripts.evaluation.confusion_plot import save_confusion
from scripts.evaluation.pictures import LabelledPicture, labelled_pictures
from server.errors import StartError
from server.vision.detector import Detector
from server.vision.emotion import EmotionReader, EmotionSpec
from server.vision.image import ImageLimits, decode_image
from server.vision.opening import EMOTION_MODEL, VisionSettings, open_yunet
from server.vision.runtime import Floats, open_network
from server.vision.weights import WeightsFinder

HELP = "accuracy, recall by class and calibration error of the emotion model"
CHUNK = 64  # pictures held at a time; the network takes them in eights
OTHER_NAMES = {
    "anger": "angry", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "sadness": "sad",
    "surprised": "surprise",
    "1": "surprise", "2": "fear", "3": "disgust", "4": "happy", "5": "sad", "6": "angry", "7": "neutral",
}  # fmt: skip
"""What other releases of the two data sets call the folders; the numbers are RAF-DB's own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=Path, required=True, help="a folder or tar archive with one folder per class")
    parser.add_argument("--detect", action="store_true", help="find the face first, as the server does")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the confusion matrix as a picture")
    parser.add_argument("--spec", type=Path, default=EMOTION_MODEL, help="the model's JSON file")
    parser.add_argument("--weights-dir", type=Path, help="where YuNet's weights are, as for the server")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: accuracy, recall, calibration_error, n, and what is certain."""
    spec = EmotionSpec.load(arguments.spec)
    reader = EmotionReader(spec, open_network(spec.onnx))
    framing = Framing(reader, _yunet(arguments.weights_dir) if arguments.detect else None)
    pictures = labelled_pictures(arguments.images, class_names(spec.labels))
    truth, probabilities = read_all(framing, pictures)
    if arguments.plot:
        save_confusion(arguments.plot, confusion(truth, probabilities.argmax(1), len(spec.labels)), spec.labels)
    report = measure(truth, probabilities, spec)
    return report | ({"undetected": framing.undetected} if arguments.detect else {})


def _yunet(weights_dir: Path | None) -> Detector:
    return open_yunet(VisionSettings(), WeightsFinder(weights_dir, None))


class Framing:
    """Brings a picture to the network's input: whole, or by the detector's largest face."""

    def __init__(self, reader: EmotionReader, detector: Detector | None) -> None:
        self.reader, self._detector, self.undetected = reader, detector, 0

    def crop(self, content: bytes) -> Floats:
        """An image file's bytes as the network's input. Raises InvalidImage."""
        image = decode_image(content, ImageLimits())
        if self._detector is None:
            return self.reader.whole(image)
        faces = self._detector.detect(image)
        if faces:
            return self.reader.crop(image, faces[0].box)
        self.undetected += 1
        return self.reader.whole(image)


def class_names(labels: Iterable[str]) -> dict[str, str]:
    """The folder names that are understood, each with its label."""
    return {label: label for label in labels} | OTHER_NAMES


def read_all(framing: Framing, pictures: Iterator[LabelledPicture]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n,) true label numbers and (n, 7) probabilities. Raises StartError when there are no pictures."""
    labels = framing.reader.spec.labels
    truth: list[int] = []
    rows: list[NDArray[np.float64]] = []
    crops: list[Floats] = []
    for picture in pictures:
        truth.append(labels.index(picture.label))
        crops.append(framing.crop(picture.content))
        if len(crops) == CHUNK:
            rows.append(framing.reader.probabilities(np.stack(crops)))
            crops.clear()
            print(f"{len(truth)} pictures", end="\r", file=sys.stderr, flush=True)
    if crops:
        rows.append(framing.reader.probabilities(np.stack(crops)))
    if not rows:
        raise StartError("there are no pictures", exit_code=2)
    print(f"{len(truth)} pictures", file=sys.stderr)
    return np.array(truth), np.concatenate(rows)


def confusion(truth: NDArray[np.int64], given: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts: a row for each true label."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, given), 1)
    return counts


def measure(truth: NDArray[np.int64], probabilities: NDArray[np.float64], spec: EmotionSpec) -> dict[str, Any]:
    """Everything the report says, rounded to what a few thousand pictures can tell."""
    given, confidence = probabilities.argmax(1), probabilities.max(1)
    right, certain = given == truth, confidence >= spec.certain_at
    recall = {name: right[truth == number] for number, name in enumerate(spec.labels)}
    return {
        "accuracy": round(float(right.mean()), 4),
        "recall": {name: round(float(hits.mean()), 4) for name, hits in recall.items() if len(hits)},
        "calibration_error": round(calibration_error(confidence, right), 4),
        "calibration_bins": BINS,
        "certain": {
            "share": round(float(certain.mean()), 4),
            "accuracy": round(float(right[certain].mean()), 4) if certain.any() else None,
        },
        "n": len(truth),
    }
