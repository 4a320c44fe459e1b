"""Fits the temperatures of the published emotion networks again, for the FaceNet that ships:

python -m lab.emotion_training.recalibrate --shared ../shared --held-out runs/emotion/held-out

Fits them on everything that the networks weren't trained on: FER2013's part for choosing with public_test, and both
parts of RAF-DB without the faces that resemble one that was trained on. The networks were chosen on the parts for
choosing, on which alone they look better than they are (docs/decisions/0058). Writes the temperatures, the limits of
certainty and all scores into emotion.json, and draws the confusion matrices beside it. The parts come from
`lab.emotion_training.parts`.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from facewire.protocol.arguments import Parser, flags
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.emotion import EmotionReader, EmotionSpec
from facewire.server.vision.models import DEFAULT_MODEL, model_card
from facewire.server.vision.opening import EMOTION_MODEL, VisionSettings, open_embedder
from facewire.server.vision.runtime import open_network
from facewire.server.vision.weights import WeightsFinder
from lab.emotion_training.data import LABELS
from lab.emotion_training.scores import (
    UNCALIBRATED,
    Answers,
    answers,
    answers_to,
    calibrated,
    calibration_fields,
    parts,
    scores,
)
from lab.evaluation.emotion import class_names, without_kin
from lab.evaluation.pictures import labelled_pictures


def main() -> int:
    arguments = parse()
    spec = uncalibrated(EmotionSpec.load(arguments.spec))
    settings = VisionSettings(precision=arguments.precision)
    embedder = open_embedder(
        model_card(DEFAULT_MODEL), settings, WeightsFinder(arguments.shared / "deepface", None), spec
    )
    reader = EmotionReader(spec, open_network(spec.onnx))
    sources = parts(arguments.shared, arguments.held_out)
    raf = (labelled_pictures(path, class_names(LABELS)) for name, path in sources.items() if "rafdb" in name)
    apart = list(without_kin(chain(*raf), arguments.held_out / "trained-rafdb", spec, embedder))

    def of_all(carrier: Embedder | None) -> tuple[dict[str, Answers], dict[str, Answers]]:
        """The answers to the parts that are scored, and to those that are fitted on."""
        scored = {name: answers_to(reader, path, carrier) for name, path in sources.items()}
        fitted = {name: answered for name, answered in scored.items() if "fer2013" in name}
        return scored, fitted | {"rafdb without kin": answers(reader, apart, carrier)}

    fields = json.loads(arguments.spec.read_text(encoding="utf-8"))
    for carrier, where, told_in in ((None, fields, "scores_alone"), (embedder, fields["head"], "scores")):
        scored, to_fit = of_all(carrier)
        calibration = calibrated(to_fit)
        where |= calibration_fields(calibration)
        fields[told_in] = scores(scored, calibration, arguments.spec.parent if carrier else None)
        print(f"{told_in}: {calibration}, fitted on {sizes(to_fit)}")
    arguments.spec.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    return 0


def uncalibrated(spec: EmotionSpec) -> EmotionSpec:
    """The same networks, whose answers are their logits."""
    head = replace(spec.head, calibration=UNCALIBRATED) if spec.head else None
    return replace(spec, calibration=UNCALIBRATED, head=head)


def sizes(answered: Mapping[str, Answers]) -> str:
    """How many pictures there are of each part."""
    return ", ".join(f"{name} ({len(truth)})" for name, (truth, _) in answered.items())


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="holds fer2013/ and deepface/")
    parser.add_argument("--held-out", type=Path, required=True, help="the parts of RAF-DB and FER2013's train part")
    parser.add_argument("--spec", type=Path, default=EMOTION_MODEL, help="the model's JSON file (default: the shipped)")
    flags(parser, VisionSettings, only=("precision",))
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
