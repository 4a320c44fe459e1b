"""The results of a build: why pictures were skipped, the summary, and the log beside the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path

from facewire.protocol.clutter import LeftOut
from facewire.protocol.text import counted, counted_people, printable
from facewire.server.durable import replacing
from facewire.server.gallery.records import Counts
from facewire.server.recognition.enrolment import COVERED

ALIKE_LISTED = 10
"""Maximum number of similar names listed, to keep the summary short."""


class Reason(StrEnum):
    """Why a file was skipped; the summary counts by reason. From TOO_SMALL on they come from the quality gate: see
    --accept."""

    STRAY = "beside the people's folders, not in one"
    NAME = "name that can't be used"
    KIND = "not a picture, by its name or by its first bytes"
    SPECIAL = "not a regular file"
    UNREADABLE = "can't be read"
    LARGE = "too large"
    BROKEN = "broken picture"
    NO_FACE = "no face found"
    SAME = "same bytes as another picture of the person"
    ALIKE = "another picture of the person, re-encoded or resized"
    TOO_SMALL = "too_small"
    BLURRED = "blurred"
    TURNED_AWAY = "turned_away"
    TOO_DARK = "too_dark"
    TOO_BRIGHT = "too_bright"
    PARTLY_OUTSIDE = "partly_outside"
    NOT_A_FACE = "not_a_face"
    ELSEWHERE = "nearer_to_another"


GATED = tuple(
    str(reason)
    for reason in (
        *(Reason.TOO_SMALL, Reason.BLURRED, Reason.TURNED_AWAY, Reason.TOO_DARK, Reason.TOO_BRIGHT),
        *(Reason.PARTLY_OUTSIDE, Reason.NOT_A_FACE, Reason.ELSEWHERE),
    )
)
"""Reasons that --accept can ignore, in the protocol's words."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """`path`: relative to the given folder; `detail`: details that the reason alone doesn't give."""

    path: str
    reason: Reason
    detail: str = ""

    @property
    def line(self) -> str:
        """The reason as written to the log."""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


@dataclass(slots=True)
class Report:
    """What a build did, for the summary and the skip log. `copies`: skipped pictures that were enrolled before, from
    elsewhere; `gone`: enrolled paths that are no longer in the folder, and `pruned` whether they were removed from the
    database; `doubts`: new pictures that match another person, with the message; `alike`: names that differ only in
    case and accents; `covered`: new pictures with a face that seems covered.
    """

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    copies: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    pruned: bool = False
    mislabels: list[tuple[str, str]] = field(default_factory=list)
    doubts: list[tuple[str, str]] = field(default_factory=list)
    alike: list[tuple[str, ...]] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
    counts: Counts = field(default_factory=partial(Counts, 0, 0, 0))
    seconds: float = 0.0
    left_out: LeftOut = field(default_factory=LeftOut)

    @property
    def enrolled(self) -> int:
        """How many of the folder's files show a person of the database."""
        return self.new + self.changed + self.unchanged + self.copies

    def log_lines(self) -> list[tuple[str, str]]:
        """(path, message) pairs."""
        return [
            *((skip.path, skip.line) for skip in self.skipped),
            *((path, f"gone from the folder; {self._fate}") for path in self.gone),
            *((path, f"also under {name} (a likely mislabel)") for path, name in self.mislabels),
            *((path, f"enrolled, but {doubt}") for path, doubt in self.doubts),
            *((path, f"enrolled, but {COVERED}") for path in self.covered),
        ]

    @property
    def _fate(self) -> str:
        return "removed" if self.pruned else "stays enrolled"

    def summary(self) -> str:
        """One line of totals, and one for every kind of skipped file."""
        held = self.counts
        lines = [
            f"{counted_people(held.people)}, {counted(held.images, 'picture')}, {counted(held.templates, 'template')}"
            " in the database",
            f"{self.new} new, {self.changed} changed, {self.unchanged} unchanged, {len(self.skipped)} skipped,"
            f" {len(self.gone)} gone from the folder, {self.seconds:.1f} s",
        ]
        if self.gone:
            lines.append(f"  gone from the folder {len(self.gone)}: {self._fate}" + _how_to_prune(self.pruned))
        reasons = Counter(skip.reason for skip in self.skipped)
        lines += [f"  skipped {count}: {reason}{_how_to_accept(reason)}" for reason, count in reasons.most_common()]
        if self.left_out.total:
            lines.append(f"  {self.left_out.said()}")
        if self.mislabels:
            are = counted(len(self.mislabels), "picture is", "pictures are")
            lines.append(f"  {are} enrolled for two people: likely mislabels")
        if self.doubts:
            match = counted(len(self.doubts), "picture matches", "pictures match")
            lines.append(f"  {match} another person, too: mislabels, or one person twice?")
        if self.covered:
            show = counted(len(self.covered), "picture shows", "pictures show")
            lines.append(f"  {show} a face that seems covered: also enrol pictures of the whole face")
        lines += [f"  {' and '.join(names)}: the same person? Then merge them" for names in self.alike[:ALIKE_LISTED]]
        if len(self.alike) > ALIKE_LISTED:
            lines.append(f"  and {len(self.alike) - ALIKE_LISTED} more names that differ in case and accents only")
        return "\n".join(lines)


def _how_to_accept(reason: Reason) -> str:
    return f" (--accept {reason} enrols them all the same)" if reason in GATED else ""


def _how_to_prune(pruned: bool) -> str:
    return "" if pruned else " (--prune removes what is gone)"


def log_path(db: Path) -> Path:
    """The path of a database's skip log."""
    return db.with_name(db.name + ".skipped.txt")


def write_log(path: Path, lines: Sequence[tuple[str, str]]) -> None:
    """One line per file: the path, a tab, the reason; sorted by path. Without lines the file is deleted."""
    if not lines:
        path.unlink(missing_ok=True)
        return
    text = "".join(f"{_one_field(name)}\t{_one_field(reason)}\n" for name, reason in sorted(lines))
    with replacing(path) as fresh:  # readable by its owner only
        fresh.write_text(text, encoding="utf-8", errors="backslashreplace")


def _one_field(text: str) -> str:
    """Escape the tabs and line breaks that file names may contain, and characters that move a terminal's cursor."""
    escaped = text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    return printable(escaped)
