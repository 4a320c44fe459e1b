"""Commands that correct who is who: label, merge, split, move, not, different, hide, undo, suggest, and the gallery."""

from __future__ import annotations

import argparse

from facewire.client.album_client import AlbumClient
from facewire.client.commands.album_common import add_album, number, person_line, person_number, say, say_changed
from facewire.client.commands.common import EXIT_ALL_MATCHED, EXIT_SOME_UNMATCHED
from facewire.client.commands.enrol import add_accept, refusal
from facewire.protocol.albums.correcting import AlbumHistoryListed
from facewire.protocol.text import counted, printable


def add_label(parser: argparse.ArgumentParser) -> None:
    """The options of label."""
    _add_person(parser)
    parser.add_argument(
        "name", metavar="NAME", help='another person\'s name merges the two; an empty one ("") is taken away'
    )


def label(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Names a person."""
    return say_changed(
        albums.label(arguments.album, _person(albums, arguments), arguments.name), as_json=arguments.json
    )


def add_merge(parser: argparse.ArgumentParser) -> None:
    """The options of merge."""
    _add_person(parser)
    parser.add_argument("others", nargs="+", metavar="PERSON", help="who is the same person")


def merge(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """These are one."""
    others = [person_number(albums, arguments.album, text) for text in arguments.others]
    changed = albums.merge(arguments.album, [_person(albums, arguments), *others])
    return say_changed(changed, as_json=arguments.json)


def add_split(parser: argparse.ArgumentParser) -> None:
    """The options of split."""
    add_move(parser)
    parser.add_argument("--name", default="", help="what the new person is called")


def split(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """These faces are a new person."""
    changed = albums.split(arguments.album, _person(albums, arguments), arguments.faces, arguments.name)
    return say_changed(changed, as_json=arguments.json)


def add_move(parser: argparse.ArgumentParser) -> None:
    """The options of move and not."""
    _add_person(parser)
    parser.add_argument("faces", nargs="+", type=number, metavar="FACE", help="as `album faces` numbers them")


def move(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """These faces are of that person."""
    changed = albums.move(arguments.album, arguments.faces, _person(albums, arguments))
    return say_changed(changed, as_json=arguments.json)


def not_person(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """These faces are not."""
    changed = albums.not_person(arguments.album, arguments.faces, _person(albums, arguments))
    return say_changed(changed, as_json=arguments.json)


def add_different(parser: argparse.ArgumentParser) -> None:
    """The options of different."""
    _add_person(parser)
    parser.add_argument("other", metavar="PERSON", help="who is somebody else")


def different(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """These are two."""
    other = person_number(albums, arguments.album, arguments.other)
    changed = albums.different(arguments.album, _person(albums, arguments), other)
    return say_changed(changed, as_json=arguments.json)


def add_hide(parser: argparse.ArgumentParser) -> None:
    """The options of hide."""
    _add_person(parser)
    parser.add_argument("--show", action="store_true", help="show them again")


def hide(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Hides a person, or shows them again."""
    changed = albums.hide(arguments.album, _person(albums, arguments), not arguments.show)
    return say_changed(changed, as_json=arguments.json)


def undo(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Takes the last correction back."""
    return say_changed(albums.undo(arguments.album), as_json=arguments.json)


def history(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """The corrections."""
    events = tuple(albums.all_history(arguments.album))
    lines = (f"{e.event:6d}  {printable(e.at)}  {printable(e.done)}{'  (undone)' if e.undone else ''}" for e in events)
    say(AlbumHistoryListed(events, len(events)), lines, as_json=arguments.json)
    return 0


def add_suggest(parser: argparse.ArgumentParser) -> None:
    """The options of suggest."""
    add_album(parser)
    parser.add_argument("-n", type=number, default=20, metavar="N", help="at most so many (default: %(default)s)")


def suggest(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Who may be one person; answer with merge or different."""
    suggested = albums.suggest(arguments.album, min(arguments.n, 1000))
    lines = []
    for pair in suggested.suggestions:
        lines.append(f"similarity {pair.similarity:.3f}, settles {pair.faces}:")
        lines += [f"  {person_line(person)}" for person in (pair.one, pair.other)]
    say(suggested, lines or ["nothing to suggest"], as_json=arguments.json)
    return 0


def add_recognise(parser: argparse.ArgumentParser) -> None:
    """The options of recognise."""
    add_album(parser)
    parser.add_argument("--apply", action="store_true", help="and give them these names, which `undo` takes back")


def recognise(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Whom the gallery knows."""
    recognised = albums.recognise(arguments.album, apply=arguments.apply)
    lines = [
        f"{match.person:6d}  {printable(match.name):28} similarity {match.similarity:.3f}"
        for match in recognised.matches
    ]
    say(recognised, lines or ["the gallery knows none of those without a name"], as_json=arguments.json)
    return 0


def add_enrol(parser: argparse.ArgumentParser) -> None:
    """The options of enrol."""
    _add_person(parser)
    parser.add_argument("--templates", type=number, default=5, metavar="N", help="best faces (default: %(default)s)")
    add_accept(parser)


def enrol(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Enrols a named person in the gallery."""
    enrolled = albums.enrol(
        arguments.album, _person(albums, arguments), min(arguments.templates, 100), accept=arguments.accept
    )
    lines = [f"{printable(one.photo)}: {refusal(one)}" for one in enrolled.left_out]
    lines.append(f"{printable(enrolled.name)}: {counted(enrolled.templates, 'template')} in the gallery")
    say(enrolled, lines, as_json=arguments.json)
    refused = any(one.reason != "duplicate" for one in enrolled.left_out)
    return EXIT_SOME_UNMATCHED if refused else EXIT_ALL_MATCHED


def _add_person(parser: argparse.ArgumentParser) -> None:
    add_album(parser)
    parser.add_argument("person", metavar="PERSON", help="name or number")


def _person(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    return person_number(albums, arguments.album, arguments.person)
