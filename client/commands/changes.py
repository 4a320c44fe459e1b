"""`client_app.py rename`, `merge`, `split`, `remove` and `undo`: what changes the gallery."""

from __future__ import annotations

import argparse
import sys

from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    EXIT_SOME_UNMATCHED,
    Usage,
    add_server_arguments,
    client_for,
    complain,
    positive,
    suggesting,
)
from facewire.client.commands.listing import person_line
from facewire.client.face_client import FaceClient
from facewire.protocol.gallery_messages import Changed, EventEntry, PersonEntry
from facewire.protocol.text import counted, did_you_mean, printable

_IN_FORCE = "In force at once, for everybody; `client_app.py undo` takes it back."


def add_rename_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `rename`."""
    parser.description = f"Calls a person otherwise. {_IN_FORCE}"
    parser.add_argument("name", metavar="NAME", help="what they are called now")
    parser.add_argument("to", metavar="NEW", help="what they are to be called; where somebody is already: merge")
    add_server_arguments(parser)


def run_rename(arguments: argparse.Namespace) -> int:
    """Raises ClientError."""
    with client_for(arguments) as client, suggesting(client, arguments.name):
        return _tell(client.rename(arguments.name, arguments.to))


def add_merge_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `merge`."""
    parser.description = f"Makes several people one: the last one named gets everything of the others. {_IN_FORCE}"
    parser.add_argument("names", nargs="+", metavar="NAME", help="who they are taken for, wrongly")
    parser.add_argument("into", metavar="INTO", help="who they are")
    add_server_arguments(parser)


def run_merge(arguments: argparse.Namespace) -> int:
    """Raises ClientError."""
    with client_for(arguments) as client, suggesting(client, *arguments.names, arguments.into):
        return _tell(client.merge(arguments.names, arguments.into))


def add_split_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `split`."""
    parser.description = f"Gives templates to another person, who is added where unknown. {_IN_FORCE}"
    parser.add_argument("name", metavar="NAME", help="whose they are now")
    parser.add_argument(
        "templates", nargs="+", metavar="N", help="their numbers, or the names of their pictures, as `show` lists them"
    )
    parser.add_argument("--to", required=True, metavar="OTHER", help="whose they are to be")
    add_server_arguments(parser)


def run_split(arguments: argparse.Namespace) -> int:
    """Raises ClientError."""
    with client_for(arguments) as client, suggesting(client, arguments.name):
        return _tell(client.split(arguments.name, _numbers(client, arguments), arguments.to))


def add_remove_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `remove`."""
    parser.description = f"Removes a person, or only some of their templates. {_IN_FORCE}"
    parser.epilog = (
        "With --erase nothing is kept: vectors, crops, what the journal had of them, and the search index's entries\n"
        "are gone for good, and nothing that happened before can be undone any more. Pictures in folders stay."
    )
    parser.add_argument("name", metavar="NAME", help="the person")
    parser.add_argument(
        "templates", nargs="*", metavar="N", help="only these templates of theirs: numbers, or names of pictures"
    )
    parser.add_argument("--erase", action="store_true", help="for good: it can't be undone")
    parser.add_argument("--yes", action="store_true", help="don't ask whether --erase is meant")
    add_server_arguments(parser)


def run_remove(arguments: argparse.Namespace) -> int:
    """Raises Usage and ClientError."""
    if arguments.erase:
        return _erase(arguments)
    with client_for(arguments) as client, suggesting(client, arguments.name):
        return _tell(client.remove(arguments.name, _numbers(client, arguments)))


def add_undo_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `undo`."""
    parser.description = "Takes back the last changes, the newest first. `client_app.py history` lists them."
    parser.add_argument("count", nargs="?", type=positive, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument(
        "--last", type=positive, metavar="NUMBER", help="only if the newest change is still this one, of `history`"
    )
    add_server_arguments(parser)


def run_undo(arguments: argparse.Namespace) -> int:
    """Raises ClientError."""
    with client_for(arguments) as client:
        undone = client.undo(arguments.count, last=arguments.last)
    for event in undone.undone:
        print(f"taken back: {printable(event.text)}   (change {event.id})")
    _tell_people(undone.people)
    return EXIT_ALL_MATCHED


def _erase(arguments: argparse.Namespace) -> int:
    if arguments.templates:
        raise Usage("--erase is for a whole person; without it, single templates are removed")
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise Usage("--erase can't be undone: say --yes where nobody can be asked")
        print(f"Erase {printable(arguments.name)} for good? It can't be undone. Type their name: ", end="", flush=True)
        if sys.stdin.readline().strip() != arguments.name:
            print("nothing was erased")
            return EXIT_SOME_UNMATCHED
    with client_for(arguments) as client, suggesting(client, arguments.name):
        erased = client.erase(arguments.name)
    print(
        f"erased: {counted(erased.templates, 'template')} and {counted(erased.crops, 'crop')} of"
        f" {counted(erased.images, 'picture')}, and what {counted(erased.journal, 'row')} of the journal kept"
    )
    if erased.sources:
        lie = "of the pictures lies" if erased.sources == 1 else "of the pictures lie"
        print(f"{erased.sources} {lie} in a folder: delete it there, or create_db.py enrols the person again")
    if not erased.complete:
        complain(erased.note, of="")
        return EXIT_SOME_UNMATCHED
    return EXIT_ALL_MATCHED


def _numbers(client: FaceClient, arguments: argparse.Namespace) -> list[int]:
    """The numbers of the templates that `arguments` name by number or picture. Raises Usage."""
    named = [text for text in arguments.templates if not _is_number(text)]
    by_picture: dict[str, list[int]] = {}
    for template in client.all_templates(arguments.name, crops=False) if named else ():
        for picture in {template.image, template.image.rpartition("/")[2]}:
            by_picture.setdefault(picture, []).append(template.id)
    for text in named:
        if text not in by_picture:
            meant = did_you_mean(text, by_picture) or "; `show` lists numbers and pictures"
            raise Usage(f"{arguments.name} has no picture called {text}{meant}")
    numbers = [number for text in arguments.templates for number in by_picture.get(text) or [int(text)]]
    return list(dict.fromkeys(numbers))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text) > 0


def _tell(changed: Changed) -> int:
    _tell_event(changed.event)
    _tell_people(changed.people)
    if changed.note:
        print(printable(changed.note), file=sys.stderr)
    return EXIT_ALL_MATCHED


def _tell_event(event: EventEntry) -> None:
    print(f"{printable(event.text)}   (change {event.id})")


def _tell_people(people: tuple[PersonEntry, ...]) -> None:
    for person in people:
        print(f"  {person_line(person)}")
