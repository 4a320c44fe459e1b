"""Several servers with one gallery (make cluster-demo): Milvus, which keeps it, two servers behind HAProxy, and a
client that does not notice when one of them, and then the other, is killed with -9. Ends everything that it started, on
Ctrl-C, too, and leaves no file.

Milvus is the real server, from its wheel (requirements-cluster.txt); where that can't be had, a database file keeps the
gallery. Uses FaceNet where its weights are, or can be fetched; else dlib's network, which the package index carries.
"""

from __future__ import annotations

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.scripts.cluster_demo")

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from facewire.client import ClientError, FaceClient
from facewire.protocol.arguments import Parser
from facewire.scripts.demo import PATIENCE_S, PATIENT_SERVER, PEOPLE, PROBES, choose_model, run, say, shown
from facewire.scripts.milvus_serving import HOST, milvus_serving, why_no_milvus
from facewire.scripts.proxying import MISSING, Proxy, haproxy, proxying
from facewire.scripts.serving import ROOT, Server, server_process
from facewire.server.errors import StartError
from facewire.server.gallery.address import MilvusAddress, local_path

RETRIES = 20  # as client_app.py
Names = list[list[str | None]]
"""Who was found in each picture."""


class Client:
    """Asks who is in every probe, again and again, over one connection to HAProxy, and counts what it hears."""

    def __init__(self, port: int) -> None:
        self.rounds = 0
        self.trouble = ""
        self._port = port
        self._pictures = [path.read_bytes() for path in sorted(PROBES.iterdir())]
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    @property
    def answers(self) -> int:
        """How many requests were answered, each as the first time."""
        return self.rounds * len(self._pictures)

    def goes_on(self) -> None:
        """Waits until it has asked everything twice more. Raises StartError if it noticed anything."""
        limit, patience = self.rounds + 2, time.monotonic() + PATIENCE_S
        while self.rounds < limit and not self.trouble:
            if time.monotonic() > patience:
                self.trouble = "no answers any more"
            time.sleep(0.05)
        if self.trouble:
            raise StartError(f"the client noticed: {self.trouble}")
        print(f"   {self.answers} requests answered, every one as the first time", flush=True)

    def _ask(self) -> None:
        expected: Names | None = None
        try:
            with FaceClient("127.0.0.1", self._port, timeout=PATIENCE_S, retries=RETRIES) as client:
                while not self._enough.is_set() and not self.trouble:
                    found = [[face.name for face in client.identify(picture).faces] for picture in self._pictures]
                    if expected is not None and found != expected:
                        self.trouble = f"{found} and not {expected}"
                    expected = found
                    self.rounds += 1
        except ClientError as error:
            self.trouble = str(error)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0 when the client has noticed nothing."""
    parser = Parser("cluster_demo.py", description=__doc__)
    parser.tell_version()
    parser.add_argument(
        "--milvus-programs", metavar="DIR", type=Path,
        help="keep Milvus' unpacked programs (450 MB) here, so that the next start takes a few seconds",
    )  # fmt: skip
    programs: Path | None = parser.parse_args(argv).milvus_programs
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends what was started, as Ctrl-C does
    try:
        if haproxy() is None:
            raise StartError(MISSING, exit_code=2)
        with ExitStack() as stack:
            room = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="facewire-cluster-")))
            show(room, programs and programs.absolute(), stack)
    except StartError as error:
        print(f"cluster_demo: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        print(f"cluster_demo: {' '.join(error.cmd[1:])} failed with exit code {error.returncode}", file=sys.stderr)
        return 3
    print("   everything that was started has ended")
    return 0


def show(room: Path, programs: Path | None, stack: ExitStack) -> None:
    """The demo. Raises StartError, CalledProcessError."""
    model, networks = choose_model()
    say("1. where the gallery is")
    db = database(room, programs, stack)
    say(f"2. a gallery of twelve people who do not exist ({shown(PEOPLE)})")
    run("scripts/create_db.py", shown(PEOPLE), "--db", db, "--model", model, *networks)

    def serve(port: int = 0) -> Server:
        flags = [*networks, *PATIENT_SERVER, "--no-albums", "--port", str(port)]
        server = stack.enter_context(server_process(db, flags, room / "server.log"))
        print(f"   listening on 127.0.0.1:{server.port}, process {server.process.pid}", flush=True)
        return server

    say("3. two servers of it, and HAProxy (deploy/haproxy.cfg) before them")
    servers = [serve(), serve()]
    proxy = stack.enter_context(proxying(room, [server.port for server in servers]))
    print(f"   HAProxy: 127.0.0.1:{proxy.port}, process {proxy.pid}", flush=True)
    say("4. a client asks without a pause")
    with Client(proxy.port) as client:
        client.goes_on()
        mishaps(servers, proxy, client, serve)


def database(room: Path, programs: Path | None, stack: ExitStack) -> str:
    """Starts Milvus where it can be had. Returns what --db is given. Raises StartError."""
    if (why := why_no_milvus()) is not None:
        print(f"   a database file in SQLite: {why}", flush=True)
        return str(room / "people.db")
    print("   Milvus is starting, from its wheel (half a minute)", flush=True)
    milvus = stack.enter_context(milvus_serving(room / "milvus", programs=programs))
    print(f"   Milvus: {HOST}:{milvus.port}, process {milvus.pid}", flush=True)
    address = MilvusAddress(HOST, milvus.port, f"cluster_demo_{os.getpid()}")
    stack.callback(forget_build, address)
    return str(address)


def forget_build(address: MilvusAddress) -> None:
    """Removes what a build leaves on this machine."""
    beside = ROOT / local_path(address)
    for left in beside.parent.glob(f"{beside.name}*"):
        left.unlink()


def mishaps(servers: Sequence[Server], proxy: Proxy, client: Client, serve: Callable[[int], Server]) -> None:
    """Kills both servers, one after the other; the client has been at one of them. Raises StartError."""
    one, two = servers
    say(f"5. kill -9 {one.process.pid}: the server on {one.port}")
    one.process.kill()
    client.goes_on()
    say(f"6. it is started anew, and then kill -9 {two.process.pid}: the server on {two.port}")
    serve(one.port)
    proxy.wait_until_up()
    two.process.kill()
    client.goes_on()
