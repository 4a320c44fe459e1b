"""How every command ends when it can't go on: Ctrl-C at any moment, no packages, nobody who reads what it writes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.integration.conftest import Kit
from tests.support.server_process import PATIENCE_S, ROOT, environment
from tests.support.servers import serving

PROGRAMS = sorted(
    str(path.relative_to(ROOT))
    for path in (*ROOT.glob("*.py"), *ROOT.glob("scripts/*.py"))
    if "__main__" in path.read_text(encoding="utf-8")
)
NEEDS_TORCH = "scripts/train_emotion.py"

Run = subprocess.CompletedProcess[str]


def test_the_commands_are_found() -> None:
    assert {"client_app.py", "server_app.py", "web_app.py", "scripts/create_db.py", "scripts/demo.py"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_is_started_by_launch(program: str) -> None:
    """Before it imports anything of ours, and by its own module's name."""
    text = (ROOT / program).read_text(encoding="utf-8")
    (module,) = re.findall(r'^    launch\("([\w.]+)"', text, re.MULTILINE)
    if program.startswith("scripts/"):
        assert module.rpartition(".")[2].removesuffix("_command") == Path(program).stem
    before = text[: text.index("launch(")]
    assert set(re.findall(r"^import (\w+)|^from (\w+)", before, re.MULTILINE)) <= {
        ("os", ""),
        ("sys", ""),
        ("", "__future__"),
    }


class Interrupting:
    """Runs commands that press Ctrl-C themselves, at an exact moment."""

    def __init__(self, room: Path) -> None:
        (room / "hook").mkdir()
        shutil.copy(ROOT / "tests" / "support" / "interrupting.py", room / "hook" / "sitecustomize.py")
        self.reached = room / "reached"
        self._hook = str(room / "hook")

    def run(self, at: str, *command: str, env: dict[str, str] | None = None) -> Run:
        self.reached.unlink(missing_ok=True)
        told = {"INTERRUPT_AT": at, "INTERRUPTED": str(self.reached), "PYTHONPATH": self._hook}
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=(env or environment()) | told,
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip


@pytest.fixture
def interrupting(tmp_path: Path) -> Interrupting:
    return Interrupting(tmp_path)


def buffered() -> dict[str, str]:
    """An environment in which output is written when there is enough of it, or at the end: as users have it."""
    return {name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"}


def stopped(run: Run, *, lines: int = 1) -> None:
    """It ended as Ctrl-C should end a command."""
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr
    assert run.returncode == 130, run.stderr
    assert "stopped" in run.stderr
    assert len(run.stderr.strip().splitlines()) == lines, run.stderr


@pytest.mark.parametrize("imports", ["1", "150", "600"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_ctrl_c_while_it_imports(interrupting: Interrupting, program: str, imports: str) -> None:
    done = interrupting.run(imports, program, "--help")
    if interrupting.reached.exists():
        stopped(done)
        assert done.stdout == ""
    else:  # it doesn't import so many
        assert imports != "1"
        assert done.returncode == (2 if program == NEEDS_TORCH and "torch" in done.stderr else 0), done.stderr


WHILE_IT_WORKS: dict[str, tuple[str, Callable[[Kit, Path], list[str]]]] = {
    "create_db scans the folder": (
        "os.scandir people",
        lambda kit, room: ["scripts/create_db.py", str(room / "people"), "--db", str(room / "x.db"), *kit.flags],
    ),
    "create_db hashes the weights": (
        "open dlib_face_recognition",
        lambda kit, room: [
            *("scripts/create_db.py", str(room / "people"), "--db", str(room / "x.db")),
            *("--model", "Dlib", *kit.flags),
        ],
    ),
    "create_db reads a picture": (
        "open 1.jpg",
        lambda kit, room: [
            *("scripts/create_db.py", str(room / "people"), "--db", str(room / "x.db")),
            *("--model", "Dlib", *kit.flags),
        ],
    ),
    "identify loads the emotions": (
        "open emotion.json",
        lambda kit, room: ["scripts/identify.py", str(room / "people"), *kit.args],
    ),
    "the server opens the gallery": ("sqlite3.connect", lambda kit, room: ["server_app.py", "--port", "0", *kit.args]),
    "the server loads the emotions": (
        "open emotion.json",
        lambda kit, room: ["server_app.py", "--port", "0", *kit.args],
    ),
    "the client looks for pictures": ("os.scandir people", lambda kit, room: ["client_app.py", str(room / "people")]),
    "the client connects": (
        "socket.connect",
        lambda kit, room: ["client_app.py", str(room / "people"), "--port", "9"],
    ),
    "the page takes its port": ("socket.bind", lambda kit, room: ["web_app.py", "--port", "0"]),
    "make web starts the server": (
        "subprocess.Popen",
        lambda kit, room: ["scripts/web.py", "--port", "0", "--db", str(kit.db)],
    ),
    "migrate_model opens the gallery": (
        "sqlite3.connect",
        lambda kit, room: ["scripts/migrate_model.py", "--status", "--db", str(kit.db)],
    ),
    "backup opens the gallery": (
        "sqlite3.connect",
        lambda kit, room: ["scripts/backup.py", "save", str(room / "copy"), "--db", str(kit.db)],
    ),
}


@pytest.mark.parametrize("moment", WHILE_IT_WORKS)
def test_ctrl_c_while_it_works(
    interrupting: Interrupting, dlib_kit: Kit, sample: Path, tmp_path: Path, moment: str
) -> None:
    at, command = WHILE_IT_WORKS[moment]
    person = tmp_path / "people" / "Ada"
    person.mkdir(parents=True)
    shutil.copy(next((sample / "people" / "Akira_Monase").iterdir()), person / "1.jpg")
    done = interrupting.run(at, *command(dlib_kit, tmp_path), env=dlib_kit.env)
    assert interrupting.reached.exists(), done.stderr
    said = [line for line in done.stderr.splitlines() if "stopped" in line]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.returncode == 130, done.stderr


@pytest.mark.parametrize("command", [["identify"], ["enrol", "Ada"], ["verify"]], ids=" ".join)
def test_ctrl_c_while_pictures_are_sent(interrupting: Interrupting, tmp_path: Path, command: list[str]) -> None:
    pictures = [tmp_path / "1.jpg", tmp_path / "2.jpg"]
    for picture in pictures:
        picture.write_bytes(picture.name.encode())
    with serving() as served:
        port = str(served.address[1])
        done = interrupting.run("open 2.jpg", "client_app.py", *command, *map(str, pictures), "--port", port)
    assert interrupting.reached.exists(), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1] == "client_app.py: stopped"
    assert done.returncode == 130


def test_ctrl_c_while_a_network_is_converted(
    interrupting: Interrupting, weights_dir: Path, sample: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    done = interrupting.run(
        "import tensorflow.", "scripts/create_db.py", str(sample / "people"), "--db", str(tmp_path / "x.db"),
        "--weights-dir", str(weights_dir), "--no-download", "--cache-dir", str(cache),
    )  # fmt: skip
    assert interrupting.reached.exists()
    stopped(done, lines=4)
    converting, loading, _, _ = done.stderr.splitlines()
    assert converting.startswith("converting Facenet512, once")
    assert loading.startswith("loading TensorFlow")
    # Other networks, which are prepared at the same time, may be complete by then.
    assert list(cache.rglob("facts.json")) == []
    assert [entry for entry in cache.iterdir() if entry.name.startswith(".")] == []


def test_ctrl_c_while_weights_are_fetched(sample: Path, tmp_path: Path) -> None:
    """From a mirror that falls silent in the middle of the file."""
    in_the_middle = threading.Event()
    over = threading.Event()

    class Stalling(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(bytes(100_000))
            self.wfile.flush()
            in_the_middle.set()
            over.wait(PATIENCE_S)

        def log_message(self, *said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stalling)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,))
    serving.start()
    try:
        with subprocess.Popen(
            [
                *(sys.executable, "scripts/create_db.py", str(sample / "people"), "--db", str(tmp_path / "x.db")),
                *("--weights-dir", str(tmp_path / "weights")),
                *("--weights-mirror", f"http://127.0.0.1:{server.server_address[1]}"),
            ],
            cwd=ROOT, env=environment(DEEPFACE_HOME=str(tmp_path / "home")), stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as process:  # fmt: skip
            assert in_the_middle.wait(PATIENCE_S)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)
    finally:
        over.set()
        server.shutdown()
        serving.join()
        server.server_close()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.rstrip().splitlines()[-1].startswith("stopped: ")
    assert [path for path in (tmp_path / "weights").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_without_the_packages_there_is_one_line_that_says_how_to_get_them(program: str) -> None:
    """-S leaves the packages out, as a Python does that is not the one of .venv."""
    done = subprocess.run(
        [sys.executable, "-S", "-E", program, "--help"], cwd=ROOT, env=environment(),
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(Path(program).name + ": ")
    assert "`make setup`" in line
    assert line.endswith(f".venv/bin/python {program}")


def launched(room: Path, text: str) -> Run:
    """A module with this text, launched; Ctrl-C interrupts it, also where the test runner ignores that."""
    (room / "module.py").write_text(text)
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(room)!r}]; from protocol.launch import launch; launch('module')"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=False)


SWALLOWED = """
import os, signal
class Deleted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        [None for _ in range(1000)]
def main():
    Deleted()
    while True:
        pass
"""
CONVERTED = """
import os, signal
def main():
    try:
        os.kill(os.getpid(), signal.SIGINT)
        while True:
            pass
    except BaseException:
        raise RuntimeError("a library's own error")
"""


@pytest.mark.parametrize("text", [SWALLOWED, CONVERTED], ids=["while something is deleted", "turned into an error"])
def test_ctrl_c_is_not_lost_on_its_way(tmp_path: Path, text: str) -> None:
    stopped(launched(tmp_path, text))


@pytest.mark.parametrize(
    "mistake",
    [
        "import facewire.server.no_such_module",
        "from facewire.server.errors import NoSuchError",
        "import PIL.no_such_module",
        "1 / 0",
    ],
)
def test_mistakes_of_ours_keep_their_traceback(tmp_path: Path, mistake: str) -> None:
    done = launched(tmp_path, f"{mistake}\ndef main(): pass\n")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "module.py" in done.stderr


@pytest.mark.parametrize("program", [program for program in PROGRAMS if program != NEEDS_TORCH])
def test_nobody_reads_what_it_writes(program: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, program, "--help"], cwd=ROOT, env=buffered(), stdout=writer,
            stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_where_it_writes() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "client_app.py", "--help"], cwd=ROOT, env=buffered(), stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    assert done.stderr == "client_app.py: can't write the output: No space left on device\n"
    assert done.returncode == 3
