"""What the gallery holds, what happened to it, and changing it: people, show, history, rename, merge and others."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    EXIT_SOME_UNMATCHED,
    Commands,
    PlainRun,
    Usage,
    argument,
    client_for,
    complain,
    suggesting,
    whence,
)
from facewire.client.face_client import FaceClient
from facewire.protocol.arguments import positive
from facewire.protocol.command_names import as_called
from facewire.protocol.gallery_messages import Changed, EventEntry, PersonEntry, TemplateEntry
from facewire.protocol.schema import to_plain
from facewire.protocol.text import counted, counted_people, did_you_mean, printable

COMMANDS: Commands[PlainRun] = Commands()

_PAGE = 1000  # of the journal
_IN_FORCE = "Takes effect at once, for everybody; `client_app.py undo` reverts it."
_JSON = argument("--json", action="store_true", help="print one JSON object a line")


@COMMANDS.add(
    "people",
    "Lists the enrolled people by name, with their pictures and templates counted.",
    argument("contains", nargs="?", default="", metavar="TEXT", help="only names that contain this"),
    _JSON,
)
def people(arguments: argparse.Namespace) -> int:
    """Prints everybody; gives the exit code. Raises ClientError."""
    with client_for(arguments) as client:
        count = 0
        for person in client.all_people(arguments.contains):
            count += 1
            print(json.dumps(to_plain(person)) if arguments.json else _person_line(person))
    if not arguments.json:
        print(counted_people(count))
    return EXIT_ALL_MATCHED


@COMMANDS.add(
    "show",
    "Shows a person's templates: their numbers, which split and remove take, and where they are from.",
    argument("name", metavar="NAME", help="the person"),
    argument("--crops", type=Path, metavar="DIR", help="write the small pictures of the faces there, as N.jpg"),
    _JSON,
)
def show(arguments: argparse.Namespace) -> int:
    """Prints the templates, and writes their crops; gives the exit code. Raises Usage and ClientError."""
    directory: Path | None = arguments.crops
    with client_for(arguments) as client, suggesting(client, arguments.name):
        shown = client.show(arguments.name, limit=1, crops=False)
        if not arguments.json:
            print(f"{_person_line(shown.person)}  since {printable(shown.created)}")
        for template in client.all_templates(arguments.name, crops=directory is not None):
            if directory is not None and template.crop is not None:
                _write(directory, template, template.crop)
            if arguments.json:
                print(json.dumps(to_plain(template) | {"crop": None}))
            else:
                x, y, width, height = (round(value) for value in template.box)
                place = f"{width}x{height} at {x},{y}"
                print(f"  {template.id:>8}  {printable(template.image)}  {place}  {printable(template.created)}")
    return EXIT_ALL_MATCHED


@COMMANDS.add(
    "history",
    "Lists the changes to the gallery, the newest first: their numbers, when, and what.",
    argument("name", nargs="?", metavar="NAME", help="only those about this person"),
    argument("-n", type=positive, default=20, metavar="N", help="at most this many (default: %(default)s)"),
    _JSON,
)
def history(arguments: argparse.Namespace) -> int:
    """Prints the newest changes; gives the exit code. Raises ClientError."""
    with client_for(arguments) as client:
        left, before = arguments.n, None
        while left > 0:
            page = client.history(min(left, _PAGE), before=before, name=arguments.name).events
            for event in page:
                print(json.dumps(to_plain(event)) if arguments.json else _event_line(event))
            if not page:
                break
            left, before = left - len(page), page[-1].id
    return EXIT_ALL_MATCHED


@COMMANDS.add(
    "rename",
    f"Renames a person. {_IN_FORCE}",
    argument("name", metavar="NAME", help="their current name"),
    argument("to", metavar="NEW", help="their new name; if somebody has it already: merge"),
)
def rename(arguments: argparse.Namespace) -> int:
    """Raises ClientError."""
    with client_for(arguments) as client, suggesting(client, arguments.name):
        return _tell(client.rename(arguments.name, arguments.to))


@COMMANDS.add(
    "merge",
    f"Makes several people one: the last one named gets everything of the others. {_IN_FORCE}",
    argument("names", nargs="+", metavar="NAME", help="the people to merge from"),
    argument("into", metavar="INTO", help="who they are"),
)
def merge(arguments: argparse.Namespace) -> int:
    """Raises ClientError."""
    with client_for(arguments) as client, suggesting(client, *arguments.names, arguments.into):
        return _tell(client.merge(arguments.names, arguments.into))


@COMMANDS.add(
    "split",
    f"Gives templates to another person, who is created if new. {_IN_FORCE}",
    argument("name", metavar="NAME", help="whose they are now"),
    argument(
        "templates", nargs="+", metavar="N", help="their numbers, or the names of their pictures, as `show` lists them"
    ),
    argument("--to", required=True, metavar="OTHER", help="who gets them"),
)
def split(arguments: argparse.Namespace) -> int:
    """Raises ClientError."""
    with client_for(arguments) as client, suggesting(client, arguments.name):
        return _tell(client.split(arguments.name, _numbers(client, arguments), arguments.to))


@COMMANDS.add(
    "remove",
    f"Removes a person, or only some of their templates. {_IN_FORCE}",
    argument("name", metavar="NAME", help="the person"),
    argument("templates", nargs="*", metavar="N", help="only these templates of theirs: numbers, or names of pictures"),
    argument("--erase", action="store_true", help="permanently: it can't be undone"),
    argument("--yes", action="store_true", help="don't ask for confirmation of --erase"),
    epilog="With --erase nothing is kept: vectors, crops, what the journal had of them, and the search index's\n"
    "entries are gone for good, and nothing that happened before can be undone any more. Pictures in folders stay.",
)
def remove(arguments: argparse.Namespace) -> int:
    """Raises Usage and ClientError."""
    if arguments.erase:
        return _erase(arguments)
    with client_for(arguments) as client, suggesting(client, arguments.name):
        return _tell(client.remove(arguments.name, _numbers(client, arguments)))


@COMMANDS.add(
    "undo",
    "Undoes the last changes, the newest first. `client_app.py history` lists them.",
    argument("count", nargs="?", type=positive, default=1, metavar="N", help="how many (default: 1)"),
    argument(
        "--last", type=positive, metavar="NUMBER", help="only if the newest change is still this one, of `history`"
    ),
)
def undo(arguments: argparse.Namespace) -> int:
    """Raises ClientError."""
    with client_for(arguments) as client:
        undone = client.undo(arguments.count, last=arguments.last)
    for event in undone.undone:
        print(f"undone: {printable(event.text)}   (change {event.id})")
    _tell_people(undone.people)
    return EXIT_ALL_MATCHED


def _person_line(person: PersonEntry) -> str:
    """A person with their counts."""
    return f"{printable(person.name):24} {counted(person.templates, 'template')} of {counted(person.images, 'picture')}"


def _event_line(event: EventEntry) -> str:
    """A change in a line."""
    undone = "  (undone)" if event.undone else ""
    return f"{event.id:>6}  {printable(event.at)}  {printable(event.text)}{undone}{whence(event.token, event.address)}"


def _write(directory: Path, template: TemplateEntry, crop: bytes) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{template.id}.jpg").write_bytes(crop)
    except OSError as error:
        raise Usage(f"can't write to {directory}: {error.strerror}") from error


def _erase(arguments: argparse.Namespace) -> int:
    if arguments.templates:
        raise Usage("--erase takes a whole person; leave it out to remove single templates")
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise Usage("--erase can't be undone: confirm with --yes where there is no terminal")
        print(
            f"Permanently erase {printable(arguments.name)}? It can't be undone. Type their name: ", end="", flush=True
        )
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
        lie = "of the pictures is" if erased.sources == 1 else "of the pictures are"
        print(
            as_called(f"{erased.sources} {lie} in a folder: delete it there, or create_db.py enrols the person again")
        )
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
    print(f"{printable(changed.event.text)}   (change {changed.event.id})")
    _tell_people(changed.people)
    if changed.note:
        print(printable(changed.note), file=sys.stderr)
    return EXIT_ALL_MATCHED


def _tell_people(people: tuple[PersonEntry, ...]) -> None:
    for person in people:
        print(f"  {_person_line(person)}")
