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
        """A project that needs no package, before the first make."""
        shutil.copy(ROOT / "Makefile", tmp_path)
        (tmp_path / "requirements.txt").write_text("")
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
        assert "is up to date" in make(fresh, ".venv/.serving", f"PYTHON={sys.executable}").stdout
