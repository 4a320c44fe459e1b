"""How server_app.py starts, and how it doesn't: one line that says what to do, exit code 2 or 3, no traceback."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.client.errors import Unauthorized
from facewire.server.cache import default_cache_dir
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.vision.models import MODELS, YUNET_FILE, model_card
from facewire.server.vision.weights import WeightsFinder
from tests.integration.conftest import Kit
from tests.support.server_process import PATIENCE_S, Ended, is_log, run_to_its_end, serving_process
from tests.support.servers import RawClient

DLIB_FILE = MODELS["Dlib"].weights_file
FACENET_FILE = MODELS["Facenet512"].weights_file


def explained(ended: Ended, code: int, *parts: str) -> None:
    """It ended with this code and one line on stderr, beside the log, that has all these parts."""
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert ended.code == code, ended.stderr
    (line,) = ended.lines
    assert line.startswith("server_app.py: ")
    for part in parts:
        assert part in line


def no_file(path: Path) -> None:
    pass


def text(path: Path) -> None:
    path.write_text("Ada Lovelace, 1815\n" * 100)


def nothing_in_it(path: Path) -> None:
    path.touch()


def folder(path: Path) -> None:
    path.mkdir()


def database_of_another_program(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (no_file, "build it with scripts/create_db.py"),
        (folder, "build it with scripts/create_db.py"),
        (text, "choose another --db"),
        (nothing_in_it, "choose another --db"),
        (database_of_another_program, "choose another --db"),
    ],
    ids=["missing", "a folder", "text", "empty", "another program's"],
)
def test_what_is_no_gallery(dlib_kit: Kit, tmp_path: Path, make: Callable[[Path], None], advice: str) -> None:
    db = tmp_path / "some.db"
    make(db)
    explained(run_to_its_end("--db", str(db), *dlib_kit.flags, env=dlib_kit.env), 2, str(db), advice)


def test_a_gallery_that_lost_its_second_half(dlib_kit: Kit, tmp_path: Path) -> None:
    whole = dlib_kit.db.read_bytes()
    db = tmp_path / "half.db"
    db.write_bytes(whole[: len(whole) // 2])
    explained(run_to_its_end("--db", str(db), *dlib_kit.flags, env=dlib_kit.env), 3, str(db))


def test_another_model_than_the_gallerys(dlib_kit: Kit) -> None:
    ended = run_to_its_end(*dlib_kit.args, "--model", "facenet512", env=dlib_kit.env)
    explained(ended, 2, "was built with Dlib, not Facenet512", "--model", "create_db.py")


def test_a_model_that_there_is_not(dlib_kit: Kit) -> None:
    ended = run_to_its_end(*dlib_kit.args, "--model", "eigenfaces", env=dlib_kit.env)
    explained(ended, 2, "'eigenfaces'", "Facenet512")


def test_other_weights_than_the_gallerys(dlib_kit: Kit, tmp_path: Path) -> None:
    db = tmp_path / "other.db"
    with SqliteGallery.create(db, model_card("Dlib").spec("0" * 64)):
        pass
    ended = run_to_its_end("--db", str(db), *dlib_kit.flags, env=dlib_kit.env)
    explained(ended, 2, str(db), "other weights of Dlib", "--weights-dir", "create_db.py")


def test_a_port_in_use(dlib_kit: Kit) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run_to_its_end(*dlib_kit.args, "--port", str(port), env=dlib_kit.env)
    explained(ended, 3, f"port {port} on 127.0.0.1 is in use", "--port")


def test_a_runtime_that_the_model_has_not(dlib_kit: Kit) -> None:
    explained(run_to_its_end(*dlib_kit.args, "--runtime", "tensorflow", env=dlib_kit.env), 2, "--runtime", "Dlib")


def test_a_wrong_flag(dlib_kit: Kit) -> None:
    explained(run_to_its_end(*dlib_kit.args, "--port", "70000", env=dlib_kit.env), 2, "--port", "65535")


def test_a_wrong_variable(dlib_kit: Kit) -> None:
    ended = run_to_its_end(*dlib_kit.args, env=dlib_kit.env | {"FACEWIRE_RUNTIME": "abacus"})
    explained(ended, 2, "FACEWIRE_RUNTIME", "openvino", "abacus")


class TestWeights:
    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        """A --weights-dir to put something in."""
        folder = tmp_path / "weights"
        folder.mkdir()
        return folder

    def test_dlibs_cut_off(self, dlib_kit: Kit, own: Path) -> None:
        real = WeightsFinder(None, None).find(DLIB_FILE).path
        (own / DLIB_FILE).write_bytes(real.read_bytes()[:1_000_000])
        ended = run_to_its_end("--db", str(dlib_kit.db), "--weights-dir", str(own), "--no-download", env=dlib_kit.env)
        explained(ended, 3, str(own / DLIB_FILE), "damaged", "delete it")

    def test_yunets_damaged_is_not_the_same_as_missing(self, dlib_kit: Kit, own: Path) -> None:
        """Missing, dlib's detector takes its place; but a damaged file is somebody's mistake, and they should know."""
        (own / YUNET_FILE).write_bytes(b"half of YuNet")
        ended = run_to_its_end("--db", str(dlib_kit.db), "--weights-dir", str(own), "--no-download", env=dlib_kit.env)
        explained(ended, 3, str(own / YUNET_FILE), "damaged")

    def test_yunets_missing(self, dlib_kit: Kit, own: Path) -> None:
        args = ("--db", str(dlib_kit.db), "--weights-dir", str(own), "--no-download", "--detector", "yunet")
        ended = run_to_its_end(*args, env=dlib_kit.env)
        explained(ended, 3, YUNET_FILE, "https://", str(own), dlib_kit.env["DEEPFACE_HOME"])

    def test_yunets_missing_is_a_warning_where_any_detector_will_do(self, dlib_kit: Kit, own: Path) -> None:
        args = ("--db", str(dlib_kit.db), "--weights-dir", str(own), "--no-download", "--emotion", "off")
        with serving_process(*args, env=dlib_kit.env) as running:
            assert "WARNING facewire.vision: using dlib's detector instead" in running.stderr
            assert YUNET_FILE in running.stderr
            assert all(is_log(line) for line in running.stderr.splitlines())

    def test_facenets_cut_off(self, facenet_kit: Kit, weights_dir: Path, own: Path) -> None:
        real = weights_dir / ".deepface" / "weights" / FACENET_FILE
        (own / FACENET_FILE).write_bytes(real.read_bytes()[:1_000_000])
        args = ("--db", str(facenet_kit.db), "--weights-dir", str(own), "--no-download")
        explained(run_to_its_end(*args, env=facenet_kit.env), 3, str(own / FACENET_FILE), "delete it")

    def test_facenets_missing(self, facenet_kit: Kit, own: Path) -> None:
        args = ("--db", str(facenet_kit.db), "--weights-dir", str(own), "--no-download")
        ended = run_to_its_end(*args, env=facenet_kit.env)
        explained(ended, 3, FACENET_FILE, "https://", str(own), facenet_kit.env["DEEPFACE_HOME"])

    def test_a_cache_that_can_not_be_written(self, facenet_kit: Kit, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        ended = run_to_its_end(*facenet_kit.args, "--cache-dir", str(tmp_path / "file" / "cache"), env=facenet_kit.env)
        explained(ended, 3, "--cache-dir")

    @pytest.mark.parametrize("part", ["network.xml", "network.bin"])
    def test_a_cached_network_cut_off(self, facenet_kit: Kit, tmp_path: Path, part: str) -> None:
        """A disk that was full, or failed, since the network was converted."""
        cache = tmp_path / "cache"
        shutil.copytree(default_cache_dir(), cache, ignore=shutil.ignore_patterns(".*"))  # what others write now
        for path in cache.rglob(part):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        ended = run_to_its_end(*facenet_kit.args, "--cache-dir", str(cache), env=facenet_kit.env)
        explained(ended, 3, str(cache), "delete")


class TestSettings:
    def test_environment_over_defaults_and_flags_over_environment(self, dlib_kit: Kit) -> None:
        said = {
            "FACEWIRE_DB": str(dlib_kit.db),
            "FACEWIRE_MAX_CONNECTIONS": "1",
            "FACEWIRE_PORT": "nonsense that a flag replaces",
            "FACEWIRE_EMOTION": "off",
            "FACEWIRE_TOKEN": "open sesame",
            "FACEWIRE_HOST": "0.0.0.0",
        }
        with serving_process(
            *dlib_kit.flags, "--insecure", "--max-connections", "2", env=dlib_kit.env | said
        ) as running:
            port = running.address[1]
            with FaceClient("127.0.0.1", port, token="open sesame", timeout=PATIENCE_S) as client:
                (face,) = client.identify(next(iter(dlib_kit.probes.values()))).faces
                assert face.emotion is None
                with pytest.raises(Unauthorized), FaceClient("127.0.0.1", port, token="open rice", timeout=PATIENCE_S):
                    pass
            # Two connections at a time: with the third, the longest silent gives way.
            with contextlib.ExitStack() as connections:
                one, other, third = (connections.enter_context(RawClient(("127.0.0.1", port))) for _ in range(3))
                for each in (one, other):
                    assert each.ask(op="hello", token="open sesame")["ok"]
                assert one.ask(op="ping")["ok"] and other.ask(op="ping")["ok"]
                assert third.ask(op="hello", token="open sesame")["ok"]
                assert one.receive()["error"]["code"] == "busy"
            log = running.stderr
        warning, wrong_token = [line for line in log.splitlines() if " WARNING " in line]
        assert "token" in wrong_token and "rice" not in log
        assert "listening on 0.0.0.0: every machine that reaches it" in warning
        assert "without a token" not in warning
        assert "sesame" not in log

    def test_loopback_is_no_reason_to_warn_and_the_log_may_be_quiet(self, dlib_kit: Kit) -> None:
        quiet = ("--host", "localhost", "--log-level", "warning")
        with serving_process(*dlib_kit.args, *quiet, env=dlib_kit.env) as running:
            assert running.address[0] == "127.0.0.1"
            with RawClient(running.address) as raw:
                assert raw.ask(op="ping")["ok"]
            ended, _ = running.stop()
        assert (ended.code, ended.stderr) == (0, "")


def test_every_model_has_a_line_when_its_weights_are_missing(dlib_kit: Kit, tmp_path: Path) -> None:
    """OpenFace stands for DeepFace's other models."""
    db = tmp_path / "openface.db"
    with SqliteGallery.create(db, model_card("OpenFace").spec("0" * 64)):
        pass
    ended = run_to_its_end("--db", str(db), *dlib_kit.flags, env=dlib_kit.env)
    readable = "openface_weights.h5" if importlib.util.find_spec("tensorflow") else "openface_weights.onnx"
    explained(ended, 3, readable, "https://")
