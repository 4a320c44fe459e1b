"""Reads a folder's files and stages the faces that may be enrolled."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from facewire.protocol.text import counted
from facewire.server.gallery.records import NewPicture
from facewire.server.maintenance.build.folder import FoundFile
from facewire.server.maintenance.build.plan import Plan
from facewire.server.maintenance.build.report import Reason, Report, Skipped
from facewire.server.maintenance.build.staging import Relink, Staging
from facewire.server.maintenance.pipeline import Batches, in_parallel, progress_bar
from facewire.server.recognition.enrolment import Chosen, Refused, choose
from facewire.server.recognition.quality_gate import LIMITS
from facewire.server.vision.engine import Engine


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose bytes are enrolled for this person."""

    file: FoundFile
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Ready:
    """A file with a face that may be enrolled."""

    file: FoundFile
    chosen: Chosen


Outcome = Skipped | Known | Ready


def collect(
    folder: Path, engine: Engine, plan: Plan, staging: Staging, report: Report, *, jobs: int, accept: Collection[str]
) -> list[Relink]:
    """Stage every new and changed picture; returns those that were only moved or touched. Adds skipped pictures, and
    those with a face that seems covered, to `report`."""
    left = staging.pictures()
    resumed = {picture.image_id for picture in plan.resume(left)}
    staging.forget([picture.image_id for picture in left if picture.image_id not in resumed])
    if resumed:
        print(f"going on after {counted(len(resumed), 'picture')} that an interrupted run embedded", file=sys.stderr)

    def look(file: FoundFile) -> Outcome:
        return look_at(file, folder, engine, plan.holds, accept)

    def embed(batch: Sequence[Ready]) -> Iterable[tuple[str, NewPicture]]:
        embeddings = engine.templates([ready.chosen.face.crop for ready in batch])
        for ready, embedding in zip(batch, embeddings, strict=True):
            file = ready.file
            yield file.person, ready.chosen.picture(embedding, file.path, plan.source, file.mtime_ns)

    waiting = plan.waiting()
    batches = Batches(embed, staging.add)
    relinks = list[Relink]()
    # closing: on Ctrl-C no thread may still be working when the staging database is closed.
    with progress_bar(len(waiting), "pictures") as bar, closing(in_parallel(look, waiting, jobs)) as outcomes:
        for outcome in outcomes:
            match _settled(outcome, plan):
                case Skipped() as skipped:
                    report.skipped.append(skipped)
                case Relink() as relink:
                    relinks.append(relink)
                case Ready(file, chosen) as ready:
                    batches.add(ready)
                    if chosen.doubt:
                        report.covered.append(file.path)
            bar.update()
        batches.finish()
    return relinks


def look_at(
    file: FoundFile,
    folder: Path,
    engine: Engine,
    holds: Callable[[str, str], bool],
    accept: Collection[str] = (),
) -> Outcome:
    """Read a file and choose its face; a file that can't be used gives a reason, never an exception.

    `holds`: whether a person has a picture with this sha256; `accept`: see `quality_gate.shortcomings`.
    """
    try:
        data = (folder / file.path).read_bytes()
    except OSError as error:
        return Skipped(file.path, Reason.UNREADABLE, error.strerror or str(error))
    sha256 = hashlib.sha256(data).hexdigest()
    if holds(file.person, sha256):
        return Known(file, sha256)
    chosen = choose(data, sha256, engine, LIMITS, accept)
    return _skipped(file, chosen) if isinstance(chosen, Refused) else Ready(file, chosen)


def _skipped(file: FoundFile, refused: Refused) -> Skipped:
    match refused.reason:
        case "invalid_image":
            return Skipped(file.path, Reason.BROKEN, str(refused.error))
        case "no_face":
            return Skipped(file.path, Reason.NO_FACE)
        case reason:
            return Skipped(file.path, Reason(reason), str(refused.error))


def _settled(outcome: Outcome, plan: Plan) -> Skipped | Relink | Ready:
    """Detects duplicates within this run, which is only possible here, where files are handled one by one."""
    match outcome:
        case Known(file, sha256):
            return plan.recognise(file, sha256)
        case Ready(file, chosen):
            return plan.claim(file, chosen.sha256, chosen.fingerprint) or outcome
        case Skipped():
            return outcome
