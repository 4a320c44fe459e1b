"""Commands about albums as a whole: create, list, status, rename, delete."""

from __future__ import annotations

import argparse
import sys

from facewire.client.album_client import AlbumClient
from facewire.client.commands.album_common import AlbumCommands, say
from facewire.client.commands.common import EXIT_SOME_UNMATCHED, Usage, argument
from facewire.protocol.albums.collection import AlbumInfo, AlbumsListed
from facewire.protocol.text import counted, counted_people, printable

COMMANDS = AlbumCommands()


@COMMANDS.command("create", "a new, empty album")
def create(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Creates an album."""
    info = albums.create(arguments.album)
    return say(arguments, info, [f"{printable(info.album)}: created"])


@COMMANDS.command("list", "every album", album=False)
def list_albums(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Every album."""
    listed = albums.list()
    lines = [
        f"{printable(info.album):30} {counted(info.photos, 'photo')}, {counted_people(info.people)},"
        f" {info.named} with a name" + (f", {counted(info.waiting, 'photo')} waiting" if info.waiting else "")
        for info in listed.albums
    ]
    empty = "no albums yet: `client_app.py album create NAME` makes one"
    return say(arguments, AlbumsListed(listed.albums, listed.total), lines or [empty])


@COMMANDS.command("status", "what is in an album")
def status(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """One album."""
    info = albums.status(arguments.album)
    return say(arguments, info, describe_album(info))


@COMMANDS.command("rename", "another name for an album", argument("to", metavar="NAME", help="its new name"))
def rename(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Renames it."""
    info = albums.rename(arguments.album, arguments.to)
    return say(arguments, info, [f"{printable(arguments.album)} is called {printable(info.album)} now"])


@COMMANDS.command(
    "delete", "an album with everything in it, for good", argument("--yes", action="store_true", help="don't ask")
)
def delete(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Deletes an album, for good; asks first. Raises Usage."""
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise Usage("an album is deleted for good: say --yes")
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
    return lines if info.undo is None else [*lines, f"  undo would take back: {printable(info.undo)}"]
