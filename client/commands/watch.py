"""`client_app.py watch FOLDER`: who is in the pictures that arrive in a folder?"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from facewire.client.commands.common import Commands, PlainRun, Usage, argument, client_for, complain
from facewire.client.commands.identify import ANSWER_ARGUMENTS, ask_about, forbid_drawing_over
from facewire.client.errors import ConnectionLost
from facewire.client.pictures import Found, files_below, is_picture
from facewire.protocol.arguments import seconds
from facewire.protocol.clutter import LeftOut

_EPILOG = """\
Pictures that are there already are skipped, unless --all is given. Ends with Ctrl-C.

examples:
  client_app.py watch /var/spool/camera
  client_app.py watch inbox/ --json >> seen.jsonl
"""

State = tuple[int, int]
"""A file's size and time of change."""


COMMANDS: Commands[PlainRun] = Commands()


@COMMANDS.add(
    "watch",
    "Watches a folder, at any depth, and says who is in every new or changed picture.",
    argument("folder", type=Path, metavar="FOLDER", help="where pictures arrive"),
    argument("--all", action="store_true", help="start with the pictures already there"),
    argument("--every", type=seconds, default=1.0, metavar="S", help="seconds between scans (default: %(default)g)"),
    *ANSWER_ARGUMENTS,
    epilog=_EPILOG,
)
def watch(arguments: argparse.Namespace) -> int:
    """Watches until Ctrl-C. Raises Usage and ClientError."""
    folder: Path = arguments.folder
    if not folder.is_dir():
        raise Usage(f"not a folder: {folder}")
    watched = Watched(folder, seen_already=not arguments.all)
    with client_for(arguments) as client:
        said = f" ({watched.left_out.said()})" if watched.left_out.total else ""
        complain(f"watching {folder}{said}; Ctrl-C ends it", of="")
        while True:
            if fresh := _pictures(watched.look()):
                forbid_drawing_over(fresh, arguments)
                try:
                    ask_about(fresh, client, arguments)
                except ConnectionLost as error:
                    # Some may have been answered: better twice than not at all.
                    watched.forget(fresh)
                    complain(f"{error}; trying again")
            time.sleep(arguments.every)


def _pictures(fresh: list[Path]) -> list[Path]:
    """Those that are pictures; tells which are not."""
    found = Found()
    for path in fresh:
        (found.pictures if is_picture(path) else found.others).append(path)
    for line in found.about_others():
        complain(line, of="")
    return found.pictures


class Watched:
    """A folder's files. A file counts once two looks find it unchanged: until then it may still be being written."""

    def __init__(self, folder: Path, *, seen_already: bool) -> None:
        self._folder = folder
        self.left_out = LeftOut()
        there = self._states()
        self._done: dict[Path, State] = there if seen_already else {}
        self._before: dict[Path, State] = {}

    def look(self) -> list[Path]:
        """The files that came, or changed, since they were last given, sorted."""
        now = self._states()
        fresh = [path for path, state in now.items() if self._before.get(path) == state != self._done.get(path)]
        self._done = {path: state for path, state in self._done.items() if path in now}
        self._done |= {path: now[path] for path in fresh}
        self._before = now
        return sorted(fresh)

    def forget(self, paths: list[Path]) -> None:
        """Report these again at the next look."""
        for path in paths:
            self._done.pop(path, None)

    def _states(self) -> dict[Path, State]:
        states = {}
        self.left_out = LeftOut()
        for path in files_below(self._folder, self.left_out):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # gone between the listing and now
            states[path] = (status.st_size, status.st_mtime_ns)
        return states
