"""The server as a process of its own, for scripts that show or measure it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facewire.server.errors import StartError

ROOT = Path(__file__).resolve().parents[1]
STOP_TIMEOUT_S = 10.0  # twice what the server promises
_READY = "listening on "


@dataclass(frozen=True, slots=True)
class Server:
    """A server that has said it is ready."""

    process: subprocess.Popen[str]
    port: int


@contextmanager
def serving(db: str, flags: Sequence[str], log: Path) -> Iterator[int]:
    """A server's port, until the block ends; its log goes to `log`. Raises StartError with the log's last line."""
    with server_process(db, flags, log) as server:
        yield server.port


@contextmanager
def server_process(db: str, flags: Sequence[str], log: Path) -> Iterator[Server]:
    """As `serving`, for who needs to know the process too."""
    command = [sys.executable, "server_app.py", "--port", "0", "--db", db, *flags]
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=file, text=True) as server,
    ):
        try:
            assert server.stdout is not None
            line = next((line for line in server.stdout if line.startswith(_READY)), "")
            if not line:
                raise StartError(f"the server did not start: {last_line(log)}")
            yield Server(server, int(line.rsplit(":", 1)[1]))
        finally:
            server.terminate()
            wait_or_kill(server, STOP_TIMEOUT_S)


def wait_or_kill(process: subprocess.Popen[Any], seconds: float) -> None:
    """Waits for a process that was told to stop, so long at most."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()


def last_line(log: Path) -> str:
    """What a server said last: where it could not start, why."""
    return (log.read_text().strip().splitlines() or ["it printed nothing"])[-1]
