"""What the commands about albums share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from facewire.client.album_client import AlbumClient
from facewire.client.commands.common import Usage
from facewire.protocol.albums.correcting import AlbumChanged
from facewire.protocol.albums.looking import AlbumPerson
from facewire.protocol.shapes import to_plain
from facewire.protocol.text import counted, did_you_mean, printable

Run = Callable[[AlbumClient, argparse.Namespace], int]


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """For every command."""
    parser.add_argument("--json", action="store_true", help="print the server's answer as one JSON object")


def add_album(parser: argparse.ArgumentParser) -> None:
    """The album's name."""
    parser.add_argument("album", metavar="ALBUM", help="the album's name")


def number(text: str) -> int:
    """An argument of argparse: the number of a photo or a face."""
    value = int(text)
    if not 0 < value < 2**53:
        raise argparse.ArgumentTypeError("must be a number from a list of photos or faces")
    return value


def person_number(albums: AlbumClient, album: str, text: str) -> int:
    """The number of a person who is called by it, or by their name. Raises Usage.

    A name made of digits has to be called by its number.
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
    hidden = "  (hidden)" if person.hidden else ""
    return f"{person.person:6d}  {name:28} {counted(person.faces, 'face')}, {counted(person.photos, 'photo')}{hidden}"


def say(answer: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Prints an answer."""
    if as_json:
        print(json.dumps(_without_bytes(to_plain(answer))), flush=True)
    else:
        for line in lines:
            print(line, flush=True)


def say_changed(changed: AlbumChanged, *, as_json: bool) -> int:
    """Prints what a correction did; the exit code."""
    say(changed, [printable(changed.done), *(person_line(person) for person in changed.people)], as_json=as_json)
    return 0


def write(path: Path, data: bytes) -> None:
    """Writes a file. Raises Usage where that can't be."""
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
