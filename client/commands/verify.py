"""`client_app.py verify A B`: do two pictures show the same person?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    EXIT_SOME_UNMATCHED,
    Commands,
    PlainRun,
    Usage,
    argument,
    client_for,
    point,
)
from facewire.client.pictures import TooManyBytes, read_picture
from facewire.protocol.arguments import number
from facewire.protocol.messages import FMR_RANGE, FacesSeen, Verified
from facewire.protocol.schema import to_plain
from facewire.protocol.settings import between
from facewire.protocol.text import counted, printable

COMMANDS: Commands[PlainRun] = Commands()

_LEAST_RATE = FMR_RANGE[0]  # below: rarer than anything measured
_PLACE = "if it shows several faces, the one there, in pixels of the picture as shown"


@COMMANDS.add(
    "verify",
    "Says whether two pictures show the same person; of several faces, the largest central one is compared.",
    argument("image", type=Path, metavar="A", help="a picture"),
    argument("other", type=Path, metavar="B", help="another"),
    argument("--at", type=point, metavar="X,Y", help=f"in A, {_PLACE}"),
    argument("--other-at", type=point, metavar="X,Y", help=f"in B, {_PLACE}"),
    argument(
        "--fmr", type=number(between(*FMR_RANGE)), metavar="P",
        help="how often two different people may be called the same, of people at large (default: as the server is set,"
        " 0.001 unless told otherwise); among people of one sex, age and appearance it is some ten times as often",
    ),
    argument("--json", action="store_true", help="print the answer as JSON"),
    epilog="exit codes: 0 the same person, 1 different people, 2 usage error, 3 failure",
)  # fmt: skip
def verify(arguments: argparse.Namespace) -> int:
    """Prints the answer; gives the exit code. Raises Usage and ClientError."""
    try:
        image, other = read_picture(arguments.image), read_picture(arguments.other)
    except OSError as error:
        raise Usage(f"can't read {error.filename}: {error.strerror}") from error
    except TooManyBytes as error:
        raise Usage(str(error)) from error
    with client_for(arguments) as client:
        answer = client.verify(image, other, fmr=arguments.fmr, at=arguments.at, other_at=arguments.other_at)
    if arguments.json:
        print(json.dumps(to_plain(answer)))
    else:
        print("\n".join(_lines(answer, arguments)))
    return EXIT_ALL_MATCHED if answer.same else EXIT_SOME_UNMATCHED


def _lines(answer: Verified, arguments: argparse.Namespace) -> list[str]:
    verdict = "the same person" if answer.same else "different people"
    lines = [
        f"{verdict}: similarity {answer.similarity:.3f} (needs {answer.threshold:.3f}; {printable(answer.model)})",
        *_rates(answer),
    ]
    for path, seen, flag in ((arguments.image, answer.image, "--at"), (arguments.other, answer.other, "--other-at")):
        if seen is not None and len(seen.boxes) > 1:
            lines.append(_taken(path, seen, flag))
    return lines


def _rates(answer: Verified) -> list[str]:
    alike = f"{_one_in(answer.false_match)} of one sex, age and appearance"
    if answer.false_match_at_large is None:  # a server of before
        return [f"  as similar: {alike}"]
    return [f"  as similar: {_one_in(answer.false_match_at_large)} pairs of different people, {alike}"]


def _taken(path: Path, seen: FacesSeen, flag: str) -> str:
    """Which face was taken, and how to take another."""
    places = [f"{x + width / 2:.0f},{y + height / 2:.0f}" for x, y, width, height in seen.boxes]
    others = [place for index, place in enumerate(places) if index != seen.taken]
    shows = f"  {printable(str(path))} shows {counted(len(places), 'face')}: the one at {places[seen.taken]} was taken"
    return f"{shows}; to take another: {flag} {' or '.join(others)}"


def _one_in(rate: float) -> str:
    if rate < _LEAST_RATE:
        return f"fewer than 1 in {round(1 / _LEAST_RATE):,}"
    return f"1 in {1 / rate:,.0f}"
