"""Commands that fill albums: add, import, folders, remove, process."""

from __future__ import annotations

import argparse
import contextlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from facewire.client.album_client import AlbumClient, PhotoToAdd
from facewire.client.album_files import is_large_video
from facewire.client.bar import Bar
from facewire.client.commands.album_collection import describe_album
from facewire.client.commands.album_common import AlbumCommands, number, say
from facewire.client.commands.common import EXIT_SOME_UNMATCHED, Usage, argument, complain
from facewire.client.errors import ServerRefused, TooLarge
from facewire.client.pictures import LARGEST, files_below, is_picture, is_video, over_limit
from facewire.protocol.albums.adding import LARGEST_SIDECAR, AlbumAdded, AlbumIngested, AlbumSkipped
from facewire.protocol.albums.collection import AlbumInfo
from facewire.protocol.clutter import LeftOut
from facewire.protocol.formats import FILM_OF_STILL, HEAD_BYTES, NAMES, NEITHER, VIDEO_NAMES, films_of_stills
from facewire.protocol.messages import Progress
from facewire.protocol.text import counted, printable

_STAGES = {
    "waiting": "waiting for another album to finish",
    "unpacking": "adding",
    "faces": "finding faces",
    "people": "grouping faces by person",
}

_XMP = (".xmp", ".XMP")

_LOOKED_FOR = f"{NAMES}, {VIDEO_NAMES} and ZIP"

COMMANDS = AlbumCommands()

_METADATA = argument(
    "--metadata",
    action="store_true",
    help="also take the names of faces from the pictures' XMP, in them or beside them (NAME.xmp, NAME.jpg.xmp)",
)


@COMMANDS.command(
    "add",
    "pictures, videos, folders and ZIP files",
    argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="a picture or a video, a folder (at any depth, their folders kept in their names), or a ZIP file",
    ),
    _METADATA,
    argument("--create", action="store_true", help="create the album if it doesn't exist"),
    argument("--process", action="store_true", help="then find the faces"),
)
def add(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Adds everything, with a progress bar; what was added before is skipped. Raises Usage."""
    result = _Result()
    files = []
    every = [_FoundFile(path, name) for given in arguments.paths for path, name in _found(given, result.left_out)]
    films = films_of_stills(found.name for found in every)
    for found in every:
        if arguments.metadata and found.path.suffix.lower() == ".xmp":
            continue  # read with its picture
        if found.name in films:
            result.skipped.append((found.name, FILM_OF_STILL))
        elif found.path in arguments.paths or is_picture(found.path) or is_video(found.path):
            files.append(found)
        else:
            is_zip = found.path.suffix.lower() == ".zip"
            result.skipped.append((found.name, "a ZIP inside a folder: add it separately" if is_zip else NEITHER))
    if not files:
        raise Usage(f"no pictures there, only {counted(len(result.skipped), 'other file')}; looked for {_LOOKED_FOR}")
    if arguments.create and not any(info.album == arguments.album for info in albums.list().albums):
        albums.create(arguments.album)
    zips = [file for file in files if file.path.suffix.lower() == ".zip"]
    videos = [file for file in files if _is_large_video(file.path)]
    alone = {*zips, *videos}
    pictures = [file for file in files if file not in alone]
    _add_pictures(albums, arguments.album, pictures, result, metadata=arguments.metadata)
    for file in videos:
        _add_video(albums, arguments.album, file, result)
    for file in zips:
        _add_zip(albums, arguments.album, file.path, result, metadata=arguments.metadata)
    code = _say_ingested(arguments, result.ingested())
    if arguments.process:
        _process(albums, arguments.album, again=False)
    return code


@COMMANDS.command(
    "import",
    "import a folder from the server's own disk",
    argument("folder", metavar="FOLDER", help="relative to the import root of the server, which its owner chose"),
    _METADATA,
)
def import_folder(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Adds a folder of the server."""
    with Bar("adding", "files") as bar:
        ingested = albums.import_folder(arguments.album, arguments.folder, _Draw(bar), metadata=arguments.metadata)
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
    "remove photos from the album, permanently",
    argument("photos", nargs="+", type=number, metavar="PHOTO", help="its number"),
)
def remove(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Removes photos, for good."""
    removed = albums.remove(arguments.album, arguments.photos)
    line = f"removed {counted(removed.photos, 'photo')} with {counted(removed.faces, 'face')}"
    return say(arguments, removed, [line])


@COMMANDS.command(
    "process",
    "find the faces, and group them by person",
    argument("--no-wait", action="store_true", help="start, and don't wait for it to finish"),
    argument("--again", action="store_true", help="also retry unreadable photos"),
    argument(
        "--provisional",
        action="store_true",
        help="more photos are to come: the next `process` without it groups their faces anew",
    ),
)
def process(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Finds the faces, with a progress bar."""
    if arguments.no_wait:
        info = albums.process(arguments.album, wait=False, again=arguments.again, provisional=arguments.provisional)
    else:
        info = _process(albums, arguments.album, again=arguments.again, provisional=arguments.provisional)
    return say(arguments, info, describe_album(info))


def _process(albums: AlbumClient, album: str, *, again: bool, provisional: bool = False) -> AlbumInfo:
    """Processes an album and draws how far it is. Ctrl-C leaves the server at work."""
    with Bar("finding faces", "photos") as bar:
        return albums.process(album, again=again, provisional=provisional, on_progress=_Draw(bar))


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

    def note(self, name: str, outcome: AlbumAdded | ServerRefused) -> None:
        """Counts a file. Raises an error with which the others would fare no better."""
        if isinstance(outcome, ServerRefused):
            if isinstance(outcome, TooLarge) or str(outcome.code) == "unknown_album":
                raise outcome
            self.skipped.append((name, outcome.message))
        elif outcome.duplicate:
            self.duplicates += 1
        else:
            self.added += 1

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


def _add_pictures(albums: AlbumClient, album: str, files: list[_FoundFile], result: _Result, *, metadata: bool) -> None:
    sent: deque[_FoundFile] = deque()

    def pictures() -> Iterator[PhotoToAdd]:
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
            sidecars = _sidecars(file.path, LARGEST - len(data)) if metadata else ()
            yield file.name, data, _modified(file.path), metadata, sidecars

    with Bar("adding", "photos") as bar:
        for done, outcome in enumerate(albums.add_many(album, pictures()), 1):
            file = sent.popleft()
            result.note(file.name, outcome)
            bar.at(done, len(files))


def _is_large_video(path: Path) -> bool:
    """Is it sent in pieces? False if it can't be read."""
    try:
        with path.open("rb") as file:
            return is_large_video(file.read(HEAD_BYTES), path.stat().st_size)
    except OSError:
        return False


def _add_video(albums: AlbumClient, album: str, file: _FoundFile, result: _Result) -> None:
    try:
        with file.path.open("rb") as data, Bar(f"sending {printable(file.path.name)}", "B") as bar:
            size = file.path.stat().st_size
            with Bar("adding", "B") as adding:
                outcome: AlbumAdded | ServerRefused = albums.add_video(
                    album, file.name, data, size,
                    modified=_modified(file.path), on_sent=lambda sent: bar.at(sent, size), on_progress=_Draw(adding),
                )  # fmt: skip
    except ServerRefused as error:
        outcome = error
    except (OSError, EOFError) as error:
        result.skipped.append((file.name, f"can't be read: {getattr(error, 'strerror', None) or error}"))
        return
    result.note(file.name, outcome)


def _sidecars(path: Path, room: int) -> tuple[bytes, ...]:
    """The XMP files beside a picture, without what is too large to be one, or to be sent with it: of `room` bytes."""
    found: list[bytes] = []
    for beside in dict.fromkeys(path.with_name(f"{stem}{end}") for stem in (path.name, path.stem) for end in _XMP):
        with contextlib.suppress(OSError):
            if beside.stat().st_size <= min(LARGEST_SIDECAR, room - sum(map(len, found))):
                found.append(beside.read_bytes())
    return tuple(found)


def _modified(path: Path) -> str:
    """The file's time, in this machine's zone; empty if it is impossible, or the file is gone."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC).astimezone().isoformat(timespec="seconds")
    except (OSError, ValueError, OverflowError):
        return ""


def _add_zip(albums: AlbumClient, album: str, path: Path, result: _Result, *, metadata: bool) -> None:
    try:
        with path.open("rb") as file, Bar(f"sending {printable(path.name)}", "B") as bar:
            size = path.stat().st_size
            with Bar("adding", "files") as unpacking:
                ingested = albums.add_zip(
                    album,
                    file,
                    metadata=metadata,
                    on_sent=lambda sent: bar.at(sent, size),
                    on_progress=_Draw(unpacking),
                )
    except OSError as error:
        raise Usage(f"can't read {path}: {error.strerror}") from error
    result.take(ingested)


def _say_ingested(arguments: argparse.Namespace, ingested: AlbumIngested) -> int:
    line = f"{counted(ingested.added, 'photo')} added, {ingested.duplicates} already there"
    if ingested.skipped_total:
        line += f", {ingested.skipped_total} not added"
    if ingested.left_out:
        line += f", {counted(ingested.left_out, 'service file or folder', 'service files and folders')} left out"
    say(arguments, ingested, [line])
    if not arguments.json:
        for skipped in ingested.skipped:
            complain(f"{skipped.name}: {skipped.reason}", of="")
    return EXIT_SOME_UNMATCHED if ingested.skipped_total else 0
