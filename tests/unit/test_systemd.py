"""What systemd is told, over a real socket of its kind."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.server.systemd import Supervisor


@pytest.fixture
def told(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(20)
        yield channel


def test_it_is_told_when_the_server_is_ready_and_when_it_stops(told: socket.socket) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": told.getsockname()})
    supervisor.ready()
    supervisor.stopping()
    assert (told.recv(99), told.recv(99)) == (b"READY=1", b"STOPPING=1")


def test_a_name_that_is_no_path() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0facewire-test-{os.getpid()}")
        Supervisor({"NOTIFY_SOCKET": f"@facewire-test-{os.getpid()}"}).ready()
        channel.settimeout(20)
        assert channel.recv(99) == b"READY=1"


def test_the_watchdog_hears_from_it_until_it_is_asked_to_stop(told: socket.socket) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": told.getsockname(), "WATCHDOG_USEC": "20000"})
    reader, writer = socket.socketpair()
    with reader, writer:
        waiting = threading.Thread(target=supervisor.wait, args=(reader,))
        waiting.start()
        assert [told.recv(99) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        writer.send(b"x")
        waiting.join(20)
        assert not waiting.is_alive()


def test_another_processs_watchdog_is_not_ours(told: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": told.getsockname(), "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.send(b"x")
        Supervisor(environment).wait(reader)
        assert reader.gettimeout() is None


def test_without_systemd_nothing_is_told_and_a_socket_that_is_gone_is_no_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Supervisor({}).ready()
    assert caplog.messages == []
    Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    assert "can't tell systemd READY=1" in caplog.text
