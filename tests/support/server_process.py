"""server_app.py as a process of its own: started, asked, stopped, and its log kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 180.0  # for a start that converts a network on a busy machine; a hung one is killed after it

READY = "listening on "


@dataclass(frozen=True, slots=True)
class Ended:
    """How a server ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """What is no log on stderr."""
        return [line for line in self.stderr.splitlines() if not is_log(line)]

    @property
    def log(self) -> list[str]:
        """What is."""
        return [line for line in self.stderr.splitlines() if is_log(line)]


def is_log(line: str) -> bool:
    """Does it begin with a time, as logging writes it?"""
    return line[:4].isdigit() and line[4:5] == "-" and " facewire" in line


class ServerProcess:
    """A server that is ready; use `serving_process`."""

    def __init__(self, process: subprocess.Popen[str], address: tuple[str, int], stderr: Path) -> None:
        self.process = process
        self.address = address
        self._stderr = stderr

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self._stderr.read_text(encoding="utf-8")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[Ended, float]:
        """Sends the signal; how it ended, and the seconds that took."""
        begun = time.monotonic()
        self.process.send_signal(number)
        return self.ended(), time.monotonic() - begun

    def ended(self) -> Ended:
        """Waits for its end."""
        stdout, _ = self.process.communicate(timeout=PATIENCE_S)
        return Ended(self.process.returncode, stdout, self.stderr)


def environment(**more: str) -> dict[str, str]:
    """Ours, without what would tell a server something."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACEWIRE_")}
    return inherited | more


def run_to_its_end(*args: str, env: Mapping[str, str]) -> Ended:
    """A server that is expected not to start."""
    done = subprocess.run(
        [sys.executable, "server_app.py", *args], cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_S
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@contextmanager
def serving_process(*args: str, env: Mapping[str, str]) -> Iterator[ServerProcess]:
    """A server on a free port, once it has said that it is ready; killed at the end if it still runs."""
    with tempfile.TemporaryDirectory() as room:
        stderr = Path(room) / "stderr"
        with stderr.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "server_app.py", "--port", "0", *args],
                cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=file, text=True,
            )  # fmt: skip
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE_S, process.kill)
        watchdog.start()
        try:
            line = process.stdout.readline()
            watchdog.cancel()
            assert line.startswith(READY), f"no server: {line!r}; it said:\n{stderr.read_text()}"
            host, _, port = line.removeprefix(READY).strip().rpartition(":")
            yield ServerProcess(process, (host, int(port)), stderr)
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
            process.stdout.close()
