"""The server and the web page in one command (make web): on a database of yours, or on the synthetic people.

Ctrl-C ends both; if one of them ends by itself, so does the other.
"""

from __future__ import annotations

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.scripts.web", "requirements-web.txt")

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facewire.client.web.main import listen, why_not
from facewire.client.web.settings import DEFAULT_WEB_PORT, WebSettings
from facewire.protocol.arguments import Parser, whole
from facewire.protocol.settings import PORT_OR_ANY
from facewire.scripts.demo import DB as DEMO_DB
from facewire.scripts.demo import PEOPLE, choose_model, run, say, shown
from facewire.scripts.serving import ROOT, STOP_TIMEOUT_S, last_line, server_process
from facewire.server.errors import StartError
from facewire.server.gallery.address import Database, MilvusAddress, database

_DEFAULT_DB = ROOT / "data" / "facialdb.db"
_LOG = ROOT / "data" / "web.log"
_LOOK_S = 0.5  # between two looks whether both still run


def main() -> int:
    """Serves until Ctrl-C or SIGTERM; gives the exit code."""
    parser = Parser("web.py", description=__doc__)
    parser.tell_version()
    parser.add_argument(
        "--db", type=database, default=_DEFAULT_DB,
        help="the database to serve, a file or milvus://HOST:PORT/NAME (default: data/facialdb.db; where that is"
        " missing, the synthetic people)",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=whole(PORT_OR_ANY), default=DEFAULT_WEB_PORT,
        help="of the page (default: %(default)s; 0 picks a free one); the server takes a free one",
    )  # fmt: skip
    args = parser.parse_args()
    # What `make` and `kill` send must end the two as Ctrl-C does; a shell's background job would ignore Ctrl-C itself
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    ready = False
    try:
        _port_must_be_free(args.port)
        db, networks = _chosen(args.db) or _demo()
        say(f"the server, with {_named(db)} (its log: {shown(_LOG)})")
        with server_process(db.argument if isinstance(db, MilvusAddress) else str(db), networks, _LOG) as server:
            say("the page")
            with _page(server.port, args.port) as page:
                ready = True
                return _watch(page, server.process)
    except StartError as error:
        print(f"web.py: {error}", file=sys.stderr)
        return error.exit_code
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    except KeyboardInterrupt:
        if not ready:
            raise
        print("\nthe page and the server have stopped")
        return 0


def _port_must_be_free(port: int) -> None:
    """Asked before a gallery is built and networks are loaded for nothing. Raises StartError."""
    settings = WebSettings(port=port)
    try:
        listen(settings).close()
    except OSError as error:
        raise StartError(f"{why_not(settings, error)} (make web WEB_PORT=8001)") from error


def _chosen(db: Database) -> tuple[Database, list[str]] | None:
    """A database that is there, as far as can be seen from here; None for the default one where it is missing. Raises
    StartError."""
    if isinstance(db, MilvusAddress):
        return db, []
    db = db.resolve()
    if db.exists():
        return db, []
    if db != _DEFAULT_DB:
        raise StartError(f"there is no {_named(db)}: build it with scripts/create_db.py FOLDER --db {_named(db)}")
    print(f"there is no {_named(db)} yet (scripts/create_db.py FOLDER builds it): these are people who do not exist")
    return None


def _demo() -> tuple[Path, list[str]]:
    """The gallery of the synthetic people, built where it is missing, and the flags of the networks that it needs."""
    model, networks = choose_model()
    if not DEMO_DB.exists():
        say(f"a gallery of twelve people who do not exist ({shown(PEOPLE)})")
        run("scripts/create_db.py", shown(PEOPLE), "--db", shown(DEMO_DB), "--model", model, *networks)
    return DEMO_DB, networks


@contextmanager
def _page(server_port: int, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The web page, once it has said where it is, or ended; it has ended when the block ends."""
    command = [sys.executable, "web_app.py", "--server", f"127.0.0.1:{server_port}", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as page:
        try:
            assert page.stdout is not None
            for _ in range(2):  # where it is, and whom it asks: all that it prints
                sys.stdout.buffer.write(page.stdout.readline())
                sys.stdout.flush()
            yield page
        finally:
            page.terminate()  # harmless where Ctrl-C has reached it, too
            try:
                page.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                page.kill()


def _watch(page: subprocess.Popen[bytes], server: subprocess.Popen[str]) -> int:
    """Until one of the two ends by itself: the page's exit code. Raises StartError where the server has ended."""
    while server.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            return page.wait(_LOOK_S)
    raise StartError(f"the server has stopped: {last_line(_LOG)} (exit code {server.returncode})")


def _named(db: Database) -> str:
    """The path as short as somebody in the project's folder would type it."""
    return shown(db) if isinstance(db, Path) and db.is_relative_to(ROOT) else str(db)
