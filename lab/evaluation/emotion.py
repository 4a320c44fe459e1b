"""Emotion: accuracy, recall by class and calibration, on pictures in a folder per class.

Pictures are used as faces, edge to edge, like FER2013's 48x48 and RAF-DB's aligned 100x100 pictures, and scaled to the
network's input. With --detect they go through the detector first, as in the server; if it finds no face, the picture is
used whole and counted in `undetected`. As in the server, the emotion head uses FaceNet's feature maps; without
FaceNet's weights, or with --alone, the small network answers alone. FaceNet is computed as in the server, or in
--precision; the temperatures were fitted with 8-bit integers.

`accuracy_95` is a 95 % interval; `calibration_error_by_chance` is what answers that are right exactly as often as they
say would have. With --apart-from, give what the network was trained on: pictures that resemble one of those like
another picture of the same person are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.arguments import flags
from facewire.server.errors import StartError
from facewire.server.vision.alignment import square_crop, whole_box
from facewire.server.vision.detector import Detector
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.emotion import EmotionReader, EmotionSpec, FaceCrop
from facewire.server.vision.facenet import Precision
from facewire.server.vision.image import ImageLimits, Pixels, decode_image
from facewire.server.vision.models import model_card
from facewire.server.vision.opening import EMOTION_MODEL, VisionSettings, open_embedder, open_yunet
from facewire.server.vision.runtime import Floats, open_network
from facewire.server.vision.weights import MissingWeights, WeightsFinder
from lab.evaluation.calibration import BINS, accuracy_interval, calibration_error, calibration_error_by_chance
from lab.evaluation.confusion_plot import save_confusion
from lab.evaluation.kin import kin_of
from lab.evaluation.pictures import LabelledPicture, labelled_pictures, pictures_below

HELP = "accuracy, recall by class and calibration error of the emotion model"
Item = TypeVar("Item")

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
    parser.add_argument(
        "--apart-from", type=Path, metavar="DIR_OR_TAR", help="leave out pictures that resemble one of these"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the confusion matrix as a picture")
    parser.add_argument("--spec", type=Path, default=EMOTION_MODEL, help="the model's JSON file")
    parser.add_argument("--alone", action="store_true", help="without FaceNet: the small network only")
    flags(parser, VisionSettings, only=("weights_dir", "precision"))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: accuracy, recall, calibration_error, n, certain answers, and whether the head was used (`head`)."""
    spec = EmotionSpec.load(arguments.spec)
    reader = EmotionReader(spec, open_network(spec.onnx))
    finder = WeightsFinder(arguments.weights_dir, None)
    detector = open_yunet(VisionSettings(), finder) if arguments.detect else None
    framing = Framing(reader, detector, None if arguments.alone else carrier(spec, finder, arguments.precision))
    pictures = labelled_pictures(arguments.images, class_names(spec.labels))
    if arguments.apart_from is not None:
        pictures = without_kin(pictures, arguments.apart_from, spec, carrier(spec, finder, arguments.precision))
    truth, probabilities = read_all(framing, pictures)
    if arguments.plot:
        save_confusion(arguments.plot, confusion(truth, probabilities.argmax(1), len(spec.labels)), spec.labels)
    report = measure(truth, probabilities, spec.labels, framing.certain_at) | {
        "head": framing.embedder is not None,
        "precision": framing.embedder.precision if framing.embedder else None,
    }
    return report | ({"undetected": framing.undetected} if arguments.detect else {})


def without_kin(
    pictures: Iterable[LabelledPicture], others: Path, spec: EmotionSpec, embedder: Embedder | None
) -> Iterator[LabelledPicture]:
    """Those of `pictures` that resemble none below `others`. Raises StartError without FaceNet's `embedder`."""
    if embedder is None:
        raise StartError("--apart-from compares embeddings of Facenet512, whose weights are missing", exit_code=2)
    framing = Framing(EmotionReader(spec, open_network(spec.onnx)), None, embedder)

    def embedded(contents: Iterable[bytes]) -> Floats:
        seen = (framing.frame(content).seen for content in contents)
        return embedder.probes([crop for crop in seen if crop is not None])

    known = [embedded(content for _, content in chunk) for chunk in chunks(pictures_below(others))]
    trained_on = np.concatenate([np.zeros((0, embedder.spec.dimension), np.float32), *known])
    for chunk in chunks(pictures):
        kin = kin_of(embedded(picture.content for picture in chunk), trained_on)
        yield from (picture for picture, is_kin in zip(chunk, kin, strict=True) if not is_kin)


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items in lists of CHUNK, the last of the rest."""
    iterator = iter(items)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def carrier(spec: EmotionSpec, finder: WeightsFinder, precision: Precision) -> Embedder | None:
    """The recognition model with the head, if its weights are available."""
    if spec.head is None:
        return None
    try:
        return open_embedder(model_card(spec.head.model), VisionSettings(precision=precision), finder, spec)
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
        return self.reader.calibration(with_head=self.embedder is not None).certain_at

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
        head_logits = self.embedder.look(seen)[1] if self.embedder else None
        return self.reader.probabilities([face.crop for face in faces], head_logits)


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
        "accuracy_95": [round(end, 4) for end in accuracy_interval(right)],
        "recall": {name: round(float(hits.mean()), 4) for name, hits in recall.items() if len(hits)},
        "calibration_error": round(calibration_error(confidence, right), 4),
        "calibration_error_by_chance": round(calibration_error_by_chance(confidence), 4),
        "calibration_bins": BINS,
        "certain": {
            "share": round(float(certain.mean()), 4),
            "accuracy": round(float(right[certain].mean()), 4) if certain.any() else None,
        },
        "n": len(truth),
    }
