"""The result of a section: a table, numbers for --json, and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SEARCH, SEARCH_ASKED = "facewire", "facewire, five people"
"""Our rows of the section about search, by which chart and documents know them: they are drawn where FAISS is not
installed, too."""


@dataclass(frozen=True, slots=True)
class Target:
    """A target of the project. `at_least`: higher is better; otherwise `wanted` is the maximum."""

    what: str
    measured: float
    wanted: float
    at_least: bool = True
    unit: str = "x"

    @property
    def met(self) -> bool:
        """Is the target met, by the unrounded value?"""
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    def line(self) -> str:
        """The target as a line of text."""
        bound = "at least" if self.at_least else "at most"
        wanted = f"{bound} {self.wanted:g} {self.unit}"
        return f"{'met' if self.met else 'NOT MET':8}{self.what:64}{self.measured:10.3g} {self.unit:9}({wanted})"


@dataclass(slots=True)
class Section:
    """`rows`: formatted cells under `columns`; `data`: the same and more, for programs."""

    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The table with its notes below."""
        lines = [tuple(self.columns), *(tuple(row) for row in self.rows)]
        widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
        table = ["  ".join(_cells(line, widths)).rstrip() for line in lines]
        return "\n".join([f"== {self.title}", *table, *(f"   {note}" for note in self.notes)])


def _cells(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]


def report_text(sections: Mapping[str, Section]) -> str:
    """All sections, then the targets."""
    targets = [target.line() for section in sections.values() for target in section.targets]
    parts = [section.text() for section in sections.values()]
    if targets:
        parts.append("\n".join(["== targets", *targets]))
    return "\n\n".join(parts)


def report_json(sections: Mapping[str, Section]) -> dict[str, Any]:
    """The same for programs."""
    targets = [asdict(target) | {"met": target.met} for section in sections.values() for target in section.targets]
    return {"sections": {name: section.data for name, section in sections.items()}, "targets": targets}
