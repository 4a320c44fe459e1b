"""`make` on a fresh machine, and what `make clean` leaves alone. In a copy of the Makefile, away from the project."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server_process import PATIENCE_S, ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")

OURS = (
    "data/demo.db", "data/demo.db-wal", "data/demo.db-shm", "data/demo.db-index", "data/demo.db-lock",
    "data/demo.db.skipped.txt", "data/demo/drawn.jpg", "data/demo.log", "data/web.log", ".pytest_cache/x",
    ".mypy_cache/x", ".ruff_cache/x", ".hypothesis/x", "server/tcp/__pycache__/x.pyc", ".venv/bin/python",
)  # fmt: skip
YOURS = (
    "data/facialdb.db", "data/facialdb.db-wal", "data/facialdb.db-before-restore-20260101T000000Z",
    "data/facialdb.albums/ab/photo.jpg", "data/facialdb.db.skipped.txt", "data/mine.db", "data/my copy.db",
    "data/demo.db-before-restore-20260101T000000Z",
)  # fmt: skip
PROJECT = ("data/models/emotion.json", "data/sample/people/a/1.jpg", "server/app.py")


BACKEND = """
import zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(folder + "/nothing-0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("nothing-0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: nothing\\nVersion: 0\\n")
        made = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr("nothing-0.dist-info/WHEEL", made)
        wheel.writestr("nothing-0.dist-info/RECORD", "")
    return "nothing-0-py3-none-any.whl"
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The Makefile, with what make, users and git put beside it."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in (*OURS, *YOURS, *PROJECT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


def make(where: Path, *args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *args], cwd=where, env={**os.environ, "MAKEFLAGS": "", **(env or {})}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=PATIENCE_S * 4, check=False,
    )  # fmt: skip


def there(where: Path, names: tuple[str, ...]) -> set[str]:
    return {name for name in names if (where / name).exists()}


class TestClean:
    def test_it_removes_what_make_can_make_again_and_nothing_else(self, copy: Path) -> None:
        assert make(copy, "clean").returncode == 0
        assert there(copy, OURS) == set()
        assert there(copy, YOURS) == set(YOURS)
        assert there(copy, PROJECT) == set(PROJECT)
        assert make(copy, "clean").returncode == 0

    def test_the_demos_database_stays_while_albums_were_begun_in_it(self, copy: Path) -> None:
        (copy / "data/demo.albums").mkdir()
        (copy / "data/demo.albums/photo.jpg").write_text("x")
        assert "data/demo.albums" in make(copy, "clean").stdout
        assert there(copy, ("data/demo.db", "data/demo.db-wal", "data/demo.albums/photo.jpg", "data/demo.log")) == {
            "data/demo.db", "data/demo.db-wal", "data/demo.albums/photo.jpg",
        }  # fmt: skip

    def test_distclean_tells_what_it_would_remove_and_asks(self, copy: Path) -> None:
        refused = make(copy, "distclean")
        assert refused.returncode != 0
        assert all(name in refused.stdout for name in (*YOURS[:3], "data/facialdb.albums", "data/my copy.db"))
        assert "YES=1" in refused.stderr
        assert "data/demo.db\n" not in refused.stdout  # which make clean removes as it is
        assert there(copy, (*OURS, *YOURS)) == {*OURS, *YOURS}
        for answer, left in ((b"n\n", set(YOURS)), (b"y\n", set[str]())):
            ours, theirs = pty.openpty()
            os.write(ours, answer)
            subprocess.run(["make", "distclean"], cwd=copy, stdin=theirs, capture_output=True, timeout=60, check=False)
            os.close(ours)
            os.close(theirs)
            assert there(copy, YOURS) == left
        assert there(copy, PROJECT) == set(PROJECT)
        assert there(copy, OURS) == set()

    def test_distclean_does_not_ask_where_told_so(self, copy: Path) -> None:
        assert make(copy, "distclean", "YES=1").returncode == 0
        assert there(copy, (*OURS, *YOURS)) == set()
        assert there(copy, PROJECT) == set(PROJECT)


class TestEnvironment:
    @pytest.fixture
    def fresh(self, tmp_path: Path) -> Path:
        """A project that needs no package, not even to be built, before the first make."""
        shutil.copy(ROOT / "Makefile", tmp_path)
        vendor = tmp_path / "client/web/vendor.py"  # which would fetch, but for what is there
        (vendor.parent / "static/vendor").mkdir(parents=True)
        vendor.write_text("import pathlib; (pathlib.Path(__file__).parent / 'static/vendor/package-lock.json').touch()")
        (tmp_path / "requirements.lock").write_text("")
        (tmp_path / "requirements-tensorflow.lock").write_text("")
        for name, folder in (("nothing", tmp_path), ("nothing_else", tmp_path / "lab")):
            folder.mkdir(exist_ok=True)
            (folder / "pyproject.toml").write_text(
                '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            )
            (folder / "backend.py").write_text(BACKEND.replace("nothing", name))
        return tmp_path

    @pytest.mark.parametrize("stub", ["ensurepip.py", "venv/__main__.py"])
    def test_a_python_that_can_make_none(self, fresh: Path, stub: str) -> None:
        """Debian's, without python3-venv; and one whose venv module fails half-way."""
        without = fresh / "without" / stub
        without.parent.mkdir(parents=True)
        (without.parent / "__init__.py").touch()
        half = (
            "import os, sys; os.makedirs(sys.argv[-1] + '/bin'); open(sys.argv[-1] + '/bin/python', 'w'); sys.exit(1)"
        )
        without.write_text("raise ImportError" if stub == "ensurepip.py" else half)
        done = make(fresh, "setup", f"PYTHON={sys.executable}", env={"PYTHONPATH": str(fresh / "without")})
        assert done.returncode != 0
        assert f"apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in done.stderr
        assert "Traceback" not in done.stderr
        assert not (fresh / ".venv").exists()

    def test_half_an_environment_is_mended(self, fresh: Path) -> None:
        made = subprocess.run([sys.executable, "-m", "venv", "--without-pip", fresh / ".venv"], check=False)
        assert made.returncode == 0
        assert make(fresh, "setup", f"PYTHON={sys.executable}").returncode == 0
        pip = subprocess.run([fresh / ".venv/bin/python", "-m", "pip", "--version"], capture_output=True, check=False)
        assert pip.returncode == 0
        assert "is up to date" in make(fresh, ".venv/.installed", f"PYTHON={sys.executable}").stdout


class TestTensorFlow:
    """2 GB that only .h5 weights need."""

    @pytest.fixture
    def home(self, copy: Path) -> Path:
        (copy / "home/.deepface/weights").mkdir(parents=True)
        return copy / "home"

    @staticmethod
    def is_installed(where: Path, home: Path, *args: str) -> bool:
        ours = ("HOME", "DEEPFACE_HOME", "TENSORFLOW")
        env = {name: value for name, value in os.environ.items() if name not in ours} | {"HOME": str(home)}
        done = subprocess.run(
            ["make", "--dry-run", "setup", "MAKEFLAGS=", *args], cwd=where, env=env, capture_output=True,
            text=True, timeout=PATIENCE_S, check=True,
        )  # fmt: skip
        return "requirements-tensorflow.lock" in done.stdout

    @pytest.fixture(autouse=True)
    def locks(self, copy: Path) -> None:
        for name in ("requirements.lock", "requirements-tensorflow.lock", "pyproject.toml"):
            (copy / name).write_text("")

    def test_not_where_there_are_no_weights(self, copy: Path, home: Path) -> None:
        assert not self.is_installed(copy, home)
        assert self.is_installed(copy, home, "TENSORFLOW=1")

    def test_where_only_keras_weights_are(self, copy: Path, home: Path) -> None:
        weights = home / ".deepface/weights"
        (weights / "facenet512_weights.h5").touch()
        assert self.is_installed(copy, home)
        assert not self.is_installed(copy, home, "TENSORFLOW=0")
        (weights / "facenet512_weights.onnx").touch()
        assert not self.is_installed(copy, home)

    def test_deepfaces_home_may_be_elsewhere(self, copy: Path, home: Path) -> None:
        (home / ".deepface/weights/facenet512_weights.h5").touch()
        (copy / "empty").mkdir()
        assert self.is_installed(copy, copy / "empty", f"DEEPFACE_HOME={home}")
        assert not self.is_installed(copy, home, f"DEEPFACE_HOME={copy / 'empty'}")
