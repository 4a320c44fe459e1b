"""client_app.py camera in a process, and what stands around it: an RTSP server, a broker, a receiver of webhooks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.server_process import PATIENCE_S, ROOT, environment
from tests.support.waiting import eventually

SECRET = "a secret of ours"

_RTSP = """
import sys
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server = GstRtspServer.RTSPServer(address="127.0.0.1", service=sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory(shared=True)
factory.set_launch(
    f'( filesrc location="{sys.argv[2]}" ! jpegdec ! imagefreeze is-live=true ! video/x-raw,framerate=10/1'
    " ! jpegenc quality=90 ! rtpjpegpay name=pay0 pt=26 )"
)
server.get_mount_points().add_factory("/door", factory)
assert server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""
_DEBIANS_PYTHON = "/usr/bin/python3"  # the one that has GStreamer's bindings


def need(what: str, there: bool) -> None:
    """Skips where something of the machine's is missing; where .ci/run has installed it, that is a failure."""
    if there:
        return
    if os.environ.get("FACEWIRE_REQUIRE_CAMERA"):
        pytest.fail(f"{what} is missing, and FACEWIRE_REQUIRE_CAMERA is set")
    pytest.skip(f"{what} is missing (.ci/run installs it)")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class CameraRun:
    """The running command; `events` are its lines so far, `said` what it wrote to stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._threads = [
            threading.Thread(target=self._read_events),
            threading.Thread(target=self._read_said),
        ]
        for thread in self._threads:
            thread.start()

    def _read_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def _read_said(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def ended(self) -> int:
        """Waits until it ends; gives its exit code."""
        code = self.process.wait(PATIENCE_S)
        for thread in self._threads:
            thread.join()
        return code

    def waits_for(self, event: str, times: int = 1) -> bool:
        """A lost camera is tried after 1, 2, 4 ... seconds, and each reader takes some to start."""
        return eventually(lambda: [e["event"] for e in self.events].count(event) >= times, PATIENCE_S)

    def readers(self) -> list[str]:
        """The processes that it has started."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return children.read_text().split()


@contextmanager
def camera(address: tuple[str, int], *words: str, **env: str) -> Iterator[CameraRun]:
    """The command against a server; killed at the end if it still runs."""
    command = [sys.executable, "client_app.py", "camera", *words, "--host", address[0], "--port", str(address[1])]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # Where the tests run in the background, their children would ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    run = CameraRun(process)
    try:
        yield run
    finally:
        process.kill()
        run.ended()
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        process.stderr.close()


@contextmanager
def rtsp_server(port: int, picture: Path) -> Iterator[subprocess.Popen[str]]:
    """A camera that shows one picture, ten times a second, at rtsp://127.0.0.1:PORT/door."""
    process = subprocess.Popen(
        [_DEBIANS_PYTHON, "-c", _RTSP, str(port), str(picture)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            assert process.stderr is not None
            pytest.fail(f"no RTSP server: {process.stderr.read()}")
        yield process
    finally:
        process.kill()
        process.communicate()


def has_rtsp_server() -> bool:
    """Is GStreamer's here?"""
    if not Path(_DEBIANS_PYTHON).exists():
        return False
    code = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; \
Gst.init(None); raise SystemExit(Gst.ElementFactory.find('rtpjpegpay') is None)"
    return subprocess.run([_DEBIANS_PYTHON, "-c", code], capture_output=True).returncode == 0


def mosquitto() -> str | None:
    """Debian's broker."""
    return shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def broker(port: int, room: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Mosquitto on a port, for anybody."""
    program = mosquitto()
    assert program is not None
    config = room / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert eventually(lambda: _listens(port))
        yield process
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Receiver:
    """Takes webhooks. `answers`: the status codes of the first requests; then all are taken, with 204."""

    def __init__(self, answers: list[int]) -> None:
        self.answers = answers
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.refused = 0

    def handle(self, headers: dict[str, str], body: bytes) -> int:
        if self.answers:
            self.refused += 1
            return self.answers.pop(0)
        self.taken.append((headers, body))
        return 204


@contextmanager
def receiving(receiver: Receiver, port: int = 0) -> Iterator[str]:
    """Serves it; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.handle(dict(self.headers), body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/hook"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
