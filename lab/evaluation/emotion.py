"""Emotion: accuracy, recall by class and calibration, on pictures in a folder per class.

Pictures are used as faces, edge to edge, like FER2013's 48x48 and RAF-DB's aligned 100x100 pictures, and scaled to the
network's input. With --detect they go through the detector first, as in the server; if it finds no face, the picture is
used whole and counted in `undetected`. As in the server, the emotion head uses FaceNet's feature maps; without
FaceNet's weights, or with --alone, the small network answers alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import StartError
from facewire.server.vision.alignment import square_crop, whole_box
from facewire.server.vision.detector import Detector
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.emotion import EmotionReader, EmotionSpec, FaceCrop
from facewire.server.vision.image import ImageLimits, Pixels, decode_image
from facewire.server.vision.models import model_card
from facewire.server.vision.opening import EMOTION_MODEL, VisionSettings, open_embedder, open_yunet
from facewire.server.vision.runtime import open_network
from facewire.server.vision.weights import MissingWeights, WeightsFinder
from lab.evaluation.calibration import BINS, calibration_error
from lab.evaluation.confusion_plot import save_confusion
from lab.evaluation.pictures import LabelledPicture, labelled_pictures

HELP = "accuracy, recall by class and calibration error of the emotion model"
CHUNK = 64  # pictures held at a time; the network takes them in eights
OTHER_NAMES = {
    "anger": "angry", "disgusted": "disgust", "fearful": "fear", "happiness": "happy", "sadness": "sad",
    "surprised": "surprise",
    "1": "surprise", "2": "fear", "3": "disgust", "4": "happy", "5": "sad", "6": "angry", "7": "neutral",
}  # fmt: skip
"""Folder names in other releases of the two data sets; the numbers are RAF-DB's own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", type=Path, required=True, help="a folder or tar archive with one folder per class")
    parser.add_argument("--detect", action="store_true", help="find the face first, as the server does")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the confusion matrix as a picture")
    parser.add_argument("--spec", type=Path, default=EMOTION_MODEL, help="the model's JSON file")
    parser.add_argument("--alone", action="store_true", help="without FaceNet: the small network only")
    parser.add_argument("--weights-dir", type=Path, help="where FaceNet's and YuNet's weights are, as for the server")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: accuracy, recall, calibration_error, n, certain answers, and whether the head was used (`head`)."""
    spec = EmotionSpec.load(arguments.spec)
    reader = EmotionReader(spec, open_network(spec.onnx))
    finder = WeightsFinder(arguments.weights_dir, None)
    detector = open_yunet(VisionSettings(), finder) if arguments.detect else None
    framing = Framing(reader, detector, None if arguments.alone else carrier(spec, finder))
    pictures = labelled_pictures(arguments.images, class_names(spec.labels))
    truth, probabilities = read_all(framing, pictures)
    if arguments.plot:
        save_confusion(arguments.plot, confusion(truth, probabilities.argmax(1), len(spec.labels)), spec.labels)
    report = measure(truth, probabilities, spec.labels, framing.certain_at) | {"head": framing.embedder is not None}
    return report | ({"undetected": framing.undetected} if arguments.detect else {})


def carrier(spec: EmotionSpec, finder: WeightsFinder) -> Embedder | None:
    """The recognition model with the head, if its weights are available."""
    if spec.head is None:
        return None
    try:
        return open_embedder(model_card(spec.head.model), VisionSettings(), finder, spec)
    except MissingWeights as error:
        print(f"{error}; the small network reads the emotions alone", file=sys.stderr)
        return None


@dataclass(frozen=True, slots=True)
class Framed:
    """A face as input of the emotion network and, if it carries the head, of the recognition model."""

    crop: FaceCrop
    seen: Pixels | None


class Framing:
    """Converts a picture to the networks' inputs: whole, or cropped to the detector's largest face."""

    def __init__(
        self, reader: EmotionReader, detector: Detector | None = None, embedder: Embedder | None = None
    ) -> None:
        self.reader, self.embedder, self._detector, self.undetected = reader, embedder, detector, 0

    @property
    def certain_at(self) -> float:
        """The confidence at which answers count as certain."""
        return self.reader.calibration(riding=self.embedder is not None).certain_at

    def frame(self, content: bytes) -> Framed:
        """An image file's bytes as the networks' inputs. Raises InvalidImage."""
        image = decode_image(content, ImageLimits())
        if self._detector is not None:
            faces = self._detector.detect(image)
            if faces:
                seen = self.embedder.crop(image, faces[0]) if self.embedder else None
                return Framed(self.reader.crop(image, faces[0].box), seen)
            self.undetected += 1
        return Framed(self.reader.whole(image), self._whole(image))

    def _whole(self, image: Pixels) -> Pixels | None:
        if self.embedder is None or self.reader.spec.head is None:
            return None
        return square_crop(image, whole_box(image), self.reader.spec.head.whole - 1, self.embedder.spec.input_size)

    def probabilities(self, faces: Sequence[Framed]) -> NDArray[np.float64]:
        """(n, 7) probabilities of framed faces, as in the server."""
        seen = [face.seen for face in faces if face.seen is not None]
        hints = self.embedder.look(seen)[1] if self.embedder else None
        return self.reader.probabilities([face.crop for face in faces], hints)


def class_names(labels: Iterable[str]) -> dict[str, str]:
    """The known folder names, each with its label."""
    return {label: label for label in labels} | OTHER_NAMES


def read_all(framing: Framing, pictures: Iterator[LabelledPicture]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(n,) true label numbers and (n, 7) probabilities. Raises StartError if there are no pictures."""
    labels = framing.reader.spec.labels
    truth: list[int] = []
    rows: list[NDArray[np.float64]] = []
    faces: list[Framed] = []
    for picture in pictures:
        truth.append(labels.index(picture.label))
        faces.append(framing.frame(picture.content))
        if len(faces) == CHUNK:
            rows.append(framing.probabilities(faces))
            faces.clear()
            print(f"{len(truth)} pictures", end="\r", file=sys.stderr, flush=True)
    if faces:
        rows.append(framing.probabilities(faces))
    if not rows:
        raise StartError("there are no pictures", exit_code=2)
    print(f"{len(truth)} pictures", file=sys.stderr)
    return np.array(truth), np.concatenate(rows)


def confusion(truth: NDArray[np.int64], given: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """(classes, classes) counts: a row for each true label."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, given), 1)
    return counts


def measure(
    truth: NDArray[np.int64], probabilities: NDArray[np.float64], labels: Sequence[str], certain_at: float
) -> dict[str, Any]:
    """The report's numbers, rounded to the precision of a few thousand pictures."""
    given, confidence = probabilities.argmax(1), probabilities.max(1)
    right, certain = given == truth, confidence >= certain_at
    recall = {name: right[truth == number] for number, name in enumerate(labels)}
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
