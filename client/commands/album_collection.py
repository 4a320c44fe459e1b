"""Commands about albums as a whole: create, list, status, rename, delete."""

from __future__ import annotations

import argparse
import sys

from facewire.client.album_client import AlbumClient
from facewire.client.commands.album_common import CONTAINS, AlbumCommands, say
from facewire.client.commands.common import EXIT_SOME_UNMATCHED, Usage, argument
from facewire.protocol.albums.collection import AlbumInfo, AlbumsListed
from facewire.protocol.command_names import as_called
from facewire.protocol.text import counted, counted_people, printable

COMMANDS = AlbumCommands()


@COMMANDS.command("create", "a new, empty album")
def create(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Creates an album."""
    info = albums.create(arguments.album)
    return say(arguments, info, [f"{printable(info.album)}: created"])


@COMMANDS.command("list", "every album", CONTAINS, album=False)
def list_albums(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Every album, or those with this in their names."""
    listed = albums.list(contains=arguments.contains)
    lines = [
        f"{printable(info.album):30} {counted(info.photos, 'photo')}, {counted_people(info.people)},"
        f" {info.named} with a name" + (f", {counted(info.waiting, 'photo')} waiting" if info.waiting else "")
        for info in listed.albums
    ]
    empty = as_called("no albums yet: `client_app.py album create NAME` makes one")
    if arguments.contains:
        empty = "no album's name contains that"
    return say(arguments, AlbumsListed(listed.albums, listed.total), lines or [empty])


@COMMANDS.command("status", "show what an album holds")
def status(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """One album."""
    info = albums.status(arguments.album)
    return say(arguments, info, describe_album(info))


@COMMANDS.command("rename", "rename an album", argument("to", metavar="NAME", help="its new name"))
def rename(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Renames it."""
    info = albums.rename(arguments.album, arguments.to)
    return say(arguments, info, [f"{printable(arguments.album)} is now called {printable(info.album)}"])


@COMMANDS.command(
    "delete",
    "delete an album and everything in it, permanently",
    argument("--yes", action="store_true", help="don't ask"),
)
def delete(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Deletes an album, for good; asks first. Raises Usage."""
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise Usage("deleting an album is permanent: confirm with --yes")
        photos = albums.status(arguments.album).photos
        question = f"Delete {printable(arguments.album)} with {counted(photos, 'photo')}, for good? [y/N] "
        if input(question).strip() not in ("y", "Y"):
            print("nothing was deleted")
            return EXIT_SOME_UNMATCHED
    deleted = albums.delete(arguments.album)
    return say(arguments, deleted, [f"{printable(deleted.album)}: deleted, with {counted(deleted.photos, 'photo')}"])


def describe_album(info: AlbumInfo) -> list[str]:
    """An album in a few lines."""
    lines = [
        f"{printable(info.album)}: {counted(info.photos, 'photo')}, {info.size_bytes / 1e6:.1f} MB, "
        f"created {printable(info.created)}",
        f"  {info.with_faces} with faces, {info.without_faces} without, {info.unreadable} unreadable, "
        f"{info.waiting} waiting{' (being processed)' if info.processing else ''}"
        f"{', more being added' if info.adding else ''}",
        f"  {counted(info.faces, 'face')} of {counted_people(info.people)}, {info.named} with a name,"
        f" {info.hidden} hidden",
    ]
    return lines if info.undo is None else [*lines, f"  undo would take back: {printable(info.undo)}{_number(info)}"]


def _number(info: AlbumInfo) -> str:
    """Of the correction that would be undone; older servers don't tell."""
    return "" if info.undo_event is None else f"   (change {info.undo_event})"
