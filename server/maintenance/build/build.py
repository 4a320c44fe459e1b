"""One build: embed the new pictures of a folder, and add them to the database in one transaction."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from facewire.protocol.text import counted
from facewire.server.errors import StartError
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.build.collect import collect
from facewire.server.maintenance.build.folder import Scan
from facewire.server.maintenance.build.inventory import Enrolled, names_alike, shared_pictures
from facewire.server.maintenance.build.mislabels import suspects
from facewire.server.maintenance.build.plan import Plan
from facewire.server.maintenance.build.report import Reason, Report, Skipped, log_path, write_log
from facewire.server.maintenance.build.staging import Staging
from facewire.server.vision.engine import Engine

MOST_GONE = 0.5
"""The share of a folder's pictures that may disappear at once without --force: more suggests the wrong folder."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of a build. `folder` and `db` are absolute; `jobs`: threads that decode and detect.

    `prune`: remove pictures that are gone from the folder, unless that looks like a mistake; `force` skips that check.
    `accept`: reasons of the quality gate to ignore; `all` disables the gate.
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
        """The folder, as stored with its pictures."""
        return str(self.folder)


def build(request: Request, found: Scan, before: Sequence[Enrolled], engine: Engine) -> Report:
    """Update the database from the folder. The caller holds the build lock.

    `found`: the folder's files; `before`: the pictures in the database. Readers see no change until the last step.
    Raises StartError, ModelMismatch, OSError or sqlite3.Error on failure, KeyboardInterrupt on Ctrl-C; the database is
    then unchanged.
    """
    begun = time.monotonic()
    plan = Plan(request.source, [] if request.rebuild else before, found.files)
    report = Report(skipped=list(found.skipped), left_out=found.left_out, pruned=request.prune)
    with closing(Staging(request.db, engine.spec)) as staging, ExitStack() as opened:
        relinks = collect(request.folder, engine, plan, staging, report, jobs=request.jobs, accept=request.accept)
        # Opened only now: processing pictures may take hours, in which the database may be deleted or replaced.
        target = opened.enter_context(closing(Store.open(request.db))) if request.db.exists() else None
        _leave_out_mislabels(request, engine, staging, target, report)
        staged = staging.pictures()
        report.changed = sum(plan.has_path(picture.path) for picture in staged)
        report.new = len(staged) - report.changed
        report.unchanged = plan.unchanged() + len(relinks)
        gone = plan.gone({skip.path for skip in found.skipped})
        report.gone = [picture.path for picture in gone]
        removed = plan.superseded() + [picture.image_id for picture in gone if request.prune]
        if request.prune and not request.force:
            check_prune(found, len(gone), plan.enrolled_here())
        with _undisturbed():
            if staged or relinks or removed:
                staging.move(target, relinks, removed, rebuild=request.rebuild)
                target = target or opened.enter_context(closing(Store.open(request.db)))
            staging.discard()
            if target is not None:
                report.counts = target.counts()
                report.mislabels = list(shared_pictures(target, request.source))
                report.alike = names_alike(target, {file.person for file in found.files})
            write_log(log_path(request.db), report.log_lines())
    report.seconds = time.monotonic() - begun
    return report


def _leave_out_mislabels(
    request: Request, engine: Engine, staging: Staging, target: Store | None, report: Report
) -> None:
    """Drop new pictures that match another person and none of their own; report doubtful ones and keep them."""
    leaving: list[int] = []
    for suspect in suspects(staging, engine.spec, None if request.rebuild else target):
        if suspect.elsewhere.is_doubt or not request.accept.isdisjoint({"all", "nearer_to_another"}):
            report.doubts.append((suspect.path, suspect.elsewhere.message))
        else:
            report.skipped.append(Skipped(suspect.path, Reason.ELSEWHERE, suspect.elsewhere.message))
            leaving.append(suspect.image_id)
    staging.forget(leaving)


def check_prune(found: Scan, gone: int, enrolled: int) -> None:
    """Raises StartError if the pictures may only be out of sight: a disk not mounted, or a folder without read
    permission."""
    if not found.files:
        raise StartError("the folder is empty: nothing is removed, unless --force says that it is meant", exit_code=2)
    closed = [skip.path for skip in found.skipped if skip.reason is Reason.UNREADABLE]
    if gone and closed:
        raise StartError(f"{closed[0]} can't be read: nothing is removed, unless --force says so", exit_code=2)
    if gone > enrolled * MOST_GONE:
        are = "is" if gone == 1 else "are"
        raise StartError(
            f"{gone} of {counted(enrolled, 'picture')} {are} gone from the folder: is it the right one? If so, --force"
            " removes them",
            exit_code=2,
        )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignores Ctrl-C within the block: an interrupt finds either the old database or the finished new one, and can say
    which."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives the interrupt
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
