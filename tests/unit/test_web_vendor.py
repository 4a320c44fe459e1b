"""client/web/vendor.py, which copies lit-html from npm: here a program of that name on the PATH stands for npm."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from facewire.client.web import vendor
from facewire.client.web.assets import Assets
from facewire.client.web.main import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="npm is stood for by a script with #!")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it copies to, instead of among the page's files."""
    monkeypatch.setattr(vendor, "FOLDER", tmp_path / "vendor")
    return tmp_path / "vendor"


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that the PATH finds as npm; a test writes it."""
    path = tmp_path / "bin" / "npm"
    path.parent.mkdir()
    monkeypatch.setenv("PATH", str(path.parent), prepend=os.pathsep)
    return path


def program(path: Path, *lines: str) -> None:
    path.write_text("\n".join((f"#!{sys.executable}", "import sys, pathlib", *lines)))
    path.chmod(0o755)


# Every file that is wanted, in the folder where npm was started, if that has what npm needs.
FETCHES = (
    "assert sys.argv[1] == 'ci'",
    "assert all(pathlib.Path(name).exists() for name in ('package.json', 'package-lock.json'))",
    "for kind in ('js', 'd.ts'):",
    "    for name in ('lit-html', 'directive', 'directive-helpers', 'directives/repeat'):",
    "        path = pathlib.Path(f'node_modules/lit-html/{name}.{kind}')",
    "        path.parent.mkdir(parents=True, exist_ok=True)",
    "        path.write_text(name)",
    "pathlib.Path('node_modules/lit-html/LICENSE').write_text('theirs')",
)


def test_what_npm_brings_is_copied_once(folder: Path, npm: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program(npm, *FETCHES)
    assert not vendor.is_here()
    assert vendor.main() == 0
    assert vendor.is_here() and vendor.is_current()
    assert (folder / "lit-html/directives/repeat.js").read_text() == "directives/repeat"
    assert (folder / "lit-html/LICENSE").read_text() == "theirs"
    program(npm, "sys.exit('it was asked again')")
    assert vendor.main() == 0
    (folder / "package-lock.json").write_text("another version's")
    assert vendor.is_here() and not vendor.is_current()
    assert vendor.main() == 3
    assert "it was asked again" in capsys.readouterr().err
    assert (folder / "lit-html/LICENSE").exists()  # what was there serves on


def test_without_it_the_page_says_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "client/web/vendor.py" in said
    assert not folder.exists()


def test_a_view_preloads_what_it_draws_with(tmp_path: Path) -> None:
    """A module's imports are found in minified code, and from folder to folder."""
    for name, text in {
        "js/album.js": 'import { html } from "../vendor/lit/lit.js";\nimport "../vendor/lit/more/a.js";\n',
        "vendor/lit/lit.js": "const t=1;export{t as html};",
        "vendor/lit/more/a.js": 'import{a as e}from"../lit.js";import{b as s}from"../b.js";/*\n*/export{s as repeat};',
        "vendor/lit/b.js": "export const b=1;",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = Assets(tmp_path).modules("js/album.js")
    assert found == ["vendor/lit/lit.js", "vendor/lit/more/a.js", "vendor/lit/b.js"]
