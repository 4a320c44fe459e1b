"""Commands that correct who is who: names, merges, splits, moves, who is hidden or a stranger, undo, suggestions, and
the gallery."""

from __future__ import annotations

import argparse

from facewire.client.album_client import AlbumClient
from facewire.client.commands.album_common import (
    PERSON,
    AlbumCommands,
    number,
    person_line,
    person_number,
    say,
    say_changed,
)
from facewire.client.commands.common import EXIT_ALL_MATCHED, EXIT_SOME_UNMATCHED, argument, whence
from facewire.client.commands.enrol import ACCEPT, refusal
from facewire.protocol.albums.correcting import AlbumHistoryListed
from facewire.protocol.text import counted, printable

COMMANDS = AlbumCommands()

_FACES = argument("faces", nargs="+", type=number, metavar="FACE", help="as `album faces` numbers them")


@COMMANDS.command(
    "label",
    "name a person",
    PERSON,
    argument("name", metavar="NAME", help='another person\'s name merges the two; an empty one ("") removes the name'),
)
def label(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Names a person."""
    return say_changed(
        arguments,
        albums.label(arguments.album, _person(albums, arguments), arguments.name),
    )


@COMMANDS.command(
    "merge",
    "merge several people into one",
    PERSON,
    argument("others", nargs="+", metavar="PERSON", help="who is the same person"),
)
def merge(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Merges people."""
    others = [person_number(albums, arguments.album, text) for text in arguments.others]
    changed = albums.merge(arguments.album, [_person(albums, arguments), *others])
    return say_changed(arguments, changed)


@COMMANDS.command(
    "split",
    "split these faces off as another person",
    PERSON,
    _FACES,
    argument("--name", default="", help="the new person's name"),
)
def split(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Makes a new person of these faces."""
    changed = albums.split(arguments.album, _person(albums, arguments), arguments.faces, arguments.name)
    return say_changed(arguments, changed)


@COMMANDS.command("move", "these faces are of that person", PERSON, _FACES)
def move(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Moves faces to a person."""
    changed = albums.move(arguments.album, arguments.faces, _person(albums, arguments))
    return say_changed(arguments, changed)


@COMMANDS.command("not", "these faces are not of that person", PERSON, _FACES)
def not_person(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Takes faces away from a person."""
    changed = albums.not_person(arguments.album, arguments.faces, _person(albums, arguments))
    return say_changed(arguments, changed)


@COMMANDS.command(
    "different",
    "these two are not one person",
    PERSON,
    argument("other", metavar="PERSON", help="who is somebody else"),
)
def different(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Notes that two people are different."""
    other = person_number(albums, arguments.album, arguments.other)
    changed = albums.different(arguments.album, _person(albums, arguments), other)
    return say_changed(arguments, changed)


@COMMANDS.command(
    "hide",
    "hide people, such as passers-by (--show: show them again)",
    argument("people", nargs="+", metavar="PERSON", help="name or number"),
    argument("--show", action="store_true", help="show them again"),
)
def hide(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Hides people, or shows them again."""
    people = [person_number(albums, arguments.album, text) for text in arguments.people]
    changed = albums.hide(arguments.album, people, not arguments.show)
    return say_changed(arguments, changed)


@COMMANDS.command(
    "stranger",
    "nobody knows these people, who have no name: don't ask about them (--not: ask again)",
    argument("people", nargs="+", metavar="PERSON", help="number"),
    argument("--not", dest="known", action="store_true", help="somebody may know them after all"),
)
def stranger(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Notes that nobody knows them."""
    people = [person_number(albums, arguments.album, text) for text in arguments.people]
    return say_changed(arguments, albums.stranger(arguments.album, people, not arguments.known))


@COMMANDS.command(
    "undo",
    "undo the last correction",
    argument(
        "--last", type=number, metavar="NUMBER", help="only if the last one is still this one, of `album history`"
    ),
)
def undo(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Takes the last correction back."""
    return say_changed(arguments, albums.undo(arguments.album, last=arguments.last))


@COMMANDS.command("history", "the corrections, newest first")
def history(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """The corrections."""
    events = tuple(albums.all_history(arguments.album))
    lines = (
        f"{e.event:6d}  {printable(e.at)}  {printable(e.done)}{whence(e.token, e.address)}"
        f"{'  (undone)' + whence(e.undone_token, e.undone_address) if e.undone else ''}"
        for e in events
    )
    return say(arguments, AlbumHistoryListed(events, len(events)), lines)


@COMMANDS.command(
    "suggest",
    "list pairs that may be one person",
    argument("-n", type=number, default=20, metavar="N", help="at most this many (default: %(default)s)"),
    argument("--person", metavar="PERSON", help="who may be this one (name or number), the likeliest first"),
)
def suggest(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Who may be one person; answer with merge or different."""
    person = None if arguments.person is None else person_number(albums, arguments.album, arguments.person)
    suggested = albums.suggest(arguments.album, min(arguments.n, 1000), person=person)
    lines = []
    for pair in suggested.suggestions:
        where = ", in the background" if pair.background else ""
        lines.append(f"similarity {pair.similarity:.3f}, settles {pair.faces}{where}:")
        lines += [f"  {person_line(person)}" for person in (pair.one, pair.other)]
    return say(arguments, suggested, lines or ["nothing to suggest"])


@COMMANDS.command(
    "recognise",
    "name people whom the gallery knows",
    argument("--apply", action="store_true", help="and give them these names (`undo` reverts it)"),
    argument(
        "--only",
        action="append",
        type=number,
        default=[],
        metavar="NUMBER",
        help="only this person without a name; repeatable",
    ),
)
def recognise(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Whom the gallery knows."""
    recognised = albums.recognise(arguments.album, apply=arguments.apply, people=arguments.only)
    lines = [
        f"{match.person:6d}  {printable(match.name):28} similarity {match.similarity:.3f}"
        for match in recognised.matches
    ]
    return say(arguments, recognised, lines or ["the gallery knows none of those without a name"])


@COMMANDS.command(
    "enrol",
    "enrol a named person in the gallery",
    PERSON,
    argument("--templates", type=number, default=5, metavar="N", help="best faces (default: %(default)s)"),
    ACCEPT,
)
def enrol(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Enrols a named person in the gallery."""
    enrolled = albums.enrol(
        arguments.album,
        _person(albums, arguments),
        min(arguments.templates, 100),
        accept=arguments.accept,
    )
    lines = [f"{printable(one.photo)}: {refusal(one)}" for one in enrolled.left_out]
    lines.append(f"{printable(enrolled.name)}: {counted(enrolled.templates, 'template')} in the gallery")
    say(arguments, enrolled, lines)
    refused = any(one.reason != "duplicate" for one in enrolled.left_out)
    return EXIT_SOME_UNMATCHED if refused else EXIT_ALL_MATCHED


def _person(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    return person_number(albums, arguments.album, arguments.person)
