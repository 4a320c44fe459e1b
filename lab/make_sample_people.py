"""Generates people who do not exist: `python scripts/make_sample_people.py FOLDER`.

Learns a model of faces from FOLDER, with one sub-folder per person as in Labeled Faces in the Wild, and draws new
people: portraits to enrol (people/), pictures to identify (probes/), and who is in them (expected.json). People are
drawn and rejected until the recognisers tell them apart; the same seed gives the same people. Finally the result is
checked with each recogniser. Nothing from FOLDER is copied into the result.

Takes about ten minutes on two cores, mostly for choosing people, and 2 GB of memory.

Exit codes: 0 drawn (or checked) and recognised, 1 drawn but the check failed, 2 usage error, 3 other failure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from facewire.protocol.arguments import Parser
from facewire.server.errors import FacewireError, StartError
from facewire.server.vision.opening import DetectorChoice, VisionSettings, open_analyser
from lab.sample_people.album import NAMES, draw_album, read_album, write_album
from lab.sample_people.check import check_album, table
from lab.sample_people.choose import BOUNDS, Recogniser, choose_people
from lab.sample_people.learn import learn_faces
from lab.sample_people.model import fit_model
from lab.sample_people.scenes import PLACES

DEFAULT_SEED = 7
KINDS = 40
"""Kinds of faces (clusters) to learn: with 2,000 faces about fifty a kind, enough for its mean to be nobody."""

# The pairs used by `make demo`: FaceNet and YuNet, or dlib alone if only a package index can be reached.
_DETECTORS: dict[str, DetectorChoice] = {"Facenet512": "yunet", "Dlib": "dlib"}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        with _recognisers(arguments.models, arguments.weights_dir) as recognisers:
            if not arguments.check:
                _draw(arguments, recognisers)
            rows = [check_album(read_album(arguments.out), recogniser) for recogniser in recognisers]
    except StartError as error:
        print(f"make_sample_people: {error}", file=sys.stderr)
        return error.exit_code
    except FacewireError as error:
        print(f"make_sample_people: {error}", file=sys.stderr)
        return 3
    print(table(rows))
    return 1 if any(row.problems for row in rows) else 0


def _draw(arguments: argparse.Namespace, recognisers: Sequence[Recogniser]) -> None:
    if arguments.folder is None:
        raise StartError("name the FOLDER of faces to learn from, or --check to look at what is drawn", exit_code=2)
    if not len(PLACES) <= arguments.people <= len(NAMES):
        limits = f"{len(PLACES)} (a group's size) to {len(NAMES)} (the names it knows)"
        raise StartError(f"--people takes {limits}", exit_code=2)
    faces = learn_faces(arguments.folder, recognisers[0].analyser, arguments.faces)
    model = fit_model(faces, KINDS, np.random.default_rng(arguments.seed))
    del faces  # a quarter of a gigabyte
    chosen = choose_people(model, recognisers, arguments.people + 1, arguments.pictures, arguments.seed)
    size = write_album(draw_album(model, chosen, arguments.seed), arguments.out)
    print(f"{arguments.people} people and a stranger drawn into {arguments.out}, {size / 1000:.0f} kB")


@contextmanager
def _recognisers(names: Sequence[str], weights_dir: Path | None) -> Iterator[list[Recogniser]]:
    opened: list[Recogniser] = []
    try:
        for name in names:
            settings = VisionSettings(
                model=name, detector=_DETECTORS[name], weights_dir=weights_dir, emotion="off", downloads=False
            )
            opened.append(Recogniser(name, open_analyser(settings), BOUNDS[name]))
        yield opened
    finally:
        for recogniser in opened:
            recogniser.analyser.close()


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="make_sample_people.py"
    )
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="faces to learn from: Name/picture.jpg")
    parser.add_argument("--out", type=Path, default=Path("data/sample"), help="where to draw (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="which people (default: %(default)s)")
    parser.add_argument("--people", type=int, default=12, help="how many to enrol (default: %(default)s)")
    parser.add_argument("--pictures", type=int, default=4, help="of each, beside the probe (default: %(default)s)")
    parser.add_argument("--faces", type=int, default=2000, help="how many to learn from at most (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="draw nothing, only check what is in --out")
    parser.add_argument(
        "--models",
        nargs="+",
        choices=sorted(BOUNDS),
        default=["Facenet512", "Dlib"],
        help="who must tell them apart (default: both; Dlib needs requirements-offline.txt)",
    )
    parser.add_argument("--weights-dir", type=Path, help="where the networks' files are (default: $DEEPFACE_HOME)")
    return parser
