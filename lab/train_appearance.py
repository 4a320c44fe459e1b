"""Trains data/models/appearance.npz, which separates faces from false detections, and covered from uncovered faces.

FACES has sub-folders of pictures with one face each (FairFace, CC BY 4.0). NO_FACES has a sub-folder per source of
pictures without faces; each source is also held out once, and the report says how much of it is then classified as not
a face. Masks, dark glasses and scarves are painted on by landmarks (lab/evaluation/covering.py). --held-out DIR is only
used for testing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facewire.server.errors import InvalidImage, StartError
from facewire.server.settings import add_vision_arguments, vision_settings
from facewire.server.vision.alignment import square_crop
from facewire.server.vision.appearance import MODEL, features
from facewire.server.vision.detector import Detection, Detector
from facewire.server.vision.image import ImageLimits, Pixels, decode_image
from facewire.server.vision.opening import open_yunet
from facewire.server.vision.weights import WeightsFinder
from lab.evaluation.covering import KINDS, covered
from lab.evaluation.pictures import image_files

CLOTH = ("mask", "scarf")
"""What a discriminant learns; dark glasses are told by how dark they are (server/vision/appearance.py)."""

MARGIN, CROP = 0.15, (160, 160)
"""As FaceNet's crops (server/vision/models.py)."""

RIDGE = 3.0
"""Added to the features' variance: there are more features than a covariance can be known of."""

Rows = NDArray[np.float32]


def main() -> int:
    cv2.setNumThreads(1)
    arguments = parse()
    try:
        print(json.dumps(train(arguments), indent=1))
    except StartError as error:
        print(f"train_appearance.py: {error}", file=sys.stderr)
        return 2
    return 0


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Writes the file and returns the report. Raises StartError."""
    settings = vision_settings(arguments)
    detector = open_yunet(settings, WeightsFinder(settings.weights_dir, None))
    choice = np.random.default_rng(arguments.seed)
    faces, masked = _faces(arguments.faces, detector, choice, arguments.step)
    paths = image_files(arguments.no_faces)
    by_source = groupby(paths, lambda path: path.relative_to(arguments.no_faces).parts[0])
    sources = {name: _rows(list(files), detector) for name, files in by_source}
    held, held_masked = _faces(arguments.held_out, detector, choice, arguments.held_out_step)
    other = np.concatenate(list(sources.values()))
    cloth = [masked[kind] for kind in CLOTH]
    everything = np.concatenate([faces, other, *cloth])
    mean, deviation = everything.mean(axis=0), everything.std(axis=0) + 0.05

    def made(plain: Rows, others: Rows) -> tuple[Rows, float]:
        return discriminant((plain - mean) / deviation, (others - mean) / deviation)

    def values(rows: Rows, found: tuple[Rows, float]) -> NDArray[np.float64]:
        return np.asarray((rows - mean) / deviation @ found[0] - found[1], np.float64)

    report: dict[str, Any] = {"faces": len(faces), "held_out": len(held)}
    for name in sources:
        rest = made(faces[::2], np.concatenate([rows for source, rows in sources.items() if source != name]))
        report[f"unlike, without {name}"] = _shares(
            values(faces[1::2], rest), values(held, rest), {name: values(sources[name], rest)}
        )
    half = made(faces[::2], np.concatenate([rows[::2] for rows in cloth]))
    report["cloth"] = _shares(
        values(faces[1::2], half), values(held, half), {kind: values(held_masked[kind], half) for kind in CLOTH}
    )
    unlike, over = made(faces, other), made(faces, np.concatenate(cloth))
    np.savez_compressed(
        arguments.out, mean=mean.astype(np.float32), deviation=deviation.astype(np.float32),
        unlike=unlike[0].astype(np.float16), unlike_origin=unlike[1],
        cloth=over[0].astype(np.float16), cloth_origin=over[1],
    )  # fmt: skip
    return report


def discriminant(plain: Rows, others: Rows) -> tuple[Rows, float]:
    """Fisher's discriminant with a ridge: weights that put the means 1 apart, and the value of the plain faces'
    mean."""
    within = (np.cov(plain.T) + np.cov(others.T)) / 2
    away = others.mean(axis=0) - plain.mean(axis=0)
    weights = np.linalg.solve(within + RIDGE * np.eye(len(within)), away)
    weights /= away @ weights
    return weights.astype(np.float32), float(plain.mean(axis=0) @ weights)


def _shares(plain: NDArray[np.float64], held: NDArray[np.float64], others: dict[str, Any]) -> dict[str, Any]:
    """At limits set by shares of the plain validation faces: the shares of the held-out faces and of the others."""
    report = {}
    for rate in (0.001, 0.003, 0.01, 0.03):
        limit = float(np.quantile(plain, 1 - rate))
        shares = {name: round(float((found > limit).mean()), 3) for name, found in others.items()}
        report[f"{rate:g}"] = {"limit": round(limit, 2), "held out": round(float((held > limit).mean()), 4), **shares}
    return report


def _faces(folder: Path, detector: Detector, choice: np.random.Generator, step: int) -> tuple[Rows, dict[str, Rows]]:
    """Features of the plain faces, and of each covered in one way, by kind."""
    plain: list[Rows] = []
    over: dict[str, list[Rows]] = {kind: [] for kind in KINDS}
    for number, (image, face) in enumerate(_found(image_files(folder)[::step], detector)):
        plain.append(_features(image, face))
        kind = KINDS[number % len(KINDS)]
        again = _largest(detector, painted := covered(image, face.landmarks, kind, choice))
        if again is not None:
            over[kind].append(_features(painted, again))
    return np.stack(plain), {kind: np.stack(rows) for kind, rows in over.items()}


def _rows(paths: Sequence[Path], detector: Detector) -> Rows:
    return np.stack([_features(image, face) for image, face in _found(paths, detector)])


def _found(paths: Sequence[Path], detector: Detector) -> Iterator[tuple[Pixels, Detection]]:
    for path in tqdm(paths, unit=" pictures", file=sys.stderr):
        try:
            image = decode_image(path.read_bytes(), ImageLimits())
        except InvalidImage:
            continue
        face = _largest(detector, image)
        if face is not None:
            yield image, face


def _largest(detector: Detector, image: Pixels) -> Detection | None:
    faces = detector.detect(image)
    return faces[0] if faces else None


def _features(image: Pixels, face: Detection) -> Rows:
    return features(square_crop(image, face.box, MARGIN, CROP))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True, metavar="DIR")
    parser.add_argument("--no-faces", type=Path, required=True, metavar="DIR")
    parser.add_argument("--held-out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--step", type=int, default=1, metavar="N", help="every Nth face (default: %(default)s)")
    parser.add_argument("--held-out-step", type=int, default=1, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=MODEL, metavar="FILE", help="(default: %(default)s)")
    add_vision_arguments(parser, model_help="not used: faces are cut out as for FaceNet", emotions=False)
    return parser.parse_args()
