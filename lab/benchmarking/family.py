"""A server and its children as the kernel sees them: memory and processor time, of each process and of all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facewire.protocol.settings import MEBIBYTE
from facewire.server.processes import memory_of

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Family:
    """Process ids: the server's own, and its descendants'."""

    server: int
    children: tuple[int, ...]

    @property
    def pss_mb(self) -> tuple[float, float]:
        """Proportional memory in MB of the server and of its children: pages that several processes share, as forked
        children do, count once in all."""
        return memory_of(self.server) / MEBIBYTE, sum(map(memory_of, self.children)) / MEBIBYTE

    @property
    def cpu_seconds(self) -> tuple[float, float]:
        """Processor seconds since their starts, of the server and of its children."""
        return cpu_of(_PROC / str(self.server)), sum(cpu_of(_PROC / str(child)) for child in self.children)


def family_of(server: int) -> Family:
    """The processes that descend from it now."""
    offspring: dict[int, list[int]] = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (parent := _parent(folder)) is not None:
            offspring.setdefault(parent, []).append(int(folder.name))
    found: list[int] = []
    todo = [server]
    while todo:
        todo += (born := offspring.get(todo.pop(), []))
        found += born
    return Family(server, tuple(found))


def cpu_of(folder: Path) -> float:
    """Processor seconds of the process or thread with this folder under /proc; 0 if it has ended. A process's are those
    of its threads that still run."""
    try:
        if (folder / "task").is_dir():
            return sum(cpu_of(task) for task in (folder / "task").iterdir())
        return int((folder / "schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def _parent(folder: Path) -> int | None:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
