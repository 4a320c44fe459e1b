"""HAProxy with deploy/haproxy.cfg as a process of its own, on this machine's free ports."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import environ
from pathlib import Path
from tempfile import TemporaryDirectory

from facewire.scripts.serving import ROOT, last_line, wait_or_kill
from facewire.server.errors import StartError

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"
MISSING = "haproxy is not installed (apt-get install haproxy)"
_PATIENCE_S = 120.0
_STOP_S = 5.0
_SHORT = Path("/tmp")  # for a folder of its own: HAProxy takes a socket's path up to 97 bytes


def haproxy() -> str | None:
    """Where the program is, if it is installed."""
    return shutil.which("haproxy", path=f"{environ.get('PATH', '')}:/usr/sbin")


class Proxy:
    """A running HAProxy."""

    def __init__(self, port: int, pid: int, control: Path) -> None:
        self.port = port
        self.pid = pid
        self._control = control

    def up(self) -> list[bool]:
        """Whether it believes each server to be up, in the order they were given."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self._control))
            sock.sendall(b"show stat\n")
            rows = [line.split(",") for line in sock.makefile().read().splitlines() if line and line[0] != "#"]
        return [row[17].startswith("UP") for row in rows if row[0] == "servers" and row[1] != "BACKEND"]

    def wait_until_up(self) -> None:
        """Returns when it believes all servers to be up. Raises StartError after two minutes."""
        limit = time.monotonic() + _PATIENCE_S
        while not all(self.up()):
            if time.monotonic() > limit:
                raise StartError(f"HAProxy finds servers down: {self.up()}")
            time.sleep(0.05)


@contextmanager
def proxying(room: Path, ports: Sequence[int]) -> Iterator[Proxy]:
    """HAProxy before the servers on these ports, three at most; `room`: a folder for its files. Raises StartError."""
    program = haproxy()
    if program is None:
        raise StartError(MISSING, exit_code=2)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = int(sock.getsockname()[1])
    log = room / "haproxy.log"
    with TemporaryDirectory(prefix="facewire-haproxy-", dir=_SHORT) as short, log.open("wb") as file:
        control, configuration = Path(short, "control"), room / "haproxy.cfg"
        configuration.write_text(_configured(port, ports, control))
        with subprocess.Popen([program, "-db", "-f", configuration], stdout=file, stderr=file) as process:
            try:
                limit = time.monotonic() + _PATIENCE_S
                while not control.exists():
                    if process.poll() is not None or time.monotonic() > limit:
                        raise StartError(f"HAProxy did not start: {last_line(log)}")
                    time.sleep(0.01)
                yield Proxy(port, process.pid, control)
            finally:
                process.terminate()
                wait_or_kill(process, _STOP_S)


def _configured(port: int, ports: Sequence[int], control: Path) -> str:
    """deploy/haproxy.cfg with other ports, a control socket, and servers that are not there left out."""
    text = CONFIGURATION.read_text().replace("bind :5050", f"bind 127.0.0.1:{port}")
    text = text.replace("global\n", f"global\n    stats socket {control}\n", 1)
    left = iter(ports)
    return re.sub(
        r"( +server \w+ 127\.0\.0\.1:)\d+\n",
        lambda line: f"{line[1]}{number}\n" if (number := next(left, None)) else "",
        text,
    )
