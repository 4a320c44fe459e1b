"""`client_app.py enrol NAME PICTURE...`: add pictures to a person."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    EXIT_FAILED,
    EXIT_SOME_UNMATCHED,
    Commands,
    PlainRun,
    Usage,
    argument,
    client_for,
    complain,
    point,
)
from facewire.client.pictures import NoSuchPicture, TooManyBytes, find_pictures, read_picture
from facewire.client.report import turned_by
from facewire.protocol.albums.enrolling import AlbumLeftOut
from facewire.protocol.arguments import among, one_of
from facewire.protocol.gallery_messages import Acceptable, Rejection
from facewire.protocol.text import counted, printable

BATCH_PICTURES = 16  # in one request and one change: some seconds of the server's work
BATCH_BYTES = 16 * 1024 * 1024  # half of the largest frame that servers take unless told otherwise

_EPILOG = """\
examples:
  client_app.py enrol "Ada Lovelace" ada1.jpg ada2.jpg
  client_app.py enrol Ada photos/ada/ --several main
  client_app.py enrol Ada old_and_blurred.jpg --accept blurred --accept too_small

A picture that can't be enrolled is named with the reasons and their numbers; the others are enrolled all the same. A
face that is too small, blurred, turned away, too dark, too bright or partly outside the picture harms more than it
helps, a drawing is no face, a copy adds nothing, and one that is nearer to another person is probably theirs. If you
know better, --accept. A face that seems to be covered (a mask, dark glasses) is enrolled, and said.
exit codes: 0 all enrolled (or enrolled before), 1 some were not, 2 usage error, 3 failure
"""


COMMANDS: Commands[PlainRun] = Commands()

ACCEPT = argument(
    "--accept", action="append", type=one_of(get_args(Acceptable)), default=[], metavar="REASON",
    help=f"accept pictures despite this reason; repeatable ({', '.join(get_args(Acceptable))})",
)  # fmt: skip
"""Of whatever enrols."""

_WAIVED_BY_FLAG = frozenset(get_args(Acceptable)) - {"all", "duplicate", "several_faces"}
_SEVERAL = ("refuse", "main")


@COMMANDS.add(
    "enrol",
    "Adds pictures to a person, who is created if new. Takes effect at once, for everybody.",
    argument("name", metavar="NAME", help="the person"),
    argument("pictures", nargs="+", type=Path, metavar="IMG", help="a picture of them, or a folder of them"),
    argument(
        "--several", type=one_of(_SEVERAL), metavar=among(_SEVERAL), default="refuse",
        help="a picture of several faces is refused, or its largest central face is taken (default: %(default)s)",
    ),
    argument(
        "--at", type=point, metavar="X,Y",
        help="if the picture shows several faces, the one there, in pixels of the picture as shown",
    ),
    ACCEPT,
    epilog=_EPILOG,
)  # fmt: skip
def enrol(arguments: argparse.Namespace) -> int:
    """Enrols, and prints a line for every picture; gives the exit code. Raises Usage and ClientError."""
    try:
        found = find_pictures(arguments.pictures)
    except NoSuchPicture as error:
        raise Usage(str(error)) from error
    if arguments.at is not None and len(found.pictures) > 1:
        raise Usage(f"--at is a place in one picture, not in {len(found.pictures)}: enrol them one by one")
    for line in found.about_others():
        complain(line, of="")
    exit_code = EXIT_ALL_MATCHED
    person = None
    with client_for(arguments) as client:
        for batch in _batches(found.pictures):
            readable = [(path, data) for path, data in batch if data is not None]
            if len(readable) < len(batch):
                exit_code = EXIT_FAILED
            if not readable:
                continue
            answer = client.enrol_many(
                arguments.name,
                [data for _, data in readable],
                labels=[path.name for path, _ in readable],
                several=arguments.several,
                accept=arguments.accept,
                points=() if arguments.at is None else (arguments.at,),
            )
            reasons = {rejection.index: rejection for rejection in answer.rejected}
            doubts: dict[int, str] = {}
            for doubt in answer.doubts:
                doubts[doubt.index] = f"{doubts.get(doubt.index, 'enrolled')}, but {printable(doubt.message)}"
            turned = {template.index: turned_by(template.turned) for template in answer.templates}
            for index, (path, _) in enumerate(readable):
                rejection = reasons.get(index)
                if rejection is None:
                    said = doubts.get(index, "enrolled") + turned.get(index, "")
                else:
                    said = refusal(rejection) + _choice(rejection)
                print(f"{printable(str(path))}: {said}", flush=True)
                if rejection is not None and rejection.reason != "duplicate":
                    exit_code = max(exit_code, EXIT_SOME_UNMATCHED)
            person = answer.person or person
    if person is not None:
        print(
            f"{printable(person.name)}: {counted(person.templates, 'template')} of {counted(person.images, 'picture')}"
        )
    return exit_code


def refusal(rejection: Rejection | AlbumLeftOut) -> str:
    """Why a picture was not enrolled, in one line, and the flags that would enrol it anyway."""
    reasons = [shortcoming.reason for shortcoming in rejection.shortcomings] or [rejection.reason]
    said = printable(f"{', '.join(reasons)}: {rejection.message}")
    waived = [f"--accept {reason}" for reason in reasons if reason in _WAIVED_BY_FLAG]
    return f"{said} ({' '.join(waived)} enrols it all the same)" if waived else said


def _choice(rejection: Rejection) -> str:
    if rejection.reason != "several_faces":
        return ""
    return " (--several main takes the largest central one, --at X,Y the one there)"


def _batches(paths: list[Path]) -> Iterator[list[tuple[Path, bytes | None]]]:
    """The files' bytes, as many at a time as go into a request; None for one that can't be read, which is told."""
    batch: list[tuple[Path, bytes | None]] = []
    size = 0
    for path in paths:
        try:
            data: bytes | None = read_picture(path)
        except (OSError, TooManyBytes) as error:
            why = f"can't read it: {error.strerror}" if isinstance(error, OSError) else str(error)
            complain(f"{path}: {why}", of="")
            data = None
        length = len(data or b"")
        if batch and (len(batch) == BATCH_PICTURES or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((path, data))
        size += length
    if batch:
        yield batch
