"""`client_app.py people`, `show NAME` and `history`: what the gallery holds, and what happened to it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    Usage,
    add_server_arguments,
    client_for,
    positive,
    suggesting,
)
from facewire.protocol.gallery_messages import EventEntry, PersonEntry, TemplateEntry
from facewire.protocol.shapes import to_plain
from facewire.protocol.text import counted, counted_people, printable

_PAGE = 1000  # of the journal


def add_people_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `people`."""
    parser.description = "Lists the enrolled people by name, with their pictures and templates counted."
    parser.add_argument("contains", nargs="?", default="", metavar="TEXT", help="only names with this in them")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    add_server_arguments(parser)


def run_people(arguments: argparse.Namespace) -> int:
    """Prints everybody; gives the exit code. Raises ClientError."""
    with client_for(arguments) as client:
        count = 0
        for person in client.all_people(arguments.contains):
            count += 1
            print(json.dumps(to_plain(person)) if arguments.json else person_line(person))
    if not arguments.json:
        print(counted_people(count))
    return EXIT_ALL_MATCHED


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `show`."""
    parser.description = (
        "Shows a person's templates: their numbers, which split and remove take, and where they are from."
    )
    parser.add_argument("name", metavar="NAME", help="the person")
    parser.add_argument(
        "--crops", type=Path, metavar="DIR", help="write the small pictures of the faces there, as N.jpg"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    add_server_arguments(parser)


def run_show(arguments: argparse.Namespace) -> int:
    """Prints the templates, and writes their crops; gives the exit code. Raises Usage and ClientError."""
    directory: Path | None = arguments.crops
    with client_for(arguments) as client, suggesting(client, arguments.name):
        shown = client.show(arguments.name, limit=1, crops=False)
        if not arguments.json:
            print(f"{person_line(shown.person)}  since {printable(shown.created)}")
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


def add_history_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `history`."""
    parser.description = "Lists the changes to the gallery, the newest first: their numbers, when, and what."
    parser.add_argument("name", nargs="?", metavar="NAME", help="only those about this person")
    parser.add_argument("-n", type=positive, default=20, metavar="N", help="at most so many (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    add_server_arguments(parser)


def run_history(arguments: argparse.Namespace) -> int:
    """Prints the newest changes; gives the exit code. Raises ClientError."""
    with client_for(arguments) as client:
        left, before = arguments.n, None
        while left > 0:
            page = client.history(min(left, _PAGE), before=before, name=arguments.name).events
            for event in page:
                print(json.dumps(to_plain(event)) if arguments.json else event_line(event))
            if not page:
                break
            left, before = left - len(page), page[-1].id
    return EXIT_ALL_MATCHED


def person_line(person: PersonEntry) -> str:
    """A person with their counts."""
    return f"{printable(person.name):24} {counted(person.templates, 'template')} of {counted(person.images, 'picture')}"


def event_line(event: EventEntry) -> str:
    """A change in a line."""
    return f"{event.id:>6}  {printable(event.at)}  {printable(event.text)}{'  (taken back)' if event.undone else ''}"


def _write(directory: Path, template: TemplateEntry, crop: bytes) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{template.id}.jpg").write_bytes(crop)
    except OSError as error:
        raise Usage(f"can't write to {directory}: {error.strerror}") from error
