"""Move a gallery to another model without losing anything: `python scripts/migrate_model.py --to Facenet`.

Every enrolled face is embedded again, from its picture's file where that is unchanged, else from the crop that the
gallery keeps, beside the old embeddings and while a server goes on serving those. Interrupted, it goes on where it was.
Then one transaction makes the new model the gallery's. A server that is running notices within a second and answers
`model_mismatch` until it is started again: it has the old network, and embeddings of two models are never compared. So:

  python scripts/migrate_model.py --to Facenet --prepare    hours, perhaps; the server serves
  python scripts/migrate_model.py --to Facenet              the rest, and the switch; then restart the server
  python scripts/migrate_model.py --back                    the old model again, until --forget-old

Exit codes: 0 done, 2 usage error, 3 something failed or some faces can't be embedded, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from facewire.protocol.arguments import Parser, positive
from facewire.protocol.text import counted, counted_people, printable
from facewire.server.durable import replacing
from facewire.server.errors import StartError
from facewire.server.gallery.address import database_file
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.command import DEFAULT_JOBS, EngineOpener, build_lock, exit_code
from facewire.server.maintenance.migrate.reembed import Report, reembed
from facewire.server.maintenance.migrate.respec import Incomplete, Respec, forget_others, previous_spec, specs
from facewire.server.settings import DEFAULT_DB, add_model_argument, add_vision_arguments, unhurried, vision_settings
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision.engine import Engine
from facewire.server.vision.opening import open_analyser

ROUNDS = 5
"""Attempts to catch up with faces enrolled during the previous round: the first round takes hours, the second seconds,
the third finds nothing."""


def main(argv: Sequence[str] | None = None, *, open_engine: EngineOpener = open_analyser) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    db = options.db.resolve()
    afterwards = "what was embedded is kept, and the gallery is unchanged"
    try:
        return exit_code("migrate_model", db, lambda: _locked(options, db, open_engine), afterwards=afterwards)
    except KeyboardInterrupt:
        print("\nstopped: what was embedded is kept; run it again to continue", file=sys.stderr)
        return 130


def _locked(options: argparse.Namespace, db: Path, open_engine: EngineOpener) -> int:
    if not db.is_file():
        raise StartError(f"no database at {db}: build it with scripts/create_db.py FOLDER --db {db}", exit_code=2)
    with build_lock(db), closing(Store.open(db)) as store:
        return _run(options, db, store, open_engine)


def _run(options: argparse.Namespace, db: Path, store: Store, open_engine: EngineOpener) -> int:
    if options.status:
        return _status(store)
    if options.forget_old:
        deleted = counted(forget_others(store), "template")
        print(printable(f"{db}: {deleted} of other models deleted; only {store.spec.model}'s are left"))
        return 0
    if options.back:
        return _back(options, db, store, open_engine)
    with closing(open_engine(unhurried(vision_settings(options)))) as engine:
        if engine.spec == store.spec:
            print(printable(f"{db} already uses {store.spec.model} with the same settings: nothing to do"))
            return 0
        return _migrate(options, db, Respec(store, engine.spec), store.spec, engine)


def _status(store: Store) -> int:
    for spec, count, role in specs(store):
        lacking = 0 if role == "current" else Respec(store, spec).lacking()
        missing = f", {counted(lacking, 'face')} without one" if lacking else ""
        print(f"{spec.model} ({spec.fingerprint}): {counted(count, 'template')}{missing}{f' ({role})' if role else ''}")
    return 0


def _back(options: argparse.Namespace, db: Path, store: Store, open_engine: EngineOpener) -> int:
    before = previous_spec(store)
    if before is None:
        raise StartError(f"{db} has no other model to return to (--status shows what it has)", exit_code=2)
    respec = Respec(store, before)
    if not respec.lacking():  # nobody was enrolled since, so no network is needed
        return _switch(options, db, respec)
    with closing(open_engine(replace(unhurried(vision_settings(options)), model=before.model))) as engine:
        if engine.spec != before:
            if options.leave_behind:
                return _switch(options, db, respec)
            raise StartError(
                f"faces enrolled since need {before.model} of spec {before.fingerprint}; these weights and settings are"
                f" {engine.spec.fingerprint}: name the right --weights-dir, or --leave-behind those faces",
                exit_code=2,
            )
        return _migrate(options, db, respec, store.spec, engine)


def _migrate(options: argparse.Namespace, db: Path, respec: Respec, old: EmbeddingSpec, engine: Engine) -> int:
    for _ in range(ROUNDS):
        report = reembed(respec, old, engine, options.jobs)
        embedded = counted(report.embedded, "face")
        print(
            printable(
                f"{db}: {embedded} embedded with {respec.spec.model}, {report.originals} from their pictures,"
                f" {report.crops} from kept crops; {len(report.unseen)} can't be"
            )
        )
        if report.unseen:
            return _some_unseen(options, db, respec, report)
        if options.prepare:
            print(f"  prepared: {old.model} stays in use; run it without --prepare to switch")
            return 0
        try:
            return _switch(options, db, respec)
        except Incomplete:
            continue  # more were enrolled while we embedded
    raise StartError("people are being enrolled faster than they are embedded: pause enrolment, and run it again")


def _some_unseen(options: argparse.Namespace, db: Path, respec: Respec, report: Report) -> int:
    log = db.with_name(db.name + ".not-migrated.txt")
    with replacing(log) as fresh:  # readable by its owner only
        fresh.write_text("".join(unseen.line for unseen in report.unseen), encoding="utf-8", errors="backslashreplace")
    print(printable(f"  each of them and the reason: {log}"))
    if options.leave_behind and not options.prepare:
        return _switch(options, db, respec)
    people = len({unseen.face.person for unseen in report.unseen})
    print(
        f"migrate_model: {counted(len(report.unseen), 'face')} of {counted_people(people)} can't be embedded again: put"
        " their pictures back, or use --leave-behind to switch without them (they stay in the database, and --back"
        " restores them)",
        file=sys.stderr,
    )
    return 3


def _switch(options: argparse.Namespace, db: Path, respec: Respec) -> int:
    left = respec.switch(leave_behind=options.leave_behind)
    behind = f"; {counted(left, 'face is', 'faces are')} left behind" if left else ""
    print(printable(f"{db} now uses {respec.spec.model}{behind}"))
    print("  restart the server: one that is running answers model_mismatch until then; --back reverts")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="migrate_model.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.tell_version()
    what = parser.add_mutually_exclusive_group(required=True)
    add_model_argument(what, "the model to move to", flag="--to")
    what.add_argument("--back", action="store_true", help="return to the model before the last switch")
    what.add_argument("--status", action="store_true", help="list the models that the gallery has templates of")
    what.add_argument(
        "--forget-old", action="store_true", help="delete the other models' templates: there is no way back after that"
    )
    parser.add_argument(
        "--db",
        type=database_file,
        default=DEFAULT_DB,
        help="the database, a file (default: %(default)s); one in Milvus is fetched and taken back with backup.py",
    )
    parser.add_argument("--prepare", action="store_true", help="embed, but leave the switch to a later run")
    parser.add_argument(
        "--leave-behind", action="store_true", help="switch even if some faces can't be embedded by the new model"
    )
    parser.add_argument(
        "--jobs", type=positive, default=DEFAULT_JOBS, metavar="N", help="threads (default: %(default)s)"
    )
    add_vision_arguments(parser, emotions=False)
    return parser
