"""What deploy/ says: that it starts what there is, with settings that there are, and that systemd is told."""

from __future__ import annotations

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.server.settings import build_parser
from lab.proof.served import served
from tests.support.server_process import PATIENCE_S, ROOT, environment
from tests.support.synthetic_app import create

DEPLOY = ROOT / "deploy"
CONTAINERFILES = (DEPLOY / "Containerfile", DEPLOY / "Containerfile.web")
OTHERS = {"FACEWIRE_TOKEN", "FACEWIRE_MODELS", "FACEWIRE_INSECURE"}  # the token; compose.yaml's own; a switch


def known_variables() -> set[str]:
    flags = re.findall(r"(?<![\w-])--([a-z][a-z-]+)", build_parser().format_help())
    return {f"FACEWIRE_{flag.upper().replace('-', '_')}" for flag in flags}


@pytest.mark.parametrize("path", [CONTAINERFILES[0], DEPLOY / "compose.yaml"], ids=lambda path: path.name)
def test_the_settings_are_the_servers(path: Path) -> None:
    said = set(re.findall(r"FACEWIRE_[A-Z_]+", path.read_text()))
    assert said - known_variables() - OTHERS == set()


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.name)
def test_what_is_copied_is_there_and_let_through(path: Path) -> None:
    copied = [word for line in re.findall(r"(?m)^COPY (?!--)(.+)", path.read_text()) for word in line.split()[:-1]]
    through = {line[1:] for line in (ROOT / ".containerignore").read_text().split() if line.startswith("!")}
    assert copied
    for name in copied:
        assert (ROOT / name).exists()
        assert name in through or any(Path(name).match(pattern) for pattern in through), name


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.name)
def test_the_result_is_built_by_another_stage_and_is_not_root(path: Path) -> None:
    stages = path.read_text().split("\nFROM ")[1:]
    assert len(stages) == 2
    assert re.search(r"(?m)^USER [1-9]\d*$", stages[-1])
    assert "HEALTHCHECK" in stages[-1]
    assert "pip install" not in stages[-1]


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    unit = tmp_path / "facewire.service"
    unit.write_text((DEPLOY / unit.name).read_text().replace("/opt/facewire/bin/facewire-server", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    about_it = [line for line in done.stderr.splitlines() if "facewire" in line]
    assert about_it == []


def test_a_service_of_type_notify_hears_when_it_is_ready_and_when_it_stops(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(PATIENCE_S)
        command = [sys.executable, "-m", "tests.support.synthetic_app", "--port", "0", "--db"]
        with subprocess.Popen(
            [*command, create(tmp_path / "people.db")], cwd=ROOT, env=environment(NOTIFY_SOCKET=told.getsockname()),
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        ) as server:  # fmt: skip
            try:
                assert told.recv(99) == b"READY=1"
                server.send_signal(signal.SIGTERM)
                assert told.recv(99) == b"STOPPING=1"
                assert server.wait(PATIENCE_S) == 0
            finally:
                server.kill()


def test_a_reload_is_harmless_where_there_is_nothing_to_read_again(tmp_path: Path) -> None:
    assert "ExecReload=/bin/kill -HUP $MAINPID" in (DEPLOY / "facewire.service").read_text()
    with served(tmp_path) as server, FaceClient("127.0.0.1", server.port) as client:
        server.process.send_signal(signal.SIGHUP)
        server.process.send_signal(signal.SIGHUP)
        assert client.ping()
        server.process.terminate()
        assert server.process.wait(PATIENCE_S) == 0


def test_a_server_ends_with_its_terminal(tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    command = [sys.executable, "-m", "tests.support.synthetic_app", "--port", "0", "--db"]
    # Unbuffered, nothing is left for the end to fail with.
    buffered = {name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [*command, create(tmp_path / "people.db")], cwd=ROOT, env=buffered, stdout=subprocess.PIPE, stderr=terminal
    ) as server:
        os.close(terminal)
        try:
            assert server.stdout is not None and server.stdout.readline().startswith(b"listening on ")
            os.close(screen)
            server.send_signal(signal.SIGHUP)
            assert server.wait(PATIENCE_S) == 0
        finally:
            server.kill()
