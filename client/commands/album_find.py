"""Commands that take something out of albums: search and export."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from facewire.client.album_client import AlbumClient
from facewire.client.bar import Bar
from facewire.client.commands.album_common import DAYS, AlbumCommands, number, person_number, read, say
from facewire.client.commands.common import EXIT_SOME_UNMATCHED, Usage, argument, complain
from facewire.protocol.albums.export import AlbumExported
from facewire.protocol.albums.search import AlbumFound, AlbumFoundPhoto, AlbumSample, AlbumWanted, ShowFound, Together
from facewire.protocol.arguments import among, one_of
from facewire.protocol.text import counted, printable

_WHO = "a picture of them, person:NAME, person:NUMBER, or face:NUMBER of the album"
_SHOW = get_args(ShowFound)

COMMANDS = AlbumCommands()


@COMMANDS.command(
    "search",
    "photos of somebody",
    argument("who", nargs="*", metavar="WHO", help=f"{_WHO}; several are of one person"),
    argument(
        "--text",
        default="",
        metavar="TEXT",
        help='what the photo shows, as "red car by the sea": the best first (where the server has a model for it)',
    ),
    argument(
        "--with", dest="others", action="append", nargs="+", default=[], metavar="WHO", help="somebody else; repeatable"
    ),
    argument("--all", action="store_true", help="only photos that show all of them, not any"),
    argument(
        "--leave-out",
        action="append",
        nargs=2,
        default=[],
        metavar=("IMG", "N"),
        help="a face of a sample to ignore, by the number that the search prints for it; repeatable",
    ),
    argument("--show", type=one_of(_SHOW), metavar=among(_SHOW), default="all", help="(default: %(default)s)"),
    argument("-n", type=number, default=100, metavar="N", help="at most this many (default: %(default)s)"),
    argument("--export", type=Path, metavar="FILE", help="save the photos found (of --show) to this file, as a ZIP"),
    *DAYS,
)
def search(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Prints the photos found, the most similar first; exit code 1 where nobody is. Raises Usage."""
    if not arguments.who and not arguments.text.strip():
        raise Usage("say whom to search for, or with --text what")
    if not arguments.who and (arguments.others or arguments.all):
        raise Usage("--with and --all are about people: say whom to search for")
    left_out: dict[str, list[int]] = {}
    for picture, face in arguments.leave_out:
        left_out.setdefault(picture, []).append(_face_of_sample(face))
    groups: list[list[str]] = [arguments.who, *arguments.others] if arguments.who else []
    unknown = set(left_out) - {text for group in groups for text in group}
    if unknown:
        raise Usage(f"--leave-out {min(unknown)}: that picture is not searched for")
    wanted = [_wanted(albums, arguments.album, group, left_out) for group in groups]
    together: Together = "all" if arguments.all else "any"
    days = {"since": arguments.since, "until": arguments.until}
    found = albums.search(
        arguments.album, wanted, together=together, show=arguments.show, limit=min(arguments.n, 1000),
        text=arguments.text, **days,
    )  # fmt: skip
    say(arguments, found, _lines(groups, found))
    if arguments.export is not None and found.total:
        if arguments.text.strip():  # every photo is similar to some extent: those that are printed
            chosen = albums.export(arguments.album, photos=[hit.photo.photo for hit in found.photos])
        else:
            shown = {"together": together, "show": arguments.show, **days}
            chosen = albums.export(arguments.album, wanted=wanted, **shown)
        _save(albums, chosen, arguments.export)
    return 0 if found.total else EXIT_SOME_UNMATCHED


@COMMANDS.command(
    "export",
    "download an album, or part of it, as a ZIP",
    argument("file", type=Path, metavar="FILE", help="the ZIP to write; an interrupted one is continued"),
    argument("--person", action="append", default=[], help="only photos of this person; repeatable"),
    argument("--all", action="store_true", help="only photos that show all of these people, not any"),
    argument("--photo", action="append", type=number, default=[], help="only this photo; repeatable"),
    argument(
        "--no-labels", action="store_true", help="only the photos, without labels.json and an XMP file beside each"
    ),
    argument(
        "--embed",
        action="store_true",
        help="write the names into copies of the JPEGs; others have them beside",
    ),
    *DAYS,
)
def export(albums: AlbumClient, arguments: argparse.Namespace) -> int:
    """Saves a ZIP, with a progress bar. Raises Usage."""
    if arguments.person and arguments.photo:
        raise Usage("choose photos by --person or by --photo, not both")
    if arguments.embed and arguments.no_labels:
        raise Usage("choose --embed or --no-labels, not both")
    people = [person_number(albums, arguments.album, text) for text in arguments.person]
    exported = albums.export(
        arguments.album,
        people=people,
        photos=arguments.photo,
        together="all" if arguments.all else "any",
        sidecars=not arguments.no_labels,
        since=arguments.since,
        until=arguments.until,
        embedded=arguments.embed,
    )
    _save(albums, exported, arguments.file)
    line = f"{printable(str(arguments.file))}: {counted(exported.files, 'file')}, {exported.size_bytes / 1e6:.1f} MB"
    lines = [line]
    if arguments.embed:
        lines.append(
            f"names are in {counted(exported.embedded, 'JPEG')}, and beside {counted(exported.beside, 'other picture')}"
        )
    return say(arguments, exported, lines)


def _save(albums: AlbumClient, exported: AlbumExported, path: Path) -> None:
    """Writes an export, with a progress bar. Raises Usage where it can't be written."""
    try:
        with Bar(f"saving {printable(path.name)}", "B") as bar:
            albums.save_export(exported, path, lambda done: bar.at(done, exported.size_bytes))
    except OSError as error:
        raise Usage(f"can't write {path}: {error.strerror}") from error


def _wanted(albums: AlbumClient, album: str, who: Sequence[str], left_out: dict[str, list[int]]) -> AlbumWanted:
    samples, faces, people = [], [], []
    for text in who:
        if text.startswith("person:"):
            people.append(person_number(albums, album, text.removeprefix("person:")))
        elif text.startswith("face:") and text.removeprefix("face:").isdigit():
            faces.append(int(text.removeprefix("face:")))
        else:
            samples.append(AlbumSample(read(Path(text)), tuple(left_out.get(text, ()))))
    return AlbumWanted(tuple(samples), tuple(faces), tuple(people))


def _face_of_sample(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise Usage("--leave-out IMG N: N is the number of a face of that picture, from 1 on")
    return int(text) - 1


def _lines(groups: list[list[str]], found: AlbumFound) -> list[str]:
    lines = []
    for who, seen in zip(groups, found.wanted, strict=True):
        pictures = [text for text in who if not text.startswith(("person:", "face:"))]
        for picture, faces in zip(pictures, seen.samples, strict=True):
            if len(faces) > 1:
                used = [str(place) for place, face in enumerate(faces, 1) if face.used]
                shows = f"{picture} shows {counted(len(faces), 'face')}, largest first"
                complain(f"{shows}; searched for {', '.join(used)}", of="")
        if not seen.found:
            nearest = "no faces in the album" if seen.similarity is None else f"nearest: {seen.similarity:.3f}"
            lines.append(
                f"nobody here resembles {', '.join(map(printable, who))} ({nearest}, asked for {seen.threshold:.3f})"
            )
    lines.append(f"{counted(found.solo + found.group, 'photo')}: {found.solo} solo, {found.group} group")
    return lines + [_photo_line(photo) for photo in found.photos]


def _photo_line(found: AlbumFoundPhoto) -> str:
    kind = "solo" if found.solo else f"group of {found.photo.faces}" if found.photo.faces else "no face"
    return f"{found.photo.photo:6d}  {found.similarity:6.3f}  {printable(found.photo.name)}  ({kind})"
