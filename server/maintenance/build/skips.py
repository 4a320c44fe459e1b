"""Why a file didn't make it into the gallery, and the log that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from facewire.server.durable import replacing


class Reason(StrEnum):
    """One per skipped file; the summary counts by these. The last ones are the quality gate's: see --accept."""

    STRAY = "beside the people's folders, not in one"
    NAME = "name that can't be used"
    KIND = "not a picture, by its name and its first bytes"
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
"""What may be accepted all the same, in the protocol's words."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """`path`: relative to the folder given; `detail`: what the reason alone doesn't say."""

    path: str
    reason: Reason
    detail: str = ""

    @property
    def line(self) -> str:
        """The reason as the log has it."""
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


def log_path(db: Path) -> Path:
    """Where the skip log of a database lies."""
    return db.with_name(db.name + ".skipped.txt")


def write_log(path: Path, lines: Sequence[tuple[str, str]]) -> None:
    """One line a file, the path, a tab, the reason, sorted by path; no file where there is nothing to say."""
    if not lines:
        path.unlink(missing_ok=True)
        return
    text = "".join(f"{_one_field(name)}\t{_one_field(reason)}\n" for name, reason in sorted(lines))
    with replacing(path) as fresh:  # which only its owner may read
        fresh.write_text(text, encoding="utf-8", errors="backslashreplace")


def _one_field(text: str) -> str:
    """File names may hold the very characters that part fields and lines."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
