"""What the commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from facewire.client.errors import ServerRefused, UnknownPerson
from facewire.client.face_client import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_TIMEOUT_S, FaceClient
from facewire.protocol.text import did_you_mean, printable

EXIT_ALL_MATCHED = 0
EXIT_SOME_UNMATCHED = 1
EXIT_USAGE = 2  # argparse's own
EXIT_FAILED = 3

_MOST_NAMES = 10_000  # looked through for one that may be meant: half a second

_RETRIES = 20  # of a busy server, half a second each: a person at a terminal would wait about that long


class Usage(Exception):
    """The command line asks for what can't be."""


def complain(text: str, *, of: str = "client_app: ") -> None:
    """A line on stderr, one whatever is in `text`."""
    print(of + printable(text), file=sys.stderr, flush=True)


@contextmanager
def suggesting(client: FaceClient, *names: str) -> Iterator[None]:
    """Where the server knows nobody of one of these names, its answer says who may be meant."""
    try:
        yield
    except UnknownPerson as error:
        known = [person.name for person in islice(client.all_people(), _MOST_NAMES)]
        raise with_hint(error, [name for name in names if name not in known], known) from error


def with_hint(error: ServerRefused, words: Sequence[str], known: Sequence[str]) -> ServerRefused:
    """The same error, which says what the first of `words` that is like one of `known` may have meant."""
    hint = next((hint for word in words if (hint := did_you_mean(word, known))), "")
    return type(error)(error.code, error.message + hint, error.retry_after_ms)


def point(text: str) -> tuple[float, float]:
    """An argument of argparse: X,Y, pixels of the picture as shown."""
    try:
        x, y = (float(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be X,Y, as 310,120, not '{text}'") from error
    return x, y


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say where the server is."""
    group = parser.add_argument_group("the server")
    group.add_argument("--host", default=DEFAULT_HOST, help="its name or address (default: %(default)s)")
    group.add_argument("--port", type=port, default=DEFAULT_PORT, help="its port (default: %(default)s)")
    group.add_argument(
        "--timeout",
        type=seconds,
        default=DEFAULT_TIMEOUT_S,
        metavar="S",
        help="seconds to wait for an answer (default: %(default)g)",
    )
    group.add_argument(
        "--token",
        default=os.environ.get("FACEWIRE_TOKEN"),
        help="the token, if it asks for one; other users of this machine can see a command line, "
        "so better set FACEWIRE_TOKEN",
    )


def client_for(arguments: argparse.Namespace) -> FaceClient:
    """The client that `add_server_arguments` asks for."""
    return FaceClient(
        arguments.host, arguments.port, timeout=arguments.timeout, token=arguments.token, retries=_RETRIES
    )


def seconds(text: str) -> float:
    """An argument of argparse: a number of seconds to wait, up to a day."""
    value = float(text)
    if not 0 < value <= 86_400:
        raise argparse.ArgumentTypeError("must be more than 0, and at most a day")
    return value


def port(text: str) -> int:
    """An argument of argparse: the number of a TCP port."""
    value = int(text)
    if not 1 <= value <= 65_535:
        raise argparse.ArgumentTypeError("must be from 1 to 65535")
    return value


def positive(text: str) -> int:
    """An argument of argparse: a number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
