"""The documentation names what there is: commands, flags, variables, targets, files and links."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import pytest

from facewire.client.cli import COMMANDS
from facewire.client.commands.album import COMMANDS as ALBUM_COMMANDS
from facewire.server.settings import build_parser
from facewire.server.vision import clip
from lab.command_reference import BELOW, PAGE, PROGRAMS, page
from tests.support.server_process import ROOT

CHANGES = ROOT / "CHANGELOG.md"  # says what there was
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/README.md"), *ROOT.glob("docs/**/*.md")} - {PAGE, CHANGES})
_OF_RAY = ("--head", "--address", "--generate")
_OF_MILVUS = ("--data", "--proxy-port")
OTHERS_FLAGS = {"--strict", "--require-hashes", "--durations", "--fail", "--data-binary", *_OF_RAY, *_OF_MILVUS}
"""Of other people's programs: mypy, pip, pytest, curl, Ray and Milvus."""

CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
FLAG = re.compile(r"(?<![\w/-])--[a-z][a-z0-9-]*")
SUFFIXES = ("py", "md", "toml", "txt", "onnx", "npz", "json", "sh", "yml", "js", "css", "html")


def said(path: Path) -> str:
    """Which page it is, in a test's name."""
    return str(path.relative_to(ROOT))


@cache
def code_of(document: Path) -> str:
    """What a document prints as code."""
    return "\n".join(CODE.findall(document.read_text(encoding="utf-8")))


@cache
def known_flags() -> set[str]:
    """Every flag of every program and of the tools of the laboratory."""
    sources = [*ROOT.glob("lab/*.py"), *ROOT.glob("lab/*/*.py")]
    declared = {flag for path in sources for flag in re.findall(r'"(--[a-z-]+)"', path.read_text(encoding="utf-8"))}
    return declared | set(FLAG.findall(PAGE.read_text(encoding="utf-8")))


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="argparse lays help out otherwise from 3.12 on")
def test_the_reference_of_commands_is_up_to_date() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "run python -m lab.command_reference"


def test_every_program_and_every_command_is_documented() -> None:
    launchers = {
        path.relative_to(ROOT).as_posix()
        for path in (*ROOT.glob("*_app.py"), *ROOT.glob("scripts/*.py"))
        if "launch(" in path.read_text(encoding="utf-8") and not path.name.startswith("_")
    }
    trained = {"scripts/train_appearance.py", "scripts/train_cohort.py", "scripts/train_emotion.py"}  # lab/README.md
    assert set(PROGRAMS) == launchers - trained
    assert set(BELOW["client_app.py"]) == {*COMMANDS, *(f"album {name}" for name in ALBUM_COMMANDS)} - {"album"}
    headings = re.findall(r"(?m)^#{2,3} (.+)$", PAGE.read_text(encoding="utf-8"))
    assert headings == [f"{program} {words}".strip() for program in PROGRAMS for words in ("", *BELOW.get(program, ()))]


@pytest.mark.parametrize("document", PAGES, ids=said)
def test_flags_that_are_named_exist(document: Path) -> None:
    assert set(FLAG.findall(code_of(document))) - known_flags() - OTHERS_FLAGS == set()


@pytest.mark.parametrize("document", PAGES, ids=said)
def test_variables_that_are_named_are_read(document: Path) -> None:
    assert named_variables(document) - read_variables() == set()


@cache
def read_variables() -> set[str]:
    """Those that programs and tests read: of each flag of the server, and others that are named in the sources."""
    flags = [flag.removeprefix("--") for flag in FLAG.findall(build_parser().format_help())]
    sources = [
        path for room in ("server", "client", "protocol", "tests", "lab") for path in ROOT.glob(f"{room}/**/*.py")
    ]
    read = set[str]().union(*map(named_variables, (*sources, ROOT / ".ci" / "run")))
    return read | {"FACEWIRE_" + flag.replace("-", "_").upper() for flag in flags}


def named_variables(path: Path) -> set[str]:
    return set(re.findall(r"\bFACEWIRE_[A-Z_]+[A-Z]\b", path.read_text(encoding="utf-8", errors="replace")))


@pytest.mark.parametrize("document", PAGES, ids=said)
def test_targets_that_are_named_exist(document: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    named = set(re.findall(r"(?m)(?:^|`|&& )make (?:[A-Z_]+=\S+ )*([a-z][a-z-]*)", code_of(document)))
    assert named - targets == set()


@pytest.mark.parametrize("document", PAGES, ids=said)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue  # elsewhere
        path, _, anchor = target.partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        assert not anchor or anchor in anchors_of(file), target


@cache
def anchors_of(document: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", document.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", PAGES, ids=said)
def test_files_that_are_named_exist(document: Path) -> None:
    named = set(
        re.findall(rf"`((?:[\w.-]+/)+[\w.-]+\.(?:{'|'.join(SUFFIXES)}))`", document.read_text(encoding="utf-8"))
    )
    named |= set(re.findall(r"python ((?:[\w-]+/)*\w+\.py)", code_of(document)))
    missing = {name for name in named if not (ROOT / name).exists() and not (document.parent / name).exists()}
    assert missing - {*clip.NEEDED, clip.TOKENIZER_CONFIG} == set()


@pytest.mark.parametrize("document", PAGES, ids=said)
def test_commands_of_the_client_that_are_typed_exist(document: Path) -> None:
    """What follows `client_app.py` or `facewire` is one of its commands, a flag or a picture."""
    for word in re.findall(r"(?m)(?:client_app\.py|(?:^|`)facewire) ([a-z][\w-]*)(?=[\s`]|$)", code_of(document)):
        assert word in COMMANDS, word
    for word in re.findall(r"(?:client_app\.py|(?:^|`)facewire) album ([a-z]\w*)", code_of(document)):
        assert word in ALBUM_COMMANDS, word
