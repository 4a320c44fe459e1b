"""What a soak saw, look by look, and what that says: also of a soak that still runs, from the file that it writes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from facewire.protocol.settings import MEBIBYTE
from lab.proof.served import Taken

ALLOWED_GROWTH = 0.1  # of memory, from the first tenth of the requests to the end
_SPARE = {
    "memory": 8 * MEBIBYTE,
    "decoders": 24 * MEBIBYTE,
}  # may come on top: caches that fill, and heaps of eight decoders
_TAKEN = ("memory", "decoders", "threads", "descriptors")
_PASSING = 16  # threads and descriptors of connections that are just ending: each has two, and a client has two


@dataclass(frozen=True, slots=True)
class Look:
    """`done` requests and `seconds` after the start: what the server took while nobody asked it anything. `busy`: bytes
    of memory a moment before, under load; `people` enrolled, and `files`, bytes of its databases."""

    done: int
    seconds: float
    taken: Taken
    busy: int
    people: int
    files: int


@dataclass(frozen=True, slots=True)
class Period:
    """The requests of a period, and how long they took."""

    seconds: float
    requests: int
    p50_ms: float
    p99_ms: float

    def __str__(self) -> str:
        rate = self.requests / self.seconds
        return f"{self.requests} requests, {rate:.0f}/s, p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"


class Record:
    """Looks and periods in order, each also a line of JSON in `file`, which is added to."""

    def __init__(self, file: Path | None = None) -> None:
        self.looks: list[Look] = []
        self.periods: list[Period] = []
        self._file = file

    @classmethod
    def read(cls, file: Path) -> Self:
        """What a file holds."""
        record = cls()
        for line in file.read_text().splitlines():
            values = json.loads(line)
            if "taken" in values:
                record.looks.append(Look(**values | {"taken": Taken(**values["taken"])}))
            else:
                record.periods.append(Period(**values))
        return record

    def add(self, what: Look | Period) -> None:
        """Adds what was seen last."""
        if isinstance(what, Look):
            self.looks.append(what)
        else:
            self.periods.append(what)
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps(asdict(what)) + "\n")

    def grown(self) -> list[str]:
        """What grew from the first tenth of the requests to the end, a line each."""
        settled, last = self._settled(), self.looks[-1]
        found = []
        for what in ("memory", "decoders"):
            before, after = getattr(settled.taken, what), getattr(last.taken, what)
            if after > before * (1 + ALLOWED_GROWTH) + _SPARE[what]:
                found.append(f"{what} grew from {_mib(before)} to {_mib(after)} MiB")
        for what in ("threads", "descriptors"):
            before, after = getattr(settled.taken, what), getattr(last.taken, what)
            if after > before + _PASSING:
                found.append(f"{what} grew from {before} to {after}")
        return found

    def row(self) -> str:
        """The result as docs/operations.md has it."""
        last, settled, served = self.looks[-1], self._settled(), self.looks[1:] or self.looks
        slowest = ", ".join(f"{period.p99_ms:.0f}" for period in self.periods)
        seen = {what: [getattr(look.taken, what) for look in served] for what in _TAKEN}
        return (
            f"{last.done:,} requests in {last.seconds / 60:.0f} minutes ({last.done / max(last.seconds, 1):.0f}/s); "
            f"p99 by period {slowest or '-'} ms; the server when idle {_mib(settled.taken.memory)} MiB after a tenth, "
            f"{_mib(last.taken.memory)} at the end, {_mib(max(seen['memory']))} at most; decoders "
            f"{_mib(min(seen['decoders']))} to {_mib(max(seen['decoders']))} MiB; "
            f"threads {min(seen['threads'])} to {max(seen['threads'])}, "
            f"descriptors {min(seen['descriptors'])} to {max(seen['descriptors'])}"
        )

    def __str__(self) -> str:
        """A few lines for people."""
        last = self.looks[-1]
        tenths = [next(look for look in self.looks if look.done >= last.done * tenth / 10) for tenth in range(11)]
        idle = " ".join(_mib(look.taken.memory) for look in tenths)
        periods = [f"period {number}: {period}" for number, period in enumerate(self.periods, 1)]
        return "\n".join(
            [
                self.row(),
                *periods,
                f"the server when idle, by tenths of the requests: {idle} MiB; under load at most "
                f"{_mib(max(look.busy for look in self.looks))} MiB",
                f"{last.people} people enrolled at the end; databases {last.files / MEBIBYTE:.1f} MiB",
            ]
        )

    def _settled(self) -> Look:
        """The first look after a tenth of the requests."""
        return next(look for look in self.looks if look.done >= self.looks[-1].done / 10)


def _mib(size: int) -> str:
    return f"{size / MEBIBYTE:.0f}"
