"""What server_app.py begins beside its imports (server/start.py): it fails in one line, stops at any moment without
leaving a process behind, and what it keeps in the cache may be damaged, or written by two servers at once."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import openvino
import pytest

from facewire.client import FaceClient
from facewire.server.cache import default_cache_dir
from tests.integration.conftest import Kit
from tests.support.server_process import PATIENCE_S, ROOT, ServerProcess, is_log, run_to_its_end, serving_process


@pytest.fixture
def marked() -> Iterator[dict[str, str]]:
    """A variable for the environment of the server, by which all its processes are known; none is left in the end."""
    mark = f"START_MARK={uuid.uuid4()}"
    yield dict([mark.split("=")])
    until = time.monotonic() + PATIENCE_S
    while left := with_environment(mark):
        assert time.monotonic() < until, f"left behind: {left}"
        time.sleep(0.05)


def with_environment(mark: str) -> list[str]:
    """The command lines of all processes that have this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def hook(room: Path, text: str) -> dict[str, str]:
    """An environment in which Python runs this before anything else."""
    room.mkdir()
    (room / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": str(room)}


class TestFailures:
    def test_a_package_that_the_rest_needs_is_missing(
        self, dlib_kit: Kit, tmp_path: Path, marked: dict[str, str]
    ) -> None:
        missing = hook(tmp_path / "hook", "import sys; sys.modules['msgpack'] = None")
        ended = run_to_its_end(*dlib_kit.args, env=dlib_kit.env | marked | missing)
        (line,) = ended.stderr.splitlines()
        assert line.startswith("server_app.py: msgpack is not installed")
        assert (ended.code, ended.stdout) == (2, "")

    def test_what_decoders_need_is_missing(self, dlib_kit: Kit, tmp_path: Path, marked: dict[str, str]) -> None:
        only_there = "import sys; sys.modules['cv2'] = None if sys.argv[0] == '-m' else __import__('cv2')"
        ended = run_to_its_end(*dlib_kit.args, env=dlib_kit.env | marked | hook(tmp_path / "hook", only_there))
        (line,) = ended.lines
        assert line.startswith("server_app.py: pictures can't be decoded: ModuleNotFoundError: import of cv2")
        assert (ended.code, ended.stdout) == (3, "")

    @pytest.fixture
    def without_plugin(self, tmp_path: Path) -> dict[str, str]:
        """An environment with an OpenVINO whose plugin for processors wasn't installed, or was deleted."""
        real, made = Path(openvino.__file__).parent, tmp_path / "site" / "openvino"
        (made / "libs").mkdir(parents=True)
        for path in (*real.iterdir(), *(real / "libs").iterdir()):
            beside = made / path.relative_to(real)
            if path.name.startswith("libopenvino.so"):
                shutil.copy(path, beside)  # it looks for plugins where it lies itself
            elif path.name != "libs" and "intel_cpu_plugin" not in path.name:
                beside.symlink_to(path)
        return {"PYTHONPATH": str(made.parent)}

    def test_openvinos_plugin_is_missing(
        self, dlib_kit: Kit, marked: dict[str, str], without_plugin: dict[str, str]
    ) -> None:
        ended = run_to_its_end(*dlib_kit.args, env=dlib_kit.env | marked | without_plugin)
        assert ended.stderr.count("\n") == len(ended.log) + 1
        (line,) = ended.lines
        assert line.startswith("server_app.py: OpenVINO can't compute here (")
        assert '"CPU"' in line
        assert (ended.code, ended.stdout) == (3, "")

    def test_who_needs_no_openvino_is_not_told_of_its_plugin(
        self, dlib_kit: Kit, marked: dict[str, str], without_plugin: dict[str, str]
    ) -> None:
        """dlib's networks find and embed faces."""
        env = dlib_kit.env | marked | without_plugin
        with serving_process(*dlib_kit.args, "--emotion", "off", env=env) as running:
            assert all(is_log(line) for line in running.stderr.splitlines())
            running.stop()


MOMENTS = {
    "its decoders are started": "subprocess.Popen",
    "the plugin is loading": "import facewire.server.app",
    "the rest is imported": "import facewire.server.tcp.listener",
    "the gallery is opened": "sqlite3.connect",
}


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("moment", MOMENTS)
def test_it_stops_at_any_moment(
    dlib_kit: Kit, tmp_path: Path, marked: dict[str, str], moment: str, by: signal.Signals
) -> None:
    reached = tmp_path / "reached"
    at = {"INTERRUPT_AT": MOMENTS[moment], "INTERRUPT_BY": by.name, "INTERRUPTED": str(reached)}
    at |= hook(tmp_path / "hook", (ROOT / "tests" / "support" / "interrupting.py").read_text())
    ended = run_to_its_end("--port", "0", *dlib_kit.args, env=dlib_kit.env | marked | at)
    assert reached.exists(), ended.stderr
    assert ended.stdout == ""
    if by == signal.SIGINT:
        assert ended.code == 130, ended.stderr
        (line,) = ended.lines
        assert line.startswith("server_app.py: stopped")
    else:
        assert ended.code == -signal.SIGTERM, ended.stderr
        assert ended.lines == []


def test_ctrl_c_of_a_terminal_reaches_all_of_its_processes(
    dlib_kit: Kit, tmp_path: Path, marked: dict[str, str]
) -> None:
    """Also the one that loads decoders, in the middle of its imports."""
    pressing = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
def watch(event, arguments):
    if event == "import" and arguments[0] == "numpy" and sys.argv[0].endswith("forkserver.py"):
        os.killpg(0, signal.SIGINT)
sys.addaudithook(watch)
"""
    done = subprocess.run(
        [sys.executable, "server_app.py", "--port", "0", *dlib_kit.args], cwd=ROOT,
        env=dlib_kit.env | marked | hook(tmp_path / "hook", pressing), start_new_session=True,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not is_log(line)]
    assert line.startswith("server_app.py: stopped")
    assert done.returncode == 130


class TestCache:
    def test_two_servers_at_once_on_an_empty_cache(self, dlib_kit: Kit, tmp_path: Path, marked: dict[str, str]) -> None:
        args = (*dlib_kit.args, "--no-albums", "--cache-dir", str(tmp_path / "cache"))
        answers = self.answers_of_two(dlib_kit, args, dlib_kit.env | marked)
        assert answers[0] == answers[1]
        self.check_nothing_half_written(tmp_path / "cache")

    @pytest.fixture
    def cache(self, facenet_kit: Kit, tmp_path: Path) -> Path:
        """A cache folder that has everything but the cohort, and what another server is writing at this moment."""
        folder = tmp_path / "cache"
        folder.mkdir()
        for entry in default_cache_dir().iterdir():
            if not entry.name.startswith(".") and not (entry / "members").exists():
                (folder / entry.name).symlink_to(entry)
        return folder

    def test_two_servers_at_once_keep_the_cohort(self, facenet_kit: Kit, cache: Path, marked: dict[str, str]) -> None:
        args = (*facenet_kit.args, "--no-albums", "--cache-dir", str(cache))
        answers = self.answers_of_two(facenet_kit, args, facenet_kit.env | marked)
        assert answers[0] == answers[1]
        assert len(list(cache.glob("*/members"))) == 1
        self.check_nothing_half_written(cache)

    def test_a_cohort_that_was_kept_and_damaged(self, facenet_kit: Kit, cache: Path, marked: dict[str, str]) -> None:
        args = (*facenet_kit.args, "--no-albums", "--cache-dir", str(cache))
        answers = []
        for damaged in (False, True, False):
            if damaged:
                (kept,) = cache.glob("*/members")
                kept.write_bytes(kept.read_bytes()[:-1000])
            with serving_process(*args, env=facenet_kit.env | marked) as running:
                answers.append(self.answer(facenet_kit, running))
                warnings = [line for line in running.stderr.splitlines() if " WARNING " in line]
                running.stop()
            assert len(warnings) == damaged
            assert all("drawing the cohort anew" in line and str(kept) in line for line in warnings)
        assert answers[0] == answers[1] == answers[2]

    def answers_of_two(self, kit: Kit, args: tuple[str, ...], env: dict[str, str]) -> list[tuple[str, float]]:
        """What two servers answer that were started at the same time, neither of which had anything to warn of."""
        with ExitStack() as running, ThreadPoolExecutor(2) as pool:
            servers = list(pool.map(lambda _: running.enter_context(serving_process(*args, env=env)), range(2)))
            answers = [self.answer(kit, server) for server in servers]
            assert [line for server in servers for line in server.stderr.splitlines() if " WARNING " in line] == []
            for server in servers:
                assert server.stop()[0].code == 0
        return answers

    def answer(self, kit: Kit, server: ServerProcess) -> tuple[str, float]:
        """Who is in a picture: the nearest person, and how similar."""
        with FaceClient(*server.address, timeout=PATIENCE_S) as client:
            (face,) = client.identify(next(iter(kit.probes.values()))).faces
        nearest = face.candidates[0]
        return nearest.name, nearest.similarity

    def check_nothing_half_written(self, cache: Path) -> None:
        """A name that begins with a dot is an entry that was being written; one that ends otherwise, a file."""
        assert [path.name for path in cache.iterdir() if path.name.startswith(".")] == []
        assert list(cache.glob("*/members-*")) == []
