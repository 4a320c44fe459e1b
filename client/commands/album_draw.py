"""Commands about faces drawn by hand: draw, redraw, remove-face."""

from __future__ import annotations

import argparse

from facewire.client.album_client import AlbumClient
from facewire.client.commands.album_common import AlbumCommands, number, person_line, person_number, say, say_changed
from facewire.client.commands.common import Usage, argument
from facewire.protocol.albums.drawing import AlbumDrawn
from facewire.protocol.albums.looking import Box
from facewire.protocol.arguments import whole
from facewire.protocol.settings import between
from facewire.protocol.text import printable

COMMANDS = AlbumCommands()

_PIXELS = whole(between(0, 1_000_000))
_BOX = (
    argument("x", type=_PIXELS, metavar="X", help="of the box's left edge, in pixels of the upright photo"),
    argument("y", type=_PIXELS, metavar="Y", help="of its upper edge"),
    argument("width", type=_PIXELS, metavar="WIDTH", help="of the box"),
    argument("height", type=_PIXELS, metavar="HEIGHT", help="of the box"),
)
_FACE = argument("face", type=number, metavar="FACE", help="as `album faces` numbers them; one that was drawn")


@COMMANDS.command(
    "draw",
    "add a face that the detector missed",
    argument("photo", type=number, metavar="PHOTO", help="its number"),
    *_BOX,
    argument("--person", metavar="PERSON", help="whose it is (name or number)"),
    argument("--name", default="", help="the same, for somebody who may be new"),
)
def draw(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Adds a face. Raises Usage."""
    if arguments.person is not None and arguments.name:
        raise Usage("give --person or --name, not both")
    person = None if arguments.person is None else person_number(albums, arguments.album, arguments.person)
    drawn = albums.draw_face(arguments.album, arguments.photo, _box(arguments), person=person, name=arguments.name)
    return _say_drawn(arguments, drawn)


@COMMANDS.command("redraw", "move or resize a face that was drawn", _FACE, *_BOX)
def redraw(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Moves or resizes a face."""
    return _say_drawn(arguments, albums.redraw_face(arguments.album, arguments.face, _box(arguments)))


@COMMANDS.command("remove-face", "remove a face that was drawn", _FACE)
def remove_face(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Removes a face."""
    return say_changed(arguments, albums.remove_face(arguments.album, arguments.face))


def _box(arguments: argparse.Namespace) -> Box:
    return (arguments.x, arguments.y, arguments.width, arguments.height)


def _say_drawn(arguments: argparse.Namespace, drawn: AlbumDrawn) -> int:
    face = drawn.face
    seen = "" if face.embedded else ", in which no face can be made out: it is kept, but not recognised elsewhere"
    return say(arguments, drawn, [f"{printable(drawn.done)}: face {face.face}{seen}", *map(person_line, drawn.people)])
