"""create_db --ray with the real Ray: the same database as without, whatever ends in the middle, and nothing left."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from facewire.protocol.version import VERSION
from facewire.scripts.milvus_serving import Milvus
from facewire.server.gallery.address import database
from facewire.server.gallery.opening import open_gallery
from facewire.server.maintenance.build.worker import Share, greeting
from tests.support.ray_create_db import MODEL
from tests.support.server_process import PATIENCE_S, ROOT, environment
from tests.support.synthetic_engine import embedding_of, portrait, tiny
from tests.support.waiting import eventually

try:
    from ray.cluster_utils import Cluster
except ImportError:
    if os.environ.get("FACEWIRE_REQUIRE_RAY"):
        raise
    pytest.skip("Ray, which is not installed (requirements-cluster.txt)", allow_module_level=True)

MARK = "FACEWIRE_TEST_MARK"
PICTURES = 330


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven people, a broken picture, a face that is too small, and a copy."""
    folder = tmp_path_factory.mktemp("ray") / "faces"
    for number in range(PICTURES):
        file = folder / f"Zoë_{number % 11}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(portrait(number % 11 + 1, shade=number + 1))
    (folder / "Zoë_1" / "broken.jpg").write_bytes(b"\xff\xd8\xff and no more")
    (folder / "Zoë_2" / "tiny.png").write_bytes(tiny(3))
    (folder / "Zoë_3" / "copy.png").write_bytes((folder / "Zoë_3" / "3.png").read_bytes())
    return folder


VARIABLES = {"RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT)}
"""Of drivers and nodes: this process's Ray, which starts the cluster, has no token either. Workers are as important as
the tests that run beside these, which they would else wait for."""


class Build:
    """A folder's database, as it is made by processes that can be held."""

    def __init__(self, room: Path, folder: Path) -> None:
        self.room, self.folder = room, folder
        self.db = room / "people.db"
        self.hold = room / "hold"
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *more: str, **variable: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.support.ray_create_db", str(self.room), str(self.folder)]
        variables = VARIABLES | {"HOME": str(self.room)} | variable
        process = subprocess.Popen(
            [*command, "--db", str(self.db), *more],
            cwd=ROOT, env=environment(**variables), text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._started.append(process)
        return process

    def close(self) -> None:
        """End what a failed test has left."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def run(self, *more: str, **variable: str) -> tuple[int, str, str]:
        return ended(self.start(*more, **variable))

    def held(self, count: int = 1) -> list[int]:
        """The ids of processes that wait, once there are so many."""
        assert eventually(lambda: len(list(self.room.glob("*.waiting"))) >= count, PATIENCE_S)
        return [int(path.stem) for path in self.room.glob("*.waiting")]

    def staged(self) -> int:
        """Pictures that an unfinished build has stored."""
        with closing(sqlite3.connect(self.db.with_name("people.db-building"))) as connection:
            return int(connection.execute("SELECT count(*) FROM images").fetchone()[0])

    def content(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.db)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            query = (
                "SELECT t.id, p.name, i.path, i.sha256, i.size, i.mtime_ns, i.fingerprint, t.x, t.y, t.embedding"
                " FROM templates t JOIN images i ON i.id = t.image_id JOIN people p ON p.id = t.person_id ORDER BY t.id"
            )
            return connection.execute(query).fetchall()

    def equals(self, other: Build) -> None:
        """The same database and skip log: all but the embeddings to the byte."""
        mine, theirs = self.content(), other.content()
        assert [row[:-1] for row in mine] == [row[:-1] for row in theirs]
        for row, one in zip(mine, theirs, strict=True):
            assert np.abs(np.frombuffer(row[-1], np.float32) - np.frombuffer(one[-1], np.float32)).max() < 1e-4
        logs = [build.db.with_name("people.db.skipped.txt").read_bytes() for build in (self, other)]
        assert logs[0] == logs[1]


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code and output; the bar is not part of it."""
    out, err = process.communicate(timeout=PATIENCE_S)
    lines = [line.rpartition("\r")[2] for line in err.splitlines()]
    return process.returncode, out, "\n".join(line for line in lines if line and "pictures/s]" not in line)


@pytest.fixture
def build(tmp_path: Path, folder: Path) -> Iterator[Build]:
    with closing(Build(tmp_path, folder)) as build:
        yield build


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Build:
    """The database as it is without Ray."""
    build = Build(tmp_path_factory.mktemp("plain"), folder)
    code, out, err = build.run()
    assert code == 0, out + err
    assert len(build.content()) == PICTURES
    return build


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without processors; tests add nodes."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        yield cluster
        cluster.shutdown()


@contextmanager
def node(cluster: Cluster, variable: Mapping[str, str] | None = None) -> Iterator[Any]:
    """A node of the cluster with one processor."""
    added = cluster.add_node(num_cpus=1, env_vars=dict(variable or {}))
    try:
        yield added
    finally:
        if added in cluster.worker_nodes:
            cluster.remove_node(added)


def marked(mark: str) -> list[str]:
    """The processes that inherited this mark."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended, or is no process
    return found


def test_on_one_machine_it_is_the_same_and_nothing_stays(build: Build, plain: Build) -> None:
    mark = uuid4().hex
    code, out, err = build.run("--ray", "local", **{MARK: mark})
    assert (code, err) == (0, "")
    assert out.startswith(f"{build.db}, a gallery of Synthetic: 11 people, 330 pictures, 330 templates in the data")
    build.equals(plain)
    assert eventually(lambda: marked(mark) == [])
    assert not (build.room / ".ray").exists()  # in this driver's home


def test_into_milvus(build: Build, plain: Build, milvus: Milvus) -> None:
    where = f"milvus://127.0.0.1:{milvus.port}/ray_{uuid4().hex}?timeout_s=60"
    code, _, err = build.run("--ray", "local", "--db", where)
    assert (code, err) == (0, "")
    with closing(open_gallery(plain.db)) as one, closing(open_gallery(database(where))) as other:
        assert one.counts() == other.counts()
        for number in range(1, 12):
            probe = embedding_of(number)
            found = [(match.name, match.image) for match in (one.search(probe, 1)[0], other.search(probe, 1)[0])]
            assert found[0] == found[1]


def test_ctrl_c_ends_what_was_started(build: Build) -> None:
    mark = uuid4().hex
    build.hold.write_text("40")
    process = build.start("--ray", "local", **{MARK: mark})
    build.held()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    code, _, err = ended(process)
    assert (code, err.splitlines()[-1]) == (130, f"stopped: {build.db} is unchanged; run it again to continue")
    assert "Traceback" not in err
    assert eventually(lambda: marked(mark) == [])


def test_a_worker_killed_in_the_middle(build: Build, plain: Build, cluster: Cluster) -> None:
    build.hold.write_text("40")
    with node(cluster), node(cluster):
        process = build.start("--ray", cluster.address)
        os.kill(build.held(2)[0], signal.SIGKILL)
        build.hold.unlink()
        code, _, err = ended(process)
    assert (code, err) == (0, "")
    build.equals(plain)


def test_a_node_lost_in_the_middle_and_another_one_joins(build: Build, plain: Build, cluster: Cluster) -> None:
    build.hold.write_text("40")
    with node(cluster) as first:
        process = build.start("--ray", cluster.address)
        build.held()
        cluster.remove_node(first, allow_graceful=False)
        build.hold.unlink()
        with node(cluster):
            code, _, err = ended(process)
    assert (code, err) == (0, "")
    build.equals(plain)


def test_the_driver_killed_and_run_again(build: Build, plain: Build, cluster: Cluster) -> None:
    build.hold.write_text("290")
    with node(cluster):
        process = build.start("--ray", cluster.address)
        build.held()
        assert eventually(lambda: build.staged() > 0)
        process.kill()
        process.communicate()
        assert not build.db.exists()
        staged = build.staged()
        build.hold.unlink()
        code, _, err = build.run("--ray", cluster.address)
    assert (code, err) == (0, f"continuing after {staged} pictures that an interrupted run embedded")
    build.equals(plain)


def test_pictures_that_people_have_are_not_embedded_again(build: Build, cluster: Cluster) -> None:
    build.folder = Path(shutil.copytree(build.folder, build.room / "faces"))
    assert build.run()[0] == 0
    before = build.content()
    for file in build.folder.rglob("*.png"):
        os.utime(file, ns=(1, 1))
    build.hold.write_text("0")  # nobody embeds anything, or this never ends
    with node(cluster):
        code, out, err = build.run("--ray", cluster.address)
    assert (code, err) == (0, "")
    assert "0 new, 0 changed, 330 unchanged, 3 skipped" in out
    assert [row[:5] + row[6:] for row in build.content()] == [row[:5] + row[6:] for row in before]


def test_a_node_with_another_version_of_facewire(build: Build, cluster: Cluster, tmp_path: Path) -> None:
    older = tmp_path / "older" / "facewire" / "protocol"
    older.mkdir(parents=True)
    (older / "version.py").write_text('VERSION = "0.0.1"\n')
    with node(cluster, {"PYTHONPATH": str(older.parents[1])}):
        code, _, err = build.run("--ray", cluster.address)
    assert code == 3
    assert err.endswith(f" has facewire 0.0.1, and this machine {VERSION}: install the same on all of them")
    assert err.startswith(f"create_db: node {socket.gethostname()} (")


def test_nodes_with_two_models(build: Build, cluster: Cluster) -> None:
    with node(cluster), node(cluster, {MODEL: "Other"}):
        code, _, err = build.run("--ray", cluster.address)
    assert code == 3
    assert f"create_db: node {socket.gethostname()} (" in err
    assert "give all of them the same weights" in err


def test_a_cluster_without_processors(build: Build, cluster: Cluster) -> None:
    code, _, err = build.run("--ray", cluster.address)
    assert (code, err.splitlines()) == (
        3,
        ["create_db: no node of the cluster has a processor for us: start one with `ray start --num-cpus`"],
    )


def test_nobody_and_somebody_else_at_the_address(build: Build) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def greet() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"220 mail.example")

        greeter = threading.Thread(target=greet)
        greeter.start()
        code, _, err = build.run("--ray", f"127.0.0.1:{port}")
        greeter.join()
    said = f"what answers at 127.0.0.1:{port} is not Ray: give --ray the address that `ray start --head` prints"
    assert (code, err) == (3, f"create_db: {said}")
    code, _, err = build.run("--ray", f"127.0.0.1:{port}")
    assert code == 3
    assert err.startswith(f"create_db: no Ray cluster answers at 127.0.0.1:{port} (Connection refused): start its head")
    assert not build.db.exists()


def test_a_node_says_what_it_misses(folder: Path, tmp_path: Path) -> None:
    """What a node runs before anything else; here every node sees the same files."""
    greet = greeting()
    file = "Zoë_0/0.png"
    size = (folder / file).stat().st_size
    assert greet(str(folder), [(file, size)]) == (VERSION, None)
    assert greet(str(tmp_path / "gone"), [(file, size)]) == (VERSION, str(tmp_path / "gone"))
    assert greet(str(folder), [(file, size + 1)]) == (VERSION, str(folder / file))
    assert greet(str(tmp_path), [(file, size)]) == (VERSION, str(tmp_path / file))


def test_workers_share_a_nodes_processors() -> None:
    before = os.sched_getaffinity(0)
    try:
        Share(1, 1).take()
        assert os.sched_getaffinity(0) == {sorted(before)[1 % len(before)]}
    finally:
        os.sched_setaffinity(0, before)
