"""`client_app.py PICTURE...`: who is in these pictures, and how do they feel?"""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    EXIT_FAILED,
    EXIT_SOME_UNMATCHED,
    Commands,
    PlainRun,
    Usage,
    argument,
    client_for,
    complain,
)
from facewire.client.commands.identify_videos import ask_about_videos
from facewire.client.drawings import Drawings
from facewire.client.errors import ServerRefused
from facewire.client.pictures import NoSuchPicture, TooManyBytes, find_pictures, is_video, read_picture
from facewire.client.report import bars_for, describe
from facewire.protocol.arguments import whole
from facewire.protocol.messages import MAX_CANDIDATES, Identified
from facewire.protocol.schema import to_plain
from facewire.protocol.settings import between
from facewire.protocol.text import printable

_EXAMPLES = """\
examples:
  client_app.py photo.jpg                    a line for every face: who, how similar, how they feel
  client_app.py holiday/ -k 3                every picture below a folder, three candidates a face
  client_app.py *.jpg --json | jq .faces     one JSON object a picture, as the server answered
  client_app.py group.jpg --draw out/        out/group.jpg shows boxes and names
  client_app.py party.mp4 --draw out/        who is in a video, in which seconds, and everybody's best face
  client_app.py --host 10.0.0.5 --port 6000 photo.jpg
  client_app.py album --help                 albums: find everyone in a large set of photos

other commands (each has a --help; a picture with such a name is ./people):
  enrol NAME IMG...            add pictures to a person
  people [TEXT], show NAME     who is enrolled, and with what
  rename, merge, split         correct who is who
  remove NAME [N...]           remove a person or templates; --erase for good
  history, undo [N]            what happened, and taking it back
  verify A B                   do two pictures show the same person?
  ping, health, stats          is the server there, is it well, what is it doing?
  watch FOLDER                 say who is in pictures as they arrive
  camera SOURCE                say who comes and goes before a camera

exit codes: 0 every picture had a match, 1 some had none, 2 usage error, 3 failure
"""


class Asker(Protocol):
    """A FaceClient, or anything that gives the same answers without a socket (scripts/identify.py)."""

    def identify_many(
        self, images: Iterable[bytes], *, k: int, emotion: bool
    ) -> Iterator[Identified | ServerRefused]: ...


COMMANDS: Commands[PlainRun] = Commands()

ANSWER_ARGUMENTS = (
    argument(
        "-k", type=whole(between(1, MAX_CANDIDATES)), default=1,
        metavar="N", help="show the N most similar people of a face (default: 1)",
    ),
    argument("--json", action="store_true", help="print one JSON object a line"),
    argument("--draw", type=Path, metavar="DIR", help="write the pictures there, with boxes and names"),
    argument("--no-emotion", dest="with_emotion", action="store_false", help="don't read emotions"),
)  # fmt: skip
"""What to ask for, and how to show the answers."""

PICTURE_ARGUMENTS = (
    argument("pictures", nargs="+", type=Path, metavar="IMG", help="a picture, or a folder to look for pictures in"),
    *ANSWER_ARGUMENTS,
)
"""All that don't concern the server."""


@COMMANDS.add(
    "identify",
    "Asks a facewire server who is in these pictures, and how they feel; and who is in videos, and when.",
    argument(
        "pictures",
        nargs="+",
        type=Path,
        metavar="IMG",
        help="a picture, a video, or a folder to look for pictures in",
    ),
    *ANSWER_ARGUMENTS,
    epilog=_EXAMPLES,
)
def identify(arguments: argparse.Namespace) -> int:
    """Asks a server, prints, draws; gives the exit code. Raises Usage and ClientError."""
    paths = wanted_pictures(arguments)
    videos = [path for path in paths if is_video(path)]
    pictures = [path for path in paths if path not in videos]
    with client_for(arguments) as client:
        code = ask_about(pictures, client, arguments, names_model=True)
        return max(code, ask_about_videos(videos, client, arguments))


def wanted_pictures(arguments: argparse.Namespace) -> list[Path]:
    """The files to send; tells which files of a folder are left out. Raises Usage."""
    try:
        found = find_pictures(arguments.pictures)
    except NoSuchPicture as error:
        raise Usage(str(error)) from error
    forbid_drawing_over(found.pictures, arguments)
    for line in found.about_others():
        complain(line, of="")
    return found.pictures


def forbid_drawing_over(paths: list[Path], arguments: argparse.Namespace) -> None:
    """Raises Usage if --draw names a folder that holds some of the pictures."""
    if arguments.draw is not None and any(_same_folder(path.parent, arguments.draw) for path in paths):
        raise Usage(f"--draw {arguments.draw} would write over the pictures there; name another folder")


def ask_about(paths: list[Path], asker: Asker, arguments: argparse.Namespace, *, names_model: bool = False) -> int:
    """Asks, prints, draws; gives the exit code. `names_model`: tells once which model the gallery uses."""
    printer = _Printer(arguments, names_model=names_model)
    reader = _Reader(paths, printer)
    for outcome in asker.identify_many(reader, k=arguments.k, emotion=arguments.with_emotion):
        path, picture = reader.sent.popleft()
        if isinstance(outcome, ServerRefused):
            printer.failed(path, str(outcome.code), outcome.message)
        else:
            printer.answered(path, picture, outcome)
    return printer.exit_code


def _same_folder(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


class _Reader:
    """Reads the pictures one by one as they are asked for; `sent` holds those without an answer yet, in order."""

    def __init__(self, paths: list[Path], printer: _Printer) -> None:
        self.sent: deque[tuple[Path, bytes]] = deque()
        self._paths = paths
        self._printer = printer

    def __iter__(self) -> Iterator[bytes]:
        for path in self._paths:
            try:
                picture = read_picture(path)
            except OSError as error:
                self._printer.failed(path, "unreadable", f"can't read it: {error.strerror}")
                continue
            except TooManyBytes as error:
                self._printer.failed(path, "too_large", str(error))
                continue
            self.sent.append((path, picture))
            yield picture


class _Printer:
    """Prints the outcome for each picture, and keeps the exit code."""

    def __init__(self, arguments: argparse.Namespace, *, names_model: bool) -> None:
        self._names_model = names_model and not arguments.json
        self.exit_code = EXIT_ALL_MATCHED
        self._json = arguments.json
        self._candidates = arguments.k > 1
        self._bars = bars_for(sys.stdout.encoding)
        self._drawings = None if arguments.draw is None else Drawings(arguments.draw)

    def answered(self, path: Path, picture: bytes, answer: Identified) -> None:
        """Prints, and draws if asked to."""
        if self._names_model:
            self._names_model = False
            # Beside the answers, not among them
            print(f"recognised with {printable(answer.model)}", file=sys.stderr, flush=True)
        if not any(face.decision == "match" for face in answer.faces):
            self.exit_code = max(self.exit_code, EXIT_SOME_UNMATCHED)
        if self._json:
            print(json.dumps({"file": str(path), **to_plain(answer)}), flush=True)
        else:
            lines = describe(str(path), answer, candidates=self._candidates, bars=self._bars)
            print("\n".join(lines), flush=True)
        if self._drawings is not None:
            problem = self._drawings.add(path, picture, answer)
            if problem is not None:
                self._complain(path, problem)

    def failed(self, path: Path, code: str, message: str) -> None:
        """Reports that there is no answer for this picture: among the answers with --json, else on stderr."""
        self.exit_code = EXIT_FAILED
        if self._json:
            print(json.dumps({"file": str(path), "error": {"code": code, "message": message}}), flush=True)
        else:
            self._complain(path, message)

    def _complain(self, path: Path, message: str) -> None:
        self.exit_code = EXIT_FAILED
        complain(f"{path}: {message}", of="")
