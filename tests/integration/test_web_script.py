"""scripts/web.py (make web): the server and the page as one process group, started, looked at, and ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import Kit
from tests.support.server_process import PATIENCE_S, ROOT, environment
from tests.support.web_server import Page

_PAGE = re.compile(r"the page is at http://127\.0\.0\.1:(\d+)/")
_SERVER = re.compile(r"it asks the server at 127\.0\.0\.1:(\d+)")


def settings_of(kit: Kit) -> dict[str, str]:
    """The kit's flags as the environment that the server reads."""
    weights = kit.flags[kit.flags.index("--weights-dir") + 1]
    cache = kit.flags[kit.flags.index("--cache-dir") + 1]
    said = {"DETECTOR": "dlib", "NO_DOWNLOAD": "1", "WEIGHTS_DIR": weights, "CACHE_DIR": cache}
    return kit.env | {f"FACEWIRE_{name}": value for name, value in said.items()}


class Running:
    """`python scripts/web.py` and what it says; both ports once both are there."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""
        self.page = self._wait_for(_PAGE)
        self.server = self._wait_for(_SERVER)

    def _wait_for(self, what: re.Pattern[str]) -> int:
        assert self.process.stdout is not None
        while not (found := what.search(self.said)):
            line = self.process.stdout.readline()
            assert line, f"it ended, and said:\n{self.said}"
            self.said += line
        return int(found[1])

    def ended(self) -> tuple[int, str]:
        """Waits for its end: the exit code, and the rest of what it said."""
        rest, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, rest


@contextlib.contextmanager
def web(*args: str, env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process group of its own, as a terminal makes one; whatever is left of it at the end is killed."""
    process = subprocess.Popen(
        [sys.executable, "scripts/web.py", *args], cwd=ROOT, env=env | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    watchdog = threading.Timer(PATIENCE_S, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("whom", ["everybody, as Ctrl-C does", "web.py alone, as kill does"])
def test_it_serves_a_database_until_it_is_stopped(dlib_kit: Kit, whom: str) -> None:
    with web("--db", str(dlib_kit.db), "--port", "0", env=settings_of(dlib_kit)) as process:
        running = Running(process)
        status, _, html = Page("127.0.0.1", running.page).request("GET", "/people")
        assert status == 200
        assert b"data-offline" not in html  # the page has found its server
        assert answers(running.server)
        if whom.startswith("everybody"):
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.terminate()
        code, rest = running.ended()
        assert (code, rest.strip()) == (0, "the page and the server have stopped")
        assert not answers(running.page)
        assert not answers(running.server)


def test_it_ends_when_the_server_does(dlib_kit: Kit) -> None:
    with web("--db", str(dlib_kit.db), "--port", "0", env=settings_of(dlib_kit)) as process:
        running = Running(process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if not children.exists():
            pytest.skip("this system does not tell a process's children")
        for child in map(int, children.read_text().split()):
            if b"server_app.py" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
        code, rest = running.ended()
        assert code != 0
        assert "the server has stopped" in rest
        assert not answers(running.page)


def test_a_port_in_use_is_said_before_anything_is_built() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with web("--port", str(port), env=environment()) as process:
            said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert said.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is in use" in said
    assert "WEB_PORT" in said


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    db = tmp_path / "mine.db"
    with web("--db", str(db), "--port", "0", env=environment()) as process:
        said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode != 0
    assert said.count("\n") == 1
    assert str(db) in said
    assert "create_db.py" in said
