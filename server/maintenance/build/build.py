"""One build: embed the new pictures of a folder, and add them to the database in one transaction.

Before they are added, pictures that match another person are looked for, in the database and the folder, at the
threshold that a server of the finished gallery would use at its default error rate."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from facewire.protocol.text import counted
from facewire.server.errors import StartError
from facewire.server.gallery.records import Templates
from facewire.server.gallery.search.cohort import DEFAULT_PATH, Cohort, measure_by
from facewire.server.maintenance.build.folder import Scan
from facewire.server.maintenance.build.plan import Enrolled, Plan, Relink
from facewire.server.maintenance.build.reading import Found, Known, Readers
from facewire.server.maintenance.build.report import Reason, Report, Skipped, log_path, write_log
from facewire.server.maintenance.build.staging import Staging
from facewire.server.maintenance.build.target import Target, nothing_held
from facewire.server.maintenance.command import Batches, progress_bar
from facewire.server.recognition.calibration import effective_size, offset_of
from facewire.server.recognition.decision import Decider
from facewire.server.recognition.impostors import has_prior
from facewire.server.recognition.mislabels import Elsewhere, elsewhere_among
from facewire.server.settings import DEFAULT_FPIR
from facewire.server.spec import EmbeddingSpec

MOST_GONE = 0.5
"""The share of a folder's pictures that may disappear at once without --force: more suggests the wrong folder."""


@dataclass(frozen=True, slots=True)
class Request:
    """The options of a build. `folder` is absolute; `target`: what is built; `db`: the absolute path beside which its
    files on this machine lie.

    `prune`: remove pictures that are gone from the folder, unless that looks like a mistake; `force` skips that check.
    `accept`: reasons of the quality gate to ignore; `all` disables the gate.
    """

    folder: Path
    db: Path
    target: Target
    rebuild: bool
    prune: bool = False
    force: bool = False
    accept: frozenset[str] = frozenset()

    @property
    def source(self) -> str:
        """The folder, as stored with its pictures."""
        return str(self.folder)


def build(request: Request, found: Scan, before: Sequence[Enrolled], readers: Readers[Found]) -> Report:
    """Update the database from the folder. The caller holds the build lock.

    `found`: the folder's files; `before`: the pictures in the database. Readers see no change until the last step.
    Raises StartError, ModelMismatch, OSError or sqlite3.Error on failure, KeyboardInterrupt on Ctrl-C; the database is
    then unchanged.
    """
    begun = time.monotonic()
    plan = Plan(request.source, [] if request.rebuild else before, found.files)
    report = Report(skipped=list(found.skipped), left_out=found.left_out, pruned=request.prune)
    target = request.target
    with closing(Staging(request.db, readers.spec)) as staging:
        relinks = collect(request, readers, plan, staging, report)
        _leave_out_mislabels(request, readers.spec, staging, target, report)
        staged = staging.pictures()
        report.changed = sum(plan.has_path(picture.path) for picture in staged)
        report.new = len(staged) - report.changed
        report.unchanged = plan.unchanged() + len(relinks)
        report.copies = plan.copies()
        gone = plan.gone({skip.path for skip in found.skipped})
        report.gone = [picture.path for picture in gone]
        removed = plan.superseded() + [picture.image_id for picture in gone if request.prune]
        if request.prune and not request.force:
            check_prune(found, len(gone), plan.enrolled_here())
        with _undisturbed():
            if staged or relinks or removed:
                target.take(staging, relinks, removed, rebuild=request.rebuild)
            staging.discard()
            if (counts := target.counts()) is not None:
                report.counts = counts
                report.mislabels = list(target.shared(request.source))
                report.alike = target.alike({file.person for file in found.files})
            write_log(log_path(request.db), report.log_lines())
    report.seconds = time.monotonic() - begun
    return report


def _leave_out_mislabels(
    request: Request, spec: EmbeddingSpec, staging: Staging, target: Target, report: Report
) -> None:
    """Drop new pictures that match another person and none of their own; report doubtful ones and keep them."""
    leaving: list[int] = []
    for picture, elsewhere in suspects(staging, spec, None if request.rebuild else target):
        if elsewhere.is_doubt or not request.accept.isdisjoint({"all", "nearer_to_another"}):
            report.doubts.append((picture.path, elsewhere.message))
        else:
            report.skipped.append(Skipped(picture.path, Reason.ELSEWHERE, elsewhere.message))
            leaving.append(picture.image_id)
    staging.forget(leaving)


def check_prune(found: Scan, gone: int, enrolled: int) -> None:
    """Raises StartError if the pictures may only be out of sight: a disk not mounted, or a folder without read
    permission."""
    if not found.files:
        raise StartError("the folder is empty: nothing is removed without --force", exit_code=2)
    closed = [skip.path for skip in found.skipped if skip.reason is Reason.UNREADABLE]
    if gone and closed:
        raise StartError(f"{closed[0]} can't be read: nothing is removed without --force", exit_code=2)
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


def collect(request: Request, readers: Readers[Found], plan: Plan, staging: Staging, report: Report) -> list[Relink]:
    """Stage every new and changed picture; returns those that were only moved or touched. Adds skipped pictures, and
    those with a face that seems covered, to `report`."""
    left = staging.pictures()
    resumed = {picture.image_id for picture in plan.resume(left)}
    staging.forget([picture.image_id for picture in left if picture.image_id not in resumed])
    if resumed:
        print(f"continuing after {counted(len(resumed), 'picture')} that an interrupted run embedded", file=sys.stderr)

    waiting = plan.waiting()
    batches = Batches(partial(readers.embed, request.folder), staging.add)
    relinks = list[Relink]()
    read = readers.read(request.folder, waiting, plan.hashes, request.accept)
    # closing: on Ctrl-C no thread may still be working when the staging database is closed.
    with progress_bar(len(waiting), "pictures") as bar, closing(read) as outcomes:
        for outcome in outcomes:
            match _settled(outcome, plan):
                case Skipped() as skipped:
                    report.skipped.append(skipped)
                case Relink() as relink:
                    relinks.append(relink)
                case ready:
                    batches.add(ready)
                    if ready.covered:
                        report.covered.append(ready.file.path)
            bar.update()
        batches.finish()
    return relinks


def _settled(outcome: Skipped | Known | Found, plan: Plan) -> Skipped | Relink | Found:
    """Detects duplicates within this run, which is only possible here, where files are handled one by one."""
    match outcome:
        case Known(file, sha256):
            return plan.recognise(file, sha256)
        case Skipped():
            return outcome
        case ready:
            return plan.claim(ready.file, ready.sha256, ready.fingerprint) or ready


MOST_COMPARISONS = 5_000_000_000
"""Of templates for mislabels: a minute or two. Larger builds are not checked."""


def suspects(staging: Staging, spec: EmbeddingSpec, target: Target | None) -> Iterator[tuple[Enrolled, Elsewhere]]:
    """The staged pictures that match somebody else and nobody of their own name, sorted by path. `target`: what they
    will move to; None if nothing in it stays."""
    new = staging.held()
    if not new.names or not has_prior(spec.model):
        return
    most = MOST_COMPARISONS // len(new.names) - len(new.names)
    old = nothing_held(spec) if target is None else target.held(spec, most)
    if most < 0 or old is None:
        print(f"the search for mislabels was skipped: over {MOST_COMPARISONS:.0e} comparisons", file=sys.stderr)
        return
    names, people = np.unique(np.array(new.names + old.names), return_inverse=True)
    cohort = Cohort.load(DEFAULT_PATH, spec)
    embeddings = np.concatenate([new.embeddings, old.embeddings])
    templates = Templates(embeddings, np.asarray(people, np.int64), measure_by(cohort)(embeddings))
    decider = Decider(spec, DEFAULT_FPIR, normalised=cohort is not None)
    threshold = decider.threshold(effective_size(templates.person_ids), offset_of(templates, decider.prior))
    found = elsewhere_among(templates, [str(name) for name in names], np.arange(len(new.names)), threshold)
    pictures = {picture.image_id: picture for picture in staging.pictures()}
    for row in sorted(found, key=lambda row: pictures[int(new.image_ids[row])].path):
        yield pictures[int(new.image_ids[row])], found[row]
