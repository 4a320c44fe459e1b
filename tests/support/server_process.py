"""server_app.py in a separate process: start, stop, and access to its log."""

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
PATIENCE_S = 180.0  # long enough to convert a network on a busy machine; then a hung server is killed

READY = "listening on "


@dataclass(frozen=True, slots=True)
class Ended:
    """An ended server's exit code and output."""

    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        """The lines on stderr that are not log lines."""
        return [line for line in self.stderr.splitlines() if not is_log(line)]

    @property
    def log(self) -> list[str]:
        """The log lines on stderr."""
        return [line for line in self.stderr.splitlines() if is_log(line)]


def is_log(line: str) -> bool:
    """Does the line begin with a timestamp, as logging writes it?"""
    return line[:4].isdigit() and line[4:5] == "-" and " facewire" in line


class ServerProcess:
    """A running server; use `serving_process`."""

    def __init__(self, process: subprocess.Popen[str], address: tuple[str, int], stderr: Path) -> None:
        self.process = process
        self.address = address
        self._stderr = stderr

    @property
    def stderr(self) -> str:
        """Its output so far."""
        return self._stderr.read_text(encoding="utf-8")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[Ended, float]:
        """Sends the signal. Returns how it ended, and after how many seconds."""
        begun = time.monotonic()
        self.process.send_signal(number)
        return self.ended(), time.monotonic() - begun

    def ended(self) -> Ended:
        """Waits until it ends."""
        stdout, _ = self.process.communicate(timeout=PATIENCE_S)
        return Ended(self.process.returncode, stdout, self.stderr)


def environment(**more: str) -> dict[str, str]:
    """Our environment without variables that configure a server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FACEWIRE_")}
    return inherited | more


def run_to_its_end(*args: str, env: Mapping[str, str]) -> Ended:
    """Runs a server that is expected not to start."""
    done = subprocess.run(
        [sys.executable, "server_app.py", *args], cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_S
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@contextmanager
def serving_process(*args: str, env: Mapping[str, str]) -> Iterator[ServerProcess]:
    """A server on a free port, once it reports that it is ready; killed at the end if still running."""
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
