"""The Milvus that tests, demo and benchmark start: shared while somebody uses it, and gone with its last user, however
that one ends. (That it starts again on its port with its data: test_milvus_fleet.py.)"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facewire.scripts.milvus_serving import HOST, Milvus, milvus_serving
from facewire.server.errors import StartError
from tests.support.milvus_server import need_milvus
from tests.support.once import room_of_all_workers
from tests.support.server_process import ROOT, environment
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

USER = """
import sys
from pathlib import Path
from facewire.scripts.milvus_serving import milvus_serving
with milvus_serving(Path(sys.argv[1]), programs=Path(sys.argv[2])) as server:
    print(server.port, server.pid, flush=True)
    sys.stdin.read()
"""


@contextmanager
def user_of(data: Path, programs: Path) -> Iterator[tuple[subprocess.Popen[str], Milvus]]:
    """A process that uses the Milvus of this folder, and starts it if nobody has."""
    user = subprocess.Popen(
        [sys.executable, "-c", USER, str(data), str(programs)], cwd=ROOT, env=environment(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert user.stdin is not None and user.stdout is not None
    with user.stdin, user.stdout:
        try:
            yield user, Milvus(*map(int, user.stdout.readline().split()))
        finally:
            user.kill()
            user.wait()


def collections(port: int) -> list[str]:
    pymilvus = pytest.importorskip("pymilvus", reason="pymilvus is not installed (requirements-cluster.txt)")
    client = pymilvus.MilvusClient(f"http://{HOST}:{port}")
    try:
        return list(client.list_collections())
    finally:
        client.close()


def test_users_share_it_and_it_ends_when_the_last_is_killed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    need_milvus()
    folders = (tmp_path / "data", room_of_all_workers(tmp_path_factory) / "milvus-programs")
    with user_of(*folders) as (first, started), user_of(*folders) as (second, running):
        assert running == started
        assert running.memory() > 0
        first.kill()  # who has started it
        first.wait()
        assert collections(running.port) == []
        second.kill()
        second.wait()
        assert eventually(lambda: not Path(f"/proc/{running.pid}").exists())


def test_a_port_that_is_taken_is_said_in_one_line(milvus: Milvus, tmp_path: Path) -> None:
    with (
        pytest.raises(StartError, match=f"proxy_port={milvus.port}"),
        milvus_serving(tmp_path / "another", milvus.port),
    ):
        pass
