"""What the commands about albums share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from facewire.client.album_client import AlbumClient
from facewire.client.commands.common import EXIT_ALL_MATCHED, Argument, Commands, Usage, argument
from facewire.protocol.albums.correcting import AlbumChanged
from facewire.protocol.albums.looking import AlbumPerson
from facewire.protocol.arguments import whole
from facewire.protocol.schema import to_plain
from facewire.protocol.settings import Range
from facewire.protocol.text import counted, did_you_mean, printable

AlbumRun = Callable[[AlbumClient, argparse.Namespace], int]

number = whole(Range("a number from a list of photos or faces", lambda value: 0 < value < 2**53))
"""An argument of argparse: the number of a photo or a face."""

_ALBUM = argument("album", metavar="ALBUM", help="the album's name")
PERSON = argument("person", metavar="PERSON", help="name or number")
CONTAINS = argument(
    "--contains",
    default="",
    metavar="TEXT",
    help="only those whose name contains this, in any case, with or without accents",
)
DAYS = (
    argument("--since", default="", metavar="DAY", help="only photos taken on this day or later (YYYY-MM-DD)"),
    argument("--until", default="", metavar="DAY", help="only photos taken on this day or earlier (YYYY-MM-DD)"),
)
_JSON = argument("--json", action="store_true", help="print the server's answer as one JSON object")


class AlbumCommands(Commands[AlbumRun]):
    """Commands about albums, all of which have --json."""

    def command(self, name: str, help: str, *arguments: Argument, album: bool = True) -> Callable[[AlbumRun], AlbumRun]:
        """Decorates the function that does it, which takes an `album` first; `help` describes it in lists, too."""
        first = (_ALBUM,) if album else ()
        return self.add(name, f"{help[0].upper()}{help[1:]}.", *first, *arguments, _JSON, help=help)


def person_number(albums: AlbumClient, album: str, text: str) -> int:
    """The number of a person, given by it or by their name. Raises Usage.

    A person whose name is made of digits has to be given by number.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    wanted = " ".join(text.split())
    names = []
    for hidden in (False, True):
        for person in albums.all_people(album, hidden=hidden):
            if person.name == wanted:
                return person.person
            if person.name is None:
                break  # those with a name come first
            names.append(person.name)
    meant = did_you_mean(wanted, names) or "; `client_app.py album people` lists who is there"
    raise Usage(f"nobody in {album} is called {wanted}{meant}")


def person_line(person: AlbumPerson) -> str:
    """A person on a line of a list."""
    name = printable(person.name) if person.name is not None else "-"
    remarks = "".join(f"  ({word})" for word, so in (("hidden", person.hidden), ("stranger", person.stranger)) if so)
    seen = f", last seen {printable(person.seen)}" if person.seen else ""
    counts = f"{counted(person.faces, 'face')}, {counted(person.photos, 'photo')}"
    return f"{person.person:6d}  {name:28} {counts}{seen}{remarks}"


def say(arguments: argparse.Namespace, answer: object, lines: Iterable[str]) -> int:
    """Prints an answer; the exit code."""
    if arguments.json:
        print(json.dumps(_without_bytes(to_plain(answer))), flush=True)
    else:
        for line in lines:
            print(line, flush=True)
    return EXIT_ALL_MATCHED


def say_changed(arguments: argparse.Namespace, changed: AlbumChanged) -> int:
    """Prints what a correction did; the exit code."""
    return say(arguments, changed, [printable(changed.done), *map(person_line, changed.people)])


def write(path: Path, data: bytes) -> None:
    """Writes a file. Raises Usage."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Usage(f"can't write {path}: {error.strerror}") from error


def read(path: Path) -> bytes:
    """Reads a file. Raises Usage."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Usage(f"can't read {path}: {error.strerror}") from error


def _without_bytes(plain: object) -> object:
    if isinstance(plain, dict):
        return {key: _without_bytes(value) for key, value in plain.items() if not isinstance(value, bytes)}
    return [_without_bytes(value) for value in plain] if isinstance(plain, list) else plain
