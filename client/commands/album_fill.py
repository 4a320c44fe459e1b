"""Commands that fill albums: add, import, folders, remove, process."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from facewire.client.album_client import AlbumClient
from facewire.client.bar import Bar
from facewire.client.commands.album_collection import describe_album
from facewire.client.commands.album_common import AlbumCommands, number, say
from facewire.client.commands.common import EXIT_SOME_UNMATCHED, Usage, argument, complain
from facewire.client.errors import ServerRefused, TooLarge
from facewire.client.pictures import LARGEST, files_below, is_picture, over_limit
from facewire.protocol.albums.adding import AlbumIngested, AlbumSkipped
from facewire.protocol.albums.collection import AlbumInfo
from facewire.protocol.clutter import LeftOut
from facewire.protocol.formats import NAMES, UNSUPPORTED
from facewire.protocol.messages import Progress
from facewire.protocol.text import counted, printable

_STAGES = {
    "waiting": "waiting for another album",
    "unpacking": "adding",
    "faces": "finding faces",
    "people": "who is who",
}

COMMANDS = AlbumCommands()


@COMMANDS.command(
    "add",
    "pictures, folders and ZIP files",
    argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a picture, a folder (pictures at any depth, their folders kept in their names), or a ZIP file",
    ),
    argument("--create", action="store_true", help="create the album if there is none of that name"),
    argument("--process", action="store_true", help="and find the faces afterwards"),
)
def add(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Adds everything, with a progress bar; what was added before is skipped. Raises Usage."""
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
    code = _say_ingested(arguments, result.ingested())
    if arguments.process:
        _process(albums, arguments.album, again=False)
    return code


@COMMANDS.command(
    "import",
    "a folder of the server's own disk",
    argument("folder", metavar="FOLDER", help="relative to the import root of the server, which its owner chose"),
)
def import_folder(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Adds a folder of the server."""
    with Bar("adding", "files") as bar:
        ingested = albums.import_folder(arguments.album, arguments.folder, _Draw(bar))
    return _say_ingested(arguments, ingested)


@COMMANDS.command(
    "folders",
    "the folders that `import` could take",
    argument("folder", nargs="?", default="", metavar="FOLDER", help="relative to the import root"),
    album=False,
)
def folders(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """The folders on the server that an import could take."""
    listed = albums.folders(arguments.folder)
    lines = [printable(f"{arguments.folder}/{name}".lstrip("/")) for name in listed.folders]
    if listed.total > len(listed.folders):
        lines.append(f"and {listed.total - len(listed.folders)} more")
    lines.append(f"{counted(listed.pictures, 'picture')} in this folder itself")
    refused = ["this server imports no folders: its owner can allow one with --album-import-root"]
    say(arguments, listed, lines if listed.allowed else refused)
    return 0 if listed.allowed else EXIT_SOME_UNMATCHED


@COMMANDS.command(
    "remove",
    "take photos out, for good",
    argument("photos", nargs="+", type=number, metavar="PHOTO", help="its number"),
)
def remove(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Removes photos, for good."""
    removed = albums.remove(arguments.album, arguments.photos)
    line = f"removed {counted(removed.photos, 'photo')} with {counted(removed.faces, 'face')}"
    return say(arguments, removed, [line])


@COMMANDS.command(
    "process",
    "find the faces, and who is who",
    argument("--no-wait", action="store_true", help="begin, and don't wait for the end"),
    argument("--again", action="store_true", help="try unreadable photos again, too"),
)
def process(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Finds the faces, with a progress bar."""
    if arguments.no_wait:
        info = albums.process(arguments.album, wait=False, again=arguments.again)
    else:
        info = _process(albums, arguments.album, again=arguments.again)
    return say(arguments, info, describe_album(info))


def _process(albums: AlbumClient, album: str, *, again: bool) -> AlbumInfo:
    """Processes an album and draws how far it is. Ctrl-C leaves the server at work."""
    with Bar("finding faces", "photos") as bar:
        return albums.process(album, again=again, on_progress=_Draw(bar))


@dataclass(frozen=True, slots=True)
class _Draw:
    """Shows the server's progress on a bar."""

    bar: Bar

    def __call__(self, news: Progress) -> None:
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

    with Bar("adding", "photos") as bar:
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
        with path.open("rb") as file, Bar(f"sending {printable(path.name)}", "B") as bar:
            size = path.stat().st_size
            with Bar("adding", "files") as unpacking:
                ingested = albums.add_zip(
                    album, file, on_sent=lambda sent: bar.at(sent, size), on_progress=_Draw(unpacking)
                )
    except OSError as error:
        raise Usage(f"can't read {path}: {error.strerror}") from error
    result.take(ingested)


def _say_ingested(arguments: argparse.Namespace, ingested: AlbumIngested) -> int:
    line = f"{counted(ingested.added, 'photo')} added, {ingested.duplicates} there already"
    if ingested.skipped_total:
        line += f", {ingested.skipped_total} not added"
    if ingested.left_out:
        line += f", {counted(ingested.left_out, 'service file or folder', 'service files and folders')} left out"
    say(arguments, ingested, [line])
    if not arguments.json:
        for skipped in ingested.skipped:
            complain(f"{skipped.name}: {skipped.reason}", of="")
    return EXIT_SOME_UNMATCHED if ingested.skipped_total else 0
