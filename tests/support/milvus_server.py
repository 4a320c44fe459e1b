"""The real Milvus, for tests: one for all workers of a run, or one of a file's own that it may stop and start."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from facewire.scripts.milvus_serving import HOST, Milvus, milvus_serving, why_no_milvus
from tests.support.once import room_of_all_workers


def need_milvus() -> None:
    """Skips without Milvus, or fails where it must be there (.ci/run sets FACEWIRE_REQUIRE_MILVUS)."""
    if (why := why_no_milvus()) is not None:
        if os.environ.get("FACEWIRE_REQUIRE_MILVUS"):
            pytest.fail(f"{why}, and FACEWIRE_REQUIRE_MILVUS is set")
        pytest.skip(why)


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """One that all workers share: each test takes names of its own, and leaves it running."""
    need_milvus()
    room = room_of_all_workers(tmp_path_factory)
    with milvus_serving(room / "milvus", programs=room / "milvus-programs") as server:
        yield server


TOKEN = "root:Milvus"
"""What a new Milvus lets in, if it asks for a token."""

_GUARDED = {"{{ authorization_enabled(bool): false }}": "true"}


class OwnMilvus:
    """A Milvus of one file's own, which asks for TOKEN, and may be stopped and started again on the same port with
    the same data."""

    def __init__(self, data: Path, programs: Path) -> None:
        self.port = _lasting_ports()
        self._data = data
        self._programs = programs
        self._running = ExitStack()

    def start(self) -> None:
        """Returns once it answers."""
        self._running.enter_context(milvus_serving(self._data, self.port, self._programs, _GUARDED))

    def stop(self) -> None:
        """As an administrator stops it. Returns once it has ended."""
        self._running.close()


def _lasting_ports() -> int:
    """The first of a hundred that nobody takes while their Milvus is stopped: no other Milvus looks so high, and no
    connection so low."""
    for port in range(24000 + os.getpid() % 80 * 100, 32000, 100):
        with suppress(OSError):
            socket.create_server((HOST, port)).close()
            return port
    raise AssertionError("no port is free")


@pytest.fixture(scope="module")
def own_milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnMilvus]:
    """One that runs, and that a file's tests may stop, kill and start; they leave it running."""
    need_milvus()
    room = room_of_all_workers(tmp_path_factory)
    server = OwnMilvus(tmp_path_factory.mktemp("own-milvus"), room / "milvus-programs")
    server.start()
    yield server
    server.stop()
