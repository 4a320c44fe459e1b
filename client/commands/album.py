"""`client_app.py album COMMAND ALBUM ...`: everything about albums."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from facewire.client.commands import album_common, album_correct, album_fill, album_find, album_look
from facewire.client.commands.album_common import Run, add_json_argument
from facewire.client.commands.common import add_server_arguments, client_for, with_hint
from facewire.client.errors import ServerRefused
from facewire.protocol.errors import ErrorCode

_DESCRIPTION = """\
Albums of photographs on a facewire server: add photos, find the people in them, name them, search, export.
`client_app.py album COMMAND --help` explains each command."""

_EXAMPLES = """\
from photographs to names:
  client_app.py album create Trip
  client_app.py album add Trip holiday/ more.zip       pictures, folders, ZIP files
  client_app.py album process Trip                     finds the faces, and who is who
  client_app.py album people Trip --faces crops/       everybody, with a picture of each
  client_app.py album label Trip 12 "Ada Lovelace"     person 12 is Ada
  client_app.py album suggest Trip                     who may be one person?
  client_app.py album merge Trip Ada 31                they are
  client_app.py album undo Trip                        they are not

from a face to photographs:
  client_app.py album search Trip selfie.jpg           photos of who is on the selfie
  client_app.py album search Trip selfie.jpg --with person:Ada --all     of both together
  client_app.py album export Trip ada.zip --person Ada

people are called by their name or number, photos and faces by their number.
exit codes: 0 done, 1 nobody found or some photos not added, 2 asked wrongly, 3 something failed
"""


@dataclass(frozen=True, slots=True)
class _Command:
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Run


COMMANDS: Mapping[str, _Command] = {
    "create": _Command("a new, empty album", album_common.add_album, album_fill.create),
    "list": _Command("every album", album_look.add_nothing, album_look.list_albums),
    "status": _Command("what is in an album", album_common.add_album, album_look.status),
    "rename": _Command("another name for an album", album_fill.add_rename, album_fill.rename),
    "delete": _Command("an album with everything in it, for good", album_fill.add_delete, album_fill.delete),
    "add": _Command("pictures, folders and ZIP files", album_fill.add_add, album_fill.add),
    "import": _Command("a folder of the server's own disk", album_fill.add_import, album_fill.import_folder),
    "folders": _Command("the folders that `import` could take", album_fill.add_folders, album_fill.folders),
    "remove": _Command("take photos out, for good", album_fill.add_remove, album_fill.remove),
    "process": _Command("find the faces, and who is who", album_fill.add_process, album_fill.process),
    "photos": _Command("the photos", album_look.add_photos, album_look.photos),
    "photo": _Command("save one photo, or a thumbnail", album_look.add_photo, album_look.photo),
    "people": _Command("the people found", album_look.add_people, album_look.people),
    "faces": _Command("the faces of a person or a photo", album_look.add_faces, album_look.faces),
    "label": _Command("name a person", album_correct.add_label, album_correct.label),
    "merge": _Command("these are one person", album_correct.add_merge, album_correct.merge),
    "split": _Command("these faces are somebody else", album_correct.add_split, album_correct.split),
    "move": _Command("these faces are of that person", album_correct.add_move, album_correct.move),
    "not": _Command("these faces are not of that person", album_correct.add_move, album_correct.not_person),
    "different": _Command("these two are not one person", album_correct.add_different, album_correct.different),
    "hide": _Command("a passer-by, or with --show not", album_correct.add_hide, album_correct.hide),
    "undo": _Command("take the last correction back", album_common.add_album, album_correct.undo),
    "history": _Command("the corrections, newest first", album_common.add_album, album_correct.history),
    "suggest": _Command("who may be one person?", album_correct.add_suggest, album_correct.suggest),
    "recognise": _Command("whom does the gallery know?", album_correct.add_recognise, album_correct.recognise),
    "enrol": _Command("enrol a named person in the gallery", album_correct.add_enrol, album_correct.enrol),
    "search": _Command("photos of somebody", album_find.add_search, album_find.search),
    "export": _Command("an album, or a part of it, as a ZIP", album_find.add_export, album_find.export),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands and their options."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, command in COMMANDS.items():
        inner = commands.add_parser(name, help=command.help, description=command.help.capitalize() + ".")
        command.add_arguments(inner)
        add_json_argument(inner)
        add_server_arguments(inner)
        inner.set_defaults(album_command=command)


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked; gives the exit code. Raises Usage and ClientError."""
    command: _Command = arguments.album_command
    with client_for(arguments) as client:
        try:
            return command.run(client.albums, arguments)
        except ServerRefused as error:
            if error.code != ErrorCode.UNKNOWN_ALBUM:
                raise
            known = [info.album for info in client.albums.list().albums]
            raise with_hint(error, [arguments.album], known) from error
