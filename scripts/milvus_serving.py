"""Milvus from its wheel as a process of its own, for what shows, measures or tests a gallery in Milvus.

A keeper process starts it and ends it when nobody holds a lock on the file `users` in its data folder. The kernel lets
go of a dead process's locks, so Milvus never outlives those who use it, however they end, and several processes (the
workers of pytest-xdist) can share one.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from facewire.scripts.serving import last_line
from facewire.server.errors import StartError

if TYPE_CHECKING:
    from milvus import MilvusServer, MilvusServerConfig

HOST = "127.0.0.1"
MISSING = "Milvus is not installed (pip install -r requirements-cluster.txt)"
READY = "listening on "
_KEEPER = "import sys; from facewire.scripts.milvus_serving import keep; sys.exit(keep(*sys.argv[1:]))"
# Where free ports are looked for: not among those that connections take, as nobody holds them until Milvus is ready.
_FIRST_ROOT_PORT = 23100
_FIRST_ETCD_PORT = 12379
_EXPLAINED = 2  # the keeper's exit code when its last line says what is wrong
# New rows, which no index holds yet, are all compared. By default Milvus looks through 16 of 128 lists of them, and
# misses the nearest for one probe in five (docs/decisions/0088).
_SETTINGS = {"      enableIndex: true\n      nlist: 128": "      enableIndex: false\n      nlist: 128"}
_STOP_S = 2.0  # it may take half a minute to end in order; what it has acknowledged is in its log by then


@dataclass(frozen=True, slots=True)
class Milvus:
    """A Milvus that answers, and its process."""

    port: int
    pid: int

    def memory(self) -> int:
        """Bytes of RAM that it holds now."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def why_no_milvus() -> str | None:
    """Why it can't be started here; None if it can."""
    if sys.platform != "linux":
        return "Milvus is started on Linux only"
    return None if find_spec("milvus") and find_spec("pymilvus") else MISSING


@contextmanager
def milvus_serving(
    data: Path, port: int = 0, programs: Path | None = None, changes: Mapping[str, str] | None = None
) -> Iterator[Milvus]:
    """The Milvus of this data folder, until nobody uses it; started here unless it runs already.

    `port` 0: any free one; else its other ports are the next free ones, the same at every start if nobody takes them.
    `programs`: a folder for its unpacked programs (450 MB), which several data folders may share; by default inside
    `data`. `changes`: parts of the wheel's configuration, and what stands there instead. Raises StartError.
    """
    data.mkdir(parents=True, exist_ok=True)
    keeper = None
    with (data / "users").open("w") as users:
        try:
            with _alone(data / "starting"):
                fcntl.flock(users, fcntl.LOCK_SH)  # waits for a keeper that is just ending it
                running = _running(data)
                if running is None:
                    keeper, running = _start(data, port, programs, changes or {})
            yield running
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            if keeper is not None:
                keeper.wait()  # for other users, too, if there are any


def _start(
    data: Path, port: int, programs: Path | None, changes: Mapping[str, str]
) -> tuple[subprocess.Popen[str], Milvus]:
    """Returns once it answers."""
    told_to_keep = (str(data), str(port), str(programs or ""), json.dumps(dict(changes)))
    with (data / "keeper.log").open("w") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-c", _KEEPER, *told_to_keep],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
    assert keeper.stdout is not None
    with keeper.stdout as stdout:
        told = stdout.readline().startswith(READY)
    running = _running(data) if told else None
    if running is None:
        keeper.terminate()
        keeper.wait()
        raise StartError(f"Milvus did not start: {last_line(data / 'keeper.log')}")
    return keeper, running


def _running(data: Path) -> Milvus | None:
    """The Milvus that this folder's keeper told of, if there is such a process."""
    try:
        running = Milvus(*map(int, (data / "address").read_text().split()))
        program = Path(f"/proc/{running.pid}/comm").read_text().strip()
    except FileNotFoundError:
        return None
    return running if program == "milvus" else None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# ---------------------------------------------------------------------------------------------- the keeper


def keep(folder: str, given_port: str, shared: str, changed: str) -> int:
    """Starts Milvus, says so, and ends it when its last user is gone; `milvus_serving`'s arguments as a process has
    them."""
    data, programs = Path(folder), Path(shared) if shared else None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    server = _server(data, int(given_port), json.loads(changed))
    if programs is not None and not (data / "bin").exists():
        programs.mkdir(parents=True, exist_ok=True)
        (data / "bin").symlink_to(programs, target_is_directory=True)
    try:
        # Two would find the same ports free. Not in TMPDIR, which processes may have of their own.
        with _alone(Path(f"/tmp/facewire-milvus-{os.getuid()}")):
            _give_etcd_ports(server.config, data / "etcd.yaml")
            try:
                server.start()
            except (RuntimeError, OSError) as error:
                print(f"{error}; see {data / 'logs'}", file=sys.stderr)
                return _EXPLAINED
        address = data / "address"
        address.write_text(f"{server.listen_port} {server.server_proc.pid}")
        print(f"{READY}{HOST}:{server.listen_port}", flush=True)
        with (data / "users").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            address.unlink()
            _end(server.server_proc)
            return 0
    finally:
        server.stop()


def _server(data: Path, port: int, changes: Mapping[str, str]) -> MilvusServer:
    """The wheel's, not started yet."""
    from milvus import MilvusServer, MilvusServerConfig  # asked for only where it is started

    class Config(MilvusServerConfig):  # type: ignore[misc]  # it has no types
        def try_bind_port(self, port: int) -> socket.socket | None:
            """As the wheel's, but a port whose last connections have just ended is free."""
            with suppress(OSError):
                return socket.create_server((HOST, port))
            return None

    class Server(MilvusServer):  # type: ignore[misc]
        @property
        def running(self) -> bool:
            """As the wheel's, which goes on waiting for one that has ended at once."""
            return self.server_proc is not None and self.server_proc.poll() is None

    chosen = {"proxy_port": port} if port else {}
    config = Config(data_dir=str(data), **chosen)
    # One that was killed still stands in its data with its ports. Started again, it ends if others answer there.
    starts = {key: port + 1 for key in config.configurable_items if key.endswith("_port")} if port else {}
    for key, start in {"root_coord_port": _FIRST_ROOT_PORT, **starts}.items():
        config.set(key, start)
    for there, instead in {**_SETTINGS, **changes}.items():
        assert there in config.template_text, there
        config.template_text = config.template_text.replace(there, instead)
    return Server(config)


def _give_etcd_ports(config: MilvusServerConfig, file: Path) -> None:
    """The etcd within Milvus takes 2379 and 2380, which another Milvus of this machine may have, unless a file of its
    own says otherwise."""
    client, one = config.resolve_port(_FIRST_ETCD_PORT)
    peer, two = config.resolve_port(client + 1)
    one.close()
    two.close()
    file.write_text(
        f"name: default\ndata-dir: {file.parent / 'etcd'}\n"
        f"listen-client-urls: http://localhost:{client}\nadvertise-client-urls: http://localhost:{client}\n"
        f"listen-peer-urls: http://localhost:{peer}\ninitial-advertise-peer-urls: http://localhost:{peer}\n"
        f"initial-cluster: default=http://localhost:{peer}\n"
    )
    config.configs["etcd_port"] = client
    config.template_text = config.template_text.replace("etcd:\n", f"etcd:\n  config:\n    path: {file}\n", 1)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
