"""Where FaceNet can't be fetched: dlib's network does the job, what is said to type next works; FaceNet may come."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from facewire.scripts.demo import what_next
from facewire.server.vision.models import DEFAULT_MODEL, FALLBACK_MODEL, model_card
from tests.integration.conftest import Kit
from tests.support.server_process import PATIENCE_S, READY, ROOT, environment, serving_process

FACENET_FILES = model_card(DEFAULT_MODEL).files
NOWHERE = "http://127.0.0.1:9"  # the port "discard": nobody listens there


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a user without weights, whose downloads all fail at once."""
    pytest.importorskip("dlib", reason="dlib is not installed (requirements-offline.txt)")
    (tmp_path / "home").mkdir()
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    named = {"DEEPFACE_HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    return environment(HOME=str(tmp_path / "home"), PYTHONPATH=str(ROOT), no_proxy="", NO_PROXY="", **proxies, **named)


def run(*command: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )  # fmt: skip


def typed(command: str, room: Path) -> list[str]:
    """The command as somebody would type it who names a folder and a picture; with this project's files by name."""
    named = {"FOLDER": str(room / "people"), "PICTURE": str(room / "people" / "Akira_Monase")}
    words = [named.get(word, word) for word in shlex.split(command)]
    return [sys.executable, str(ROOT / words[1]), *words[2:]]


def test_what_to_type_next_after_the_fallback_works_as_typed(
    bare: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    for name in ("Akira_Monase", "Alexis_Varnholt"):
        shutil.copytree(folder / name, tmp_path / "people" / name)
    create, serve, ask = [typed(command, tmp_path) for command, _ in what_next(FALLBACK_MODEL)]

    built = run(*create, cwd=tmp_path, env=bare)
    assert built.returncode == 0, built.stderr
    assert "a gallery of Dlib: 2 people" in built.stdout

    serve[serve.index("5050")] = "0"  # another test may serve there
    with (
        (tmp_path / "log").open("w") as log_file,
        subprocess.Popen(serve, cwd=tmp_path, env=bare, stdout=subprocess.PIPE, stderr=log_file, text=True) as server,
    ):
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line.startswith(READY), (tmp_path / "log").read_text()
            asked = run(*ask, "--port", line.rsplit(":", 1)[1].strip(), cwd=tmp_path, env=bare)
        finally:
            server.terminate()
    assert asked.returncode == 0, asked.stderr
    assert "Akira Monase" in asked.stdout
    assert asked.stderr == "recognised with Dlib\n"
    log = (tmp_path / "log").read_text()
    assert "facialdb.db of Dlib with 2 people" in log
    assert "WARNING" not in log


def test_with_facenet_the_next_commands_are_the_plain_ones() -> None:
    assert [command.split(maxsplit=1)[1] for command, _ in what_next(DEFAULT_MODEL)] == [
        "scripts/create_db.py FOLDER",
        "server_app.py --port 5050",
        "client_app.py PICTURE",
    ]


def test_create_db_without_facenet_names_the_way_out(bare: dict[str, str], folder: Path, tmp_path: Path) -> None:
    """Fetching fails at once; and so it does where it is forbidden."""
    command = (sys.executable, str(ROOT / "scripts/create_db.py"), str(folder), "--db", "x.db", "--detector", "dlib")
    for flags in (("--weights-mirror", NOWHERE), ("--no-download",)):
        done = run(*command, *flags, cwd=tmp_path, env=bare)
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr
        assert "--model Dlib" in done.stderr
        assert any(file in done.stderr for file in FACENET_FILES)
        assert not (tmp_path / "x.db").exists()


def test_the_way_out_is_not_offered_where_the_gallery_has_a_model(
    bare: dict[str, str], facenet_kit: Kit, folder: Path, tmp_path: Path
) -> None:
    """Dlib's embeddings can't be added to FaceNet's."""
    db = shutil.copy(facenet_kit.db, tmp_path / "x.db")
    command = (sys.executable, "scripts/create_db.py", str(folder), "--db", str(db), "--no-download")
    done = run(*command, "--detector", "dlib", cwd=ROOT, env=bare)
    assert done.returncode == 3, done.stderr
    assert any(file in done.stderr for file in FACENET_FILES)
    assert "--model Dlib" not in done.stderr


def test_when_facenet_comes_the_gallery_is_told_how_to_move(dlib_kit: Kit, folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    hint = f"scripts/migrate_model.py --to {DEFAULT_MODEL} --db {dlib_kit.db}"
    args = ("--detector", "dlib", "--no-download", "--emotion", "off", "--db", str(dlib_kit.db))
    env = dlib_kit.env | {"DEEPFACE_HOME": str(home)}
    with serving_process(*args, env=env) as running:
        assert hint not in running.stderr
    (home / ".deepface" / "weights").mkdir(parents=True)
    (home / ".deepface" / "weights" / FACENET_FILES[-1]).write_bytes(b"as good as there")
    with serving_process(*args, env=env) as running:
        assert running.stderr.count(hint) == 1
    command = (sys.executable, "scripts/create_db.py", str(folder), "--db", str(dlib_kit.db), "--no-download")
    built = run(*command, "--detector", "dlib", cwd=ROOT, env=env)
    assert built.returncode == 0, built.stderr
    assert built.stdout.count(hint) == 1


def test_without_dlibs_packages_either_the_way_out_says_how_to_get_them(
    bare: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    """As after `pip install -r requirements.txt`."""
    absent = "import sys; sys.modules['face_recognition_models'] = None"
    command = f"{absent}; from facewire.server.maintenance.create_db import main; sys.exit(main())"
    done = run(sys.executable, "-c", command, str(folder), "--db", "x.db", "--no-download", cwd=tmp_path, env=bare)
    assert done.returncode == 3, done.stderr
    assert "install -r requirements-offline.txt, then --model Dlib" in done.stderr
    assert "shape_predictor" not in done.stderr
