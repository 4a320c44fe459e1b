"""`make cluster-demo`'s program, with the networks that are here; nothing that it starts outlives it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fleets import need_haproxy
from tests.support.milvus_server import need_milvus
from tests.support.once import room_of_all_workers
from tests.support.server_process import PATIENCE_S, ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@contextmanager
def demo(weights_dir: Path, factory: pytest.TempPathFactory, room: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo under way; `room`: for its files. As in a terminal, Ctrl-C reaches its whole process group."""
    need_haproxy()
    need_milvus()
    programs = room_of_all_workers(factory) / "milvus-programs"
    variables = {**os.environ, "DEEPFACE_HOME": str(weights_dir), "TMPDIR": str(room)}
    process = subprocess.Popen(
        [sys.executable, "scripts/cluster_demo.py", "--milvus-programs", str(programs)], cwd=ROOT, env=variables,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    watchdog = threading.Timer(2 * PATIENCE_S, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    assert process.stdout is not None
    with process.stdout:
        try:
            yield process
        finally:
            watchdog.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def require_all_ended(output: str, room: Path, count: int) -> None:
    """None of the processes that it named is there, and none of its files."""
    pids = re.findall(r"process (\d+)", output)
    assert len(pids) == count, output
    assert eventually(lambda: not any(Path("/proc", pid).exists() for pid in pids))
    assert [path.name for path in room.iterdir() if path.name.startswith("facewire-cluster-")] == []


def test_the_client_notices_nothing_and_everything_is_ended(
    weights_dir: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with demo(weights_dir, tmp_path_factory, tmp_path) as process:
        output, _ = process.communicate()
    assert process.returncode == 0, output
    counts = [int(number) for number in re.findall(r"(\d+) requests answered, every one as the first", output)]
    assert len(counts) == 3 and counts == sorted(counts)
    assert len(re.findall(r"kill -9 (\d+)", output)) == 2
    require_all_ended(output, tmp_path, 5)  # Milvus, HAProxy, two servers and one that was started anew


def test_ctrl_c_ends_everything(weights_dir: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with demo(weights_dir, tmp_path_factory, tmp_path) as process:
        assert process.stdout is not None
        output = ""
        while "HAProxy:" not in output:
            output += process.stdout.readline()
            assert process.poll() is None, output
        os.killpg(process.pid, signal.SIGINT)
        output += process.stdout.read()
        assert process.wait() == 130, output
    require_all_ended(output, tmp_path, 4)
