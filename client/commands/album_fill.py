"""Commands that fill albums: create, add, import, process, remove, delete."""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facewire.client.album_client import AlbumClient
from facewire.client.commands.album_common import add_album, number, say
from facewire.client.commands.common import EXIT_SOME_UNMATCHED, Usage, complain
from facewire.client.errors import ServerRefused, TooLarge
from facewire.client.pictures import LARGEST, files_below, is_picture, over_limit
from facewire.client.progress import Progress, megabytes
from facewire.protocol.albums.adding import AlbumIngested, AlbumSkipped
from facewire.protocol.albums.collection import AlbumInfo
from facewire.protocol.clutter import LeftOut
from facewire.protocol.formats import NAMES, UNSUPPORTED
from facewire.protocol.messages import Progress as News
from facewire.protocol.text import counted, counted_people, printable

_STAGES = {
    "waiting": "waiting for another album",
    "unpacking": "adding",
    "faces": "finding faces",
    "people": "who is who",
}


def create(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """A new album."""
    info = albums.create(arguments.album)
    say(info, [f"{printable(info.album)}: created"], as_json=arguments.json)
    return 0


def add_rename(parser: argparse.ArgumentParser) -> None:
    """The options of rename."""
    add_album(parser)
    parser.add_argument("to", metavar="NAME", help="what it is called from now on")


def rename(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Another name."""
    info = albums.rename(arguments.album, arguments.to)
    say(info, [f"{printable(arguments.album)} is called {printable(info.album)} now"], as_json=arguments.json)
    return 0


def add_delete(parser: argparse.ArgumentParser) -> None:
    """The options of delete."""
    add_album(parser)
    parser.add_argument("--yes", action="store_true", help="don't ask")


def delete(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """An album, for good; asks first. Raises Usage."""
    if not arguments.yes:
        if not sys.stdin.isatty():
            raise Usage("an album is deleted for good: say --yes")
        photos = albums.status(arguments.album).photos
        if input(
            f"Delete {printable(arguments.album)} with {counted(photos, 'photo')}, for good? [y/N] "
        ).strip() not in (
            "y",
            "Y",
        ):
            print("nothing was deleted")
            return EXIT_SOME_UNMATCHED
    deleted = albums.delete(arguments.album)
    say(
        deleted,
        [f"{printable(deleted.album)}: deleted, with {counted(deleted.photos, 'photo')}"],
        as_json=arguments.json,
    )
    return 0


def add_add(parser: argparse.ArgumentParser) -> None:
    """The options of add."""
    add_album(parser)
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH",
        help="a picture, a folder (pictures at any depth, their folders kept in their names), or a ZIP file",
    )  # fmt: skip
    parser.add_argument("--create", action="store_true", help="create the album if there is none of that name")
    parser.add_argument("--process", action="store_true", help="and find the faces afterwards")


def add(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Adds everything, with a progress bar; what was added before is passed over. Raises Usage."""
    result = _Result()
    files = []
    for found in (_FoundFile(path, name) for given in arguments.paths for path, name in _found(given, result.left_out)):
        if found.path in arguments.paths or is_picture(found.path):
            files.append(found)
        else:
            is_zip = found.path.suffix.lower() == ".zip"
            result.skipped.append((found.name, "a ZIP in a folder: add it on its own" if is_zip else UNSUPPORTED))
    if not files:
        raise Usage(f"no pictures there, only {counted(len(result.skipped), 'other file')}; looked for {NAMES} and ZIP")
    if arguments.create and not any(info.album == arguments.album for info in albums.list().albums):
        albums.create(arguments.album)
    _add_pictures(albums, arguments.album, [file for file in files if file.path.suffix.lower() != ".zip"], result)
    for file in files:
        if file.path.suffix.lower() == ".zip":
            _add_zip(albums, arguments.album, file.path, result)
    code = _say_ingested(result.ingested(), as_json=arguments.json)
    if arguments.process:
        process_with_bar(albums, arguments.album, again=False)
    return code


def add_import(parser: argparse.ArgumentParser) -> None:
    """The options of import."""
    add_album(parser)
    parser.add_argument(
        "folder", metavar="FOLDER", help="relative to the import root of the server, which its owner chose"
    )


def import_folder(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """A folder on the server."""
    with Progress("adding", "files") as bar:
        ingested = albums.import_folder(arguments.album, arguments.folder, _Draw(bar))
    return _say_ingested(ingested, as_json=arguments.json)


def add_folders(parser: argparse.ArgumentParser) -> None:
    """The options of folders."""
    parser.add_argument("folder", nargs="?", default="", metavar="FOLDER", help="relative to the import root")


def folders(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """The folders on the server that an import could take."""
    listed = albums.folders(arguments.folder)
    lines = [printable(f"{arguments.folder}/{name}".lstrip("/")) for name in listed.folders]
    if listed.total > len(listed.folders):
        lines.append(f"and {listed.total - len(listed.folders)} more")
    lines.append(f"{counted(listed.pictures, 'picture')} in this folder itself")
    refused = ["this server imports no folders: its owner can allow one with --album-import-root"]
    say(listed, lines if listed.allowed else refused, as_json=arguments.json)
    return 0 if listed.allowed else EXIT_SOME_UNMATCHED


def add_remove(parser: argparse.ArgumentParser) -> None:
    """The options of remove."""
    add_album(parser)
    parser.add_argument("photos", nargs="+", type=number, metavar="PHOTO", help="its number")


def remove(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Photos, for good."""
    removed = albums.remove(arguments.album, arguments.photos)
    line = f"removed {counted(removed.photos, 'photo')} with {counted(removed.faces, 'face')}"
    say(removed, [line], as_json=arguments.json)
    return 0


def add_process(parser: argparse.ArgumentParser) -> None:
    """The options of process."""
    add_album(parser)
    parser.add_argument("--no-wait", action="store_true", help="begin, and don't wait for the end")
    parser.add_argument("--again", action="store_true", help="try unreadable photos again, too")


def process(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Finds the faces, with a progress bar."""
    if arguments.no_wait:
        info = albums.process(arguments.album, wait=False, again=arguments.again)
    else:
        info = process_with_bar(albums, arguments.album, again=arguments.again)
    say(info, describe_album(info), as_json=arguments.json)
    return 0


def process_with_bar(albums: AlbumClient, album: str, *, again: bool) -> AlbumInfo:
    """Processes an album and draws how far it is. Ctrl-C leaves the server at work."""
    with Progress("finding faces", "photos") as bar:
        return albums.process(album, again=again, on_progress=_Draw(bar))


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


@dataclass(frozen=True, slots=True)
class _Draw:
    """The server's news on a bar."""

    bar: Progress

    def __call__(self, news: News) -> None:
        stage = str(news.details.get("stage", ""))
        self.bar.at(news.done, news.total, label=_STAGES.get(stage, stage))


@dataclass(frozen=True, slots=True)
class _FoundFile:
    """A file to add, and what it is called in the album."""

    path: Path
    name: str


@dataclass(slots=True)
class _Result:
    """What became of everything that was given."""

    added: int = 0
    duplicates: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    more_skipped: int = 0
    left_out: LeftOut = field(default_factory=LeftOut)
    left_out_there: int = 0

    def take(self, part: AlbumIngested) -> None:
        self.added += part.added
        self.duplicates += part.duplicates
        self.skipped += [(skipped.name, skipped.reason) for skipped in part.skipped]
        self.more_skipped += part.skipped_total - len(part.skipped)
        self.left_out_there += part.left_out

    def ingested(self) -> AlbumIngested:
        listed = tuple(AlbumSkipped(name, reason) for name, reason in self.skipped)
        left_out = self.left_out.total + self.left_out_there
        return AlbumIngested(self.added, self.duplicates, listed, len(listed) + self.more_skipped, left_out)


def _found(given: Path, left_out: LeftOut) -> Iterator[tuple[Path, str]]:
    """The files that a path stands for, with their names in the album. Raises Usage."""
    if given.is_file():
        yield given, given.name
        return
    if not given.is_dir():
        raise Usage(f"no such file or folder: {given}")
    top = given.resolve().name
    for path in files_below(given, left_out):
        yield path, f"{top}/{path.relative_to(given).as_posix()}"


def _add_pictures(albums: AlbumClient, album: str, files: list[_FoundFile], result: _Result) -> None:
    sent: deque[_FoundFile] = deque()

    def pictures() -> Iterator[tuple[str, bytes]]:
        for file in files:
            try:
                data = file.path.read_bytes()
            except OSError as error:
                result.skipped.append((file.name, f"can't be read: {error.strerror}"))
                continue
            if len(data) > LARGEST:
                result.skipped.append((file.name, over_limit(data)))
                continue
            sent.append(file)
            yield file.name, data

    with Progress("adding", "photos") as bar:
        for done, outcome in enumerate(albums.add_many(album, pictures()), 1):
            file = sent.popleft()
            if isinstance(outcome, ServerRefused):
                if isinstance(outcome, TooLarge) or str(outcome.code) == "unknown_album":
                    raise outcome  # the others would fare no better
                result.skipped.append((file.name, outcome.message))
            elif outcome.duplicate:
                result.duplicates += 1
            else:
                result.added += 1
            bar.at(done, len(files))


def _add_zip(albums: AlbumClient, album: str, path: Path, result: _Result) -> None:
    try:
        with path.open("rb") as file, Progress(f"sending {printable(path.name)}", "MB", size=megabytes) as bar:
            size = path.stat().st_size
            with Progress("adding", "files") as unpacking:
                ingested = albums.add_zip(
                    album, file, on_sent=lambda sent: bar.at(sent, size), on_progress=_Draw(unpacking)
                )
    except OSError as error:
        raise Usage(f"can't read {path}: {error.strerror}") from error
    result.take(ingested)


def _say_ingested(ingested: AlbumIngested, *, as_json: bool) -> int:
    line = f"{counted(ingested.added, 'photo')} added, {ingested.duplicates} there already"
    if ingested.skipped_total:
        line += f", {ingested.skipped_total} not added"
    if ingested.left_out:
        line += f", {counted(ingested.left_out, 'service file or folder', 'service files and folders')} left out"
    say(ingested, [line], as_json=as_json)
    if not as_json:
        for skipped in ingested.skipped:
            complain(f"{skipped.name}: {skipped.reason}", of="")
    return EXIT_SOME_UNMATCHED if ingested.skipped_total else 0
