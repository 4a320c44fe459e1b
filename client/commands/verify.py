"""`client_app.py verify A B`: do two pictures show one person?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    EXIT_SOME_UNMATCHED,
    Usage,
    add_server_arguments,
    client_for,
    point,
)
from facewire.client.pictures import TooManyBytes, read_picture
from facewire.protocol.messages import FMR_RANGE, FacesSeen, Verified
from facewire.protocol.shapes import to_plain
from facewire.protocol.text import counted, printable

_LEAST_RATE = FMR_RANGE[0]  # rarer than anything measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `verify`."""
    parser.description = "Says whether two pictures show one person; of several faces the largest central one counts."
    parser.epilog = "exit codes: 0 the same person, 1 different people, 2 asked wrongly, 3 something failed"
    parser.add_argument("image", type=Path, metavar="A", help="a picture")
    parser.add_argument("other", type=Path, metavar="B", help="another")
    place = "of several faces the one there, in pixels of the picture as shown"
    parser.add_argument("--at", type=point, metavar="X,Y", help=f"in A, {place}")
    parser.add_argument("--other-at", type=point, metavar="X,Y", help=f"in B, {place}")
    parser.add_argument(
        "--fmr",
        type=_rate,
        metavar="P",
        help="how often two different people may be called the same, of people at large (default: as the server is set,"
        " 0.001 unless told otherwise); among people of one sex, age and appearance it is some ten times as often",
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    add_server_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
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
    others = [place for number, place in enumerate(places) if number != seen.taken]
    shows = f"  {printable(str(path))} shows {counted(len(places), 'face')}: the one at {places[seen.taken]} was taken"
    return f"{shows}; to take another: {flag} {' or '.join(others)}"


def _one_in(rate: float) -> str:
    if rate < _LEAST_RATE:
        return f"fewer than 1 in {round(1 / _LEAST_RATE):,}"
    return f"1 in {1 / rate:,.0f}"


def _rate(text: str) -> float:
    least, most = FMR_RANGE
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, not '{text}'") from error
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must be from {least:f} to {most}, not {text}")
    return value
