"""One build: look at what is new in a folder, embed it, and put it into the database in one step."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from facewire.protocol.text import counted
from facewire.server.errors import StartError
from facewire.server.gallery.records import NewPicture
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.build.folder import Scan
from facewire.server.maintenance.build.inventory import Enrolled, enrolled_pictures, names_alike, shared_pictures
from facewire.server.maintenance.build.ledger import Ledger
from facewire.server.maintenance.build.mislabels import suspects
from facewire.server.maintenance.build.pipeline import (
    BATCH,
    BuildingEngine,
    Known,
    Outcome,
    Ready,
    embed,
    in_parallel,
    look_at,
)
from facewire.server.maintenance.build.report import Report
from facewire.server.maintenance.build.skips import Reason, Skipped, log_path, write_log
from facewire.server.maintenance.build.staging import Relink, Staging

TRANSACTION = 256
"""Pictures written at once at most: some 600 KB."""

WRITE_EVERY_S = 2.0
"""What a kill -9 may cost in work to do again."""


MOST_GONE = 0.5
"""The share of a folder's pictures that may leave at once without a --force: more looks like the wrong folder."""


@dataclass(frozen=True, slots=True)
class Request:
    """A build as asked for. `folder` and `db` are absolute; `jobs`: threads that decode and detect.

    `prune`: pictures gone from the folder leave the database; unless by `force`, only where that looks intended.
    `accept`: what no picture is skipped for, of the quality gate's reasons; `all`: the gate is open.
    """

    folder: Path
    db: Path
    jobs: int
    rebuild: bool
    prune: bool = False
    force: bool = False
    accept: frozenset[str] = frozenset()

    @property
    def source(self) -> str:
        """The folder as its pictures are enrolled under."""
        return str(self.folder)


def build(request: Request, scan: Scan, engine: BuildingEngine) -> Report:
    """Bring the database up to the folder. The caller holds the build's lock.

    Until the last step nothing that a reader sees has changed. Raises StartError, ModelMismatch, OSError or
    sqlite3.Error where it can't be done, KeyboardInterrupt on Ctrl-C; the database is as it was then.
    """
    begun = time.monotonic()
    ledger = Ledger(request.source, known_pictures(request), scan.files)
    report = Report(skipped=list(scan.skipped), left_out=scan.left_out)
    staging = Staging(request.db, engine.spec)
    try:
        relinks = _collect(request, engine, ledger, staging, report)
        _look_for_mislabels(request, engine, ledger, staging, report)
        gone = ledger.gone({skip.path for skip in scan.skipped})
        report.gone, report.pruned = [picture.path for picture in gone], request.prune
        removed = ledger.superseded() + [picture.image_id for picture in gone if request.prune]
        if request.prune and not request.force:
            check_prune(scan, len(gone), ledger.enrolled_here())
        with _undisturbed():
            if report.new or report.changed or relinks or removed:
                staging.move(relinks, removed, rebuild=request.rebuild)
            staging.discard()
            _take_stock(request, scan, report)
    finally:
        staging.close()
    report.seconds = time.monotonic() - begun
    return report


def _look_for_mislabels(
    request: Request, engine: BuildingEngine, ledger: Ledger, staging: Staging, report: Report
) -> None:
    """Leave out new pictures that match another person and none of their own; tell of those that have no other."""
    leaving: list[int] = []
    for suspect in suspects(request.db, staging, engine.spec, rebuild=request.rebuild):
        if suspect.elsewhere.is_doubt or not request.accept.isdisjoint({"all", "nearer_to_another"}):
            report.doubts.append((suspect.path, suspect.elsewhere.message))
        else:
            report.skipped.append(Skipped(suspect.path, Reason.ELSEWHERE, suspect.elsewhere.message))
            report.count(changed=ledger.has_path(suspect.path), by=-1)
            leaving.append(suspect.image_id)
    if leaving:
        staging.forget(leaving)


def check_prune(scan: Scan, gone: int, enrolled: int) -> None:
    """Raises StartError where what is gone may only be out of sight: a disk not mounted, a folder closed to us."""
    if not scan.files:
        raise StartError("the folder is empty: nothing is removed, unless --force says that it is meant", exit_code=2)
    closed = [skip.path for skip in scan.skipped if skip.reason is Reason.UNREADABLE]
    if gone and closed:
        raise StartError(f"{closed[0]} can't be read: nothing is removed, unless --force says so", exit_code=2)
    if gone > enrolled * MOST_GONE:
        are = "is" if gone == 1 else "are"
        raise StartError(
            f"{gone} of {counted(enrolled, 'picture')} {are} gone from the folder: is it the right one? If so, --force"
            " removes them",
            exit_code=2,
        )


def _take_stock(request: Request, scan: Scan, report: Report) -> None:
    """Complete the report from the finished database, and write the skip log."""
    if request.db.exists():
        with closing(Store.open(request.db)) as store:
            report.counts = store.counts()
            report.mislabels = list(shared_pictures(store, request.source))
            report.alike = names_alike(store, {file.person for file in scan.files})
    write_log(log_path(request.db), report.log_lines())


def known_pictures(request: Request) -> list[Enrolled]:
    """What the database holds before the build."""
    if request.rebuild or not request.db.exists():
        return []
    with closing(Store.open(request.db)) as store:
        return list(enrolled_pictures(store))


class _Stager:
    """Gathers faces into batches for the engine, and pictures into transactions."""

    def __init__(self, engine: BuildingEngine, staging: Staging, source: str) -> None:
        self._engine, self._staging, self._source = engine, staging, source
        self._ready: list[Ready] = []
        self._embedded: list[tuple[str, NewPicture]] = []
        self._written = time.monotonic()

    def add(self, ready: Ready) -> None:
        self._ready.append(ready)
        if len(self._ready) == BATCH:
            self._embed()
        if len(self._embedded) >= TRANSACTION or time.monotonic() > self._written + WRITE_EVERY_S:
            self._write()

    def finish(self) -> None:
        if self._ready:
            self._embed()
        self._write()

    def _embed(self) -> None:
        self._embedded += embed(self._engine, self._ready, self._source)
        self._ready.clear()

    def _write(self) -> None:
        self._staging.add(self._embedded)
        self._embedded.clear()
        self._written = time.monotonic()


def _collect(
    request: Request, engine: BuildingEngine, ledger: Ledger, staging: Staging, report: Report
) -> list[Relink]:
    """Stage every new and changed picture; what only moved or was touched is returned."""
    staged = staging.take_up(ledger.take_up)
    waiting = ledger.waiting()
    report.unchanged = ledger.unchanged()
    for picture in staged:
        report.count(changed=ledger.has_path(picture.path))
    if staged:
        print(f"going on after {counted(len(staged), 'picture')} that an interrupted run embedded", file=sys.stderr)
    look = partial(look_at, folder=request.folder, engine=engine, holds=ledger.holds, accept=request.accept)
    stager, relinks = _Stager(engine, staging, request.source), list[Relink]()
    # Closed, so that on Ctrl-C no thread is still looking when the staging database is closed.
    with _bar(len(waiting)) as bar, closing(in_parallel(look, waiting, request.jobs)) as outcomes:
        for outcome in outcomes:
            match _settle(outcome, ledger):
                case Skipped() as skipped:
                    report.skipped.append(skipped)
                case Relink() as relink:
                    relinks.append(relink)
                    report.unchanged += 1
                case Ready(file=file) as ready:
                    stager.add(ready)
                    report.count(changed=ledger.has_path(file.path))
                    if ready.covered:
                        report.covered.append(file.path)
            bar.update()
        stager.finish()
    return relinks


def _bar(total: int) -> tqdm[NoReturn]:
    """Progress on stderr, with rate and time left; now and then where nobody watches it move."""
    interval = 0.1 if sys.stderr.isatty() else 10
    return tqdm(total=total, disable=not total, unit=" pictures", mininterval=interval, file=sys.stderr)


def _settle(outcome: Outcome, ledger: Ledger) -> Skipped | Relink | Ready:
    """Two files of one run may bring the same bytes; only here, file after file, can that be seen."""
    match outcome:
        case Known(file, sha256):
            return ledger.recognise(file, sha256)
        case Ready(file=file, sha256=sha256, fingerprint=fingerprint):
            return ledger.claim(file, sha256, fingerprint) or outcome
        case Skipped():
            return outcome


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits: it then either finds the old database or, after this, the finished new one, and can say which."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
