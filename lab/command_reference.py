"""Writes docs/commands.md, the `--help` output of every command, so that every flag is documented exactly once.

python -m lab.command_reference
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from facewire.client.cli import COMMANDS
from facewire.client.commands.album import COMMANDS as ALBUM_COMMANDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"

SERVING = "facewire.server.maintenance"

PROGRAMS: dict[str, str] = {
    "server_app.py": "facewire.server.app",
    "client_app.py": "facewire.client.cli",
    "web_app.py": "facewire.client.web.main",
    "scripts/create_db.py": f"{SERVING}.create_db",
    "scripts/migrate_model.py": f"{SERVING}.migrate_model",
    "scripts/backup.py": f"{SERVING}.backup_command",
    "scripts/tokens.py": "facewire.server.access.tokens_command",
    "scripts/identify.py": "facewire.scripts.identify",
    "scripts/web.py": "facewire.scripts.web",
    "scripts/demo.py": "facewire.scripts.demo",
    "scripts/cluster_demo.py": "facewire.scripts.cluster_demo",
    "scripts/evaluate.py": "lab.evaluate",
    "scripts/benchmark.py": "lab.benchmark",
    "scripts/make_sample_people.py": "lab.make_sample_people",
}
"""Each program, and the module whose `main` it runs."""

BELOW: dict[str, tuple[str, ...]] = {
    "client_app.py": (*(name for name in COMMANDS if name != "album"), *(f"album {name}" for name in ALBUM_COMMANDS)),
    "scripts/backup.py": ("save", "check", "restore", "export", "import"),
    "scripts/tokens.py": ("create", "list", "revoke"),
    "scripts/evaluate.py": ("lfw", "precisions", "openset", "groups", "strangers", "quality", "emotion", "clusters"),
}
"""The commands within a program."""

WIDTH = "110"


def help_of(program: str, words: str = "") -> str:
    """The output of `PROGRAM WORDS --help` on a terminal of WIDTH columns."""
    main = import_module(PROGRAMS[program]).main
    sys.argv = [program, *words.split(), "--help"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    return "\n".join(line.rstrip() for line in printed.getvalue().strip().splitlines())


def page() -> str:
    """The whole page, as --help prints it with no settings in the environment."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("FACEWIRE_", "DEEPFACE_", "XDG_"))
    }
    environment = kept | {"COLUMNS": WIDTH, "HOME": "/home/you"}
    command = [sys.executable, "-m", "lab.command_reference", "--print"]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def _printed() -> str:
    parts = ["# Commands", "", "Made by `python -m lab.command_reference` from what `--help` prints.", ""]
    for program in PROGRAMS:
        for words in ("", *BELOW.get(program, ())):
            title = f"{program} {words}".strip()
            parts += [f"{'###' if words else '##'} {title}", "", "```text", help_of(program, words), "```", ""]
    return "\n".join(parts)


def main() -> int:
    """Writes the page, or with --print only prints it; returns the exit code."""
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(_printed())
    else:
        PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
