"""`client_app.py album COMMAND ALBUM ...`: everything about albums."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from facewire.client.commands import album_collection, album_correct, album_draw, album_fill, album_find, album_look
from facewire.client.commands.album_common import AlbumRun
from facewire.client.commands.common import Command, PlainRun, client_for, with_hint
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
  client_app.py album people Trip --show unnamed --order photos   who is left to name
  client_app.py album label Trip 12 "Ada Lovelace"     person 12 is Ada
  client_app.py album suggest Trip --person 13         whom person 13 resembles
  client_app.py album stranger Trip 14                 nobody knows person 14: don't ask again
  client_app.py album suggest Trip                     list pairs that may be one person
  client_app.py album merge Trip Ada 31                they are
  client_app.py album undo Trip                        they are not
  client_app.py album draw Trip 7 410 220 90 120 --name Ada     she is in photo 7, too, where nobody was found

from a face to photographs:
  client_app.py album search Trip selfie.jpg           photos of who is on the selfie
  client_app.py album search Trip selfie.jpg --with person:Ada --all     of both together
  client_app.py album search Trip --text "red car by the sea"   photos that show this, if the server has a model
  client_app.py album export Trip ada.zip --person Ada

people are called by their name or number, photos and faces by their number.
exit codes: 0 done, 1 nobody found or some photos not added, 2 usage error, 3 failure
"""


COMMANDS: Mapping[str, Command[AlbumRun]] = {
    **album_collection.COMMANDS,
    **album_fill.COMMANDS,
    **album_look.COMMANDS,
    **album_correct.COMMANDS,
    **album_draw.COMMANDS,
    **album_find.COMMANDS,
}


def run(arguments: argparse.Namespace) -> int:
    """Does what was asked; gives the exit code. Raises Usage and ClientError."""
    command: Command[AlbumRun] = arguments.command
    with client_for(arguments) as client:
        try:
            return command.run(client.albums, arguments)
        except ServerRefused as error:
            if error.code != ErrorCode.UNKNOWN_ALBUM:
                raise
            known = [info.album for info in client.albums.list().albums]
            raise with_hint(error, [arguments.album], known) from error


ALBUM: Command[PlainRun] = Command(run, (), _DESCRIPTION, epilog=_EXAMPLES, commands=COMMANDS)
"""`client_app.py album`."""
