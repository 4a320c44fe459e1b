"""The benefit of the quality gate: 1:N identification with and without it, when some enrolled pictures are degraded.

DIR has one sub-folder per person. Some of the people with enough pictures are enrolled with --templates pictures each
and probed with the others; everybody else is a stranger. A random share --spoilt of the enrolled pictures is degraded
in random ways (lab/evaluation/degrading.py); the probes are not. The same probes are then compared with four galleries:
`clean`, before degrading; `without_gate`; `with_gate`, with only the pictures that pass the server's limits (people
without any left can't be matched); `retaken`, where every refused picture is replaced by the original, as an operator
who is told the reason would do. A picture without a face is only in the last one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from facewire.server.cores import cores
from facewire.server.errors import StartError
from facewire.server.gallery.records import Templates
from facewire.server.recognition.calibration import effective_size, offset_of
from facewire.server.recognition.enrolment import LIMITS, main_face, shortcomings
from facewire.server.settings import vision_settings
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.detector import Box
from facewire.server.vision.opening import open_analyser
from facewire.server.vision.quality import FaceQuality
from lab.evaluation import embedding
from lab.evaluation.curves import threshold_at
from lab.evaluation.degrading import spoilt
from lab.evaluation.pictures import image_files
from lab.evaluation.scoring import Scorer

HELP = "1:N with and without the quality gate, on a gallery with spoilt pictures"
FPIRS = (0.01, 0.05)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--templates", type=int, default=3, metavar="N", help="pictures a person (default: %(default)s)"
    )
    parser.add_argument("--spoilt", type=float, default=0.5, metavar="SHARE", help="of them (default: %(default)s)")
    parser.add_argument("--half", type=int, choices=(0, 1), help="only every second person: limits were chosen on 0")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="other choices (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of every choice (default: %(default)s)")
    embedding.add_arguments(parser, plot=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture's main face."""

    quality: FaceQuality
    box: Box


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """The report: arms (rank1, fnir_at_fpir, fpir_obtained, templates, people_lost, averaged over the repetitions), and
    refusals by kind and by reason (summed over them). Raises StartError."""
    choice = np.random.default_rng(arguments.seed)
    paths = image_files(arguments.images)
    reports = []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            reports.append(_measured(_split(paths, arguments, choice), Path(folder), arguments, choice))
    return {
        **reports[0],
        "arms": _combined([report["arms"] for report in reports], lambda values: round(float(np.mean(values)), 5)),
        "refused": _combined([report["refused"] for report in reports], sum),
        "reasons": _combined([report["reasons"] for report in reports], sum),
        "repeats": arguments.repeats,
    }


def _combined(parts: Sequence[Any], combine: Callable[[Sequence[float]], float]) -> Any:
    """Combines nested maps of numbers into one; missing numbers count as 0."""
    if not isinstance(parts[0], dict):
        return combine(parts)
    keys = dict.fromkeys(key for part in parts for key in part)
    blank: Any = next(({} for part in parts for value in part.values() if isinstance(value, dict)), 0)
    return {key: _combined([part.get(key, blank) for part in parts], combine) for key in keys}


@dataclass(frozen=True, slots=True)
class Split:
    """The enrolled pictures and probes as paths with their owners' names; strangers have none."""

    gallery: list[tuple[str, Path]]
    probes: list[tuple[str, Path]]
    strangers: list[Path]


def _split(paths: Sequence[Path], arguments: argparse.Namespace, choice: np.random.Generator) -> Split:
    of: dict[str, list[Path]] = {}
    for path in paths:
        of.setdefault(path.relative_to(arguments.images).parts[0], []).append(path)
    people = [name for at, name in enumerate(sorted(of)) if arguments.half in (None, at % 2)]
    split = Split([], [], [])
    for name in people:
        shuffled = [of[name][at] for at in choice.permutation(len(of[name]))]
        if len(shuffled) <= arguments.templates:
            split.strangers.append(shuffled[0])
            continue
        split.gallery.extend((name, path) for path in shuffled[: arguments.templates])
        split.probes.extend((name, path) for path in shuffled[arguments.templates :])
    if not split.gallery or not split.strangers:
        raise StartError(f"{arguments.images} has not enough people with more than {arguments.templates} pictures")
    return split


class _Workshop:
    """Writes degraded pictures to a folder and measures them."""

    def __init__(self, folder: Path, analyser: Analyser, choice: np.random.Generator) -> None:
        self._folder, self._analyser, self._choice = folder, analyser, choice
        self.kinds: dict[Path, str] = {}

    def seen(self, paths: Sequence[Path]) -> dict[Path, Seen | None]:
        with ThreadPoolExecutor(cores()) as pool:
            found = pool.map(self._look, paths)
            return dict(
                zip(paths, tqdm(found, "measuring", len(paths), unit=" pictures", file=sys.stderr), strict=True)
            )

    def spoil(self, paths: Sequence[Path], share: float, seen: dict[Path, Seen | None]) -> dict[Path, Path]:
        """Degrades a share of `paths`: path -> degraded copy."""
        copies: dict[Path, Path] = {}
        for path in tqdm(paths, "spoiling", unit=" pictures", file=sys.stderr):
            face = seen[path]
            image = cv2.imread(str(path)) if face and self._choice.random() < share else None
            if face is None or image is None:
                continue
            kind, data = spoilt(np.asarray(image, np.uint8), face.box, self._choice)
            copies[path] = self._folder / f"{len(self.kinds)}.jpg"
            copies[path].write_bytes(data)
            self.kinds[copies[path]] = kind
        return copies

    def _look(self, path: Path) -> Seen | None:
        picture = self._analyser.faces(path.read_bytes())
        if not picture.faces:
            return None
        face = picture.faces[main_face([face.box for face in picture.faces], picture.width, picture.height)]
        return Seen(self._analyser.quality(face, picture), face.box)


def _measured(split: Split, folder: Path, arguments: argparse.Namespace, choice: np.random.Generator) -> dict[str, Any]:
    gallery = [path for _, path in split.gallery]
    probes = [path for _, path in split.probes]
    with closing(open_analyser(vision_settings(arguments))) as analyser:
        workshop = _Workshop(folder, analyser, choice)
        seen = workshop.seen(gallery)
        copies = workshop.spoil(gallery, arguments.spoilt, seen)
        seen |= workshop.seen(list(copies.values()))
    embedded = embedding.embed([*gallery, *copies.values(), *probes, *split.strangers], arguments)
    given = [copies.get(path, path) for path in gallery]
    refused = {path for path in given if seen[path] and _refused(seen[path])}
    kept = [None if _refused(seen[path]) else path for path in given]
    arms: dict[str, Sequence[Path | None]] = {
        "clean": gallery,
        "without_gate": given,
        "with_gate": kept,
        "retaken": [
            path or (None if _refused(seen[clean]) else clean) for clean, path in zip(gallery, kept, strict=True)
        ],
    }
    judge = _Judge(
        embedded, [name for name, _ in split.gallery], [name for name, _ in split.probes], probes, split.strangers
    )
    return {
        "arms": {name: judge.report(paths) for name, paths in arms.items()},
        "refused": _by_kind(given, workshop.kinds, seen, refused),
        "reasons": dict(
            Counter(one.reason for path in given if (face := seen[path]) for one in shortcomings(face.quality, LIMITS))
        ),
        "people": len({name for name, _ in split.gallery}),
        "probes": len(probes),
        "strangers": len(split.strangers),
        "spoilt": arguments.spoilt,
        "normalised": judge.scorer.normalised,
        "model": embedded.spec.model,
    }


def _refused(face: Seen | None) -> bool:
    return face is None or bool(shortcomings(face.quality, LIMITS))


def _by_kind(
    given: Sequence[Path], kinds: dict[Path, str], seen: dict[Path, Seen | None], refused: set[Path]
) -> dict[str, dict[str, int]]:
    """Counts per kind of degradation, and of untouched pictures: total, without a face, and refused."""
    tally: dict[str, Counter[str]] = {}
    for path in given:
        counts = tally.setdefault(kinds.get(path, "not spoilt"), Counter(pictures=0, without_face=0, refused=0))
        counts["pictures"] += 1
        counts["without_face"] += seen[path] is None
        counts["refused"] += path in refused
    return {kind: dict(tally[kind]) for kind in sorted(tally)}


class _Judge:
    """Compares one set of probes and strangers with any gallery."""

    def __init__(
        self,
        embedded: embedding.Embedded,
        owners: Sequence[str],
        probed: Sequence[str],
        probes: Sequence[Path],
        strangers: Sequence[Path],
    ) -> None:
        self.scorer = Scorer(embedded.spec)
        self._embedded, self._rows, self._owners = embedded, embedded.rows(), owners
        there = [(name, self._rows[path]) for name, path in zip(probed, probes, strict=True) if path in self._rows]
        self._probed = np.array([name for name, _ in there])
        self._probes = embedded.probes[[row for _, row in there]]
        self._strangers = embedded.probes[[self._rows[path] for path in strangers if path in self._rows]]
        self._faceless = len(probes) - len(there)

    def report(self, paths: Sequence[Path | None]) -> dict[str, Any]:
        """The results for a gallery of these pictures; None where a picture is missing."""
        kept = [(name, self._rows[path]) for name, path in zip(self._owners, paths, strict=True) if path in self._rows]
        owners = np.array([name for name, _ in kept])
        templates = self._embedded.templates[[row for _, row in kept]]
        people, numbers = np.unique(owners, return_inverse=True)
        scores = self.scorer.people(self._probes, templates, numbers)
        genuine, right = scores.max(axis=1), people[scores.argmax(axis=1)] == self._probed
        strangers = self.scorer.people(self._strangers, templates, numbers).max(axis=1)
        gallery = Templates(templates, np.asarray(numbers, np.int64), self.scorer.scales(templates))
        offset, size = offset_of(gallery, self.scorer.decider.prior), effective_size(gallery.person_ids)
        asked = {fpir: self.scorer.decider_at(fpir).threshold(size, offset) for fpir in FPIRS}
        return {
            "rank1": self._share(right),
            "fnir_at_fpir": {f"{f:g}": 1 - self._share(right & (genuine > threshold_at(strangers, f))) for f in FPIRS},
            "fpir_obtained": {f"{f:g}": round(float(np.mean(strangers >= asked[f])), 5) for f in FPIRS},
            "fnir_at_fpir_asked": {f"{f:g}": 1 - self._share(right & (genuine >= asked[f])) for f in FPIRS},
            "templates": len(kept),
            "people_lost": len(set(self._owners)) - len(people),
        }

    def _share(self, hits: NDArray[np.bool_]) -> float:
        """The share of hits among all probes, including those without a face."""
        return round(float(np.sum(hits)) / (len(hits) + self._faceless), 5)
