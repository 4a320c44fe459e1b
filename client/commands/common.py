"""What a command is, and what the commands share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from facewire.client.errors import ServerRefused, UnknownPerson
from facewire.client.face_client import DEFAULT_HOST, DEFAULT_TIMEOUT_S, FaceClient
from facewire.client.tls import Tls
from facewire.protocol.address import DEFAULT_PORT, names_addresses, parse_addresses
from facewire.protocol.arguments import port, seconds
from facewire.protocol.command_names import as_called
from facewire.protocol.text import did_you_mean, printable

EXIT_ALL_MATCHED = 0
EXIT_SOME_UNMATCHED = 1
EXIT_USAGE = 2  # argparse's own
EXIT_FAILED = 3

_MOST_NAMES = 10_000  # searched for a similar name: half a second

_RETRIES = 20  # of a busy server, half a second each: a person at a terminal would wait about that long

PlainRun = Callable[[argparse.Namespace], int]
Argument = Callable[[argparse.ArgumentParser], object]
"""Adds its arguments to a parser."""

Run = TypeVar("Run", bound=Callable[..., int])


class Usage(Exception):
    """An invalid combination of arguments, or a file that can't be used."""


def argument(*names: str, **options: Any) -> Argument:
    """An argument of a command, as `add_argument` takes it."""
    return lambda parser: parser.add_argument(*names, **options)


@dataclass(frozen=True, slots=True)
class Command(Generic[Run]):
    """`run` does it and gives the exit code; `help`: its line in a list of commands."""

    run: Run
    arguments: tuple[Argument, ...]
    description: str
    help: str = ""
    epilog: str = ""
    commands: Mapping[str, Command[Any]] = field(default_factory=dict)
    """Its own commands, if it has any; the one chosen is `command` among the parsed arguments."""

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Describes it to its parser."""
        parser.description = self.description
        parser.epilog = self.epilog
        for argument in self.arguments:
            argument(parser)
        if not self.commands:
            _add_server(parser)
            return
        choice = parser.add_subparsers(metavar="COMMAND", required=True)
        for name, command in self.commands.items():
            inner = choice.add_parser(name, help=command.help)
            command.add_to(inner)
            inner.set_defaults(command=command)


class Commands(dict[str, Command[Run]]):
    """Commands by name, each registered where it is written."""

    def add(
        self, name: str, description: str, *arguments: Argument, help: str = "", epilog: str = ""
    ) -> Callable[[Run], Run]:
        """Decorates the function that does it."""

        def register(run: Run) -> Run:
            self[name] = Command(run, arguments, description, help, epilog)
            return run

        return register


def complain(text: str, *, of: str = "client_app: ") -> None:
    """A line on stderr, one whatever is in `text`."""
    print(as_called(of + printable(text)), file=sys.stderr, flush=True)


@contextmanager
def suggesting(client: FaceClient, *names: str) -> Iterator[None]:
    """If the server knows nobody of one of these names, the error suggests a similar one."""
    try:
        yield
    except UnknownPerson as error:
        known = [person.name for person in islice(client.all_people(), _MOST_NAMES)]
        raise with_hint(error, [name for name in names if name not in known], known) from error


def with_hint(error: ServerRefused, words: Sequence[str], known: Sequence[str]) -> ServerRefused:
    """The same error, which says what the first of `words` that is like one of `known` may have meant, unless the
    server has said so."""
    if "; did you mean " in error.message:
        return error
    hint = next((hint for word in words if (hint := did_you_mean(word, known))), "")
    return type(error)(error.code, error.message + hint, error.retry_after_ms)


def whence(token: str, address: str) -> str:
    """The end of a line about a change: who made it, if that is known."""
    by = f"by {printable(token)} " if token else ""
    return f"  [{by}from {printable(address)}]" if address else ""


def point(text: str) -> tuple[float, float]:
    """An argument of argparse: X,Y, pixels of the picture as shown."""
    try:
        x, y = (float(number) for number in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be X,Y, as 310,120, not '{text}'") from error
    return x, y


def client_for(arguments: argparse.Namespace) -> FaceClient:
    """A client of the server that the arguments name."""
    wanted = arguments.tls or arguments.ca or arguments.cert
    if (arguments.cert is None) != (arguments.key is None):
        raise Usage("--cert and --key go together")
    return FaceClient(
        arguments.host, arguments.port, timeout=arguments.timeout, token=arguments.token, retries=_RETRIES,
        tls=Tls(arguments.ca, arguments.cert, arguments.key) if wanted else None,
    )  # fmt: skip


def port_of(arguments: argparse.Namespace) -> int:
    """The server's port, wherever it was said; of several, the first one's."""
    if names_addresses(arguments.host):
        return parse_addresses(arguments.host, arguments.port)[0].port
    return int(arguments.port)


def _host(text: str) -> str:
    """An argument of argparse: a name, an address, or one or several of HOST:PORT and facewires://HOST:PORT."""
    if names_addresses(text):
        try:
            parse_addresses(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _add_server(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the server")
    group.add_argument(
        "--host", type=_host, default=DEFAULT_HOST,
        help="its name or address (default: %(default)s); or both in one, facewires://HOST:PORT for TLS; "
        "several with commas between them, if they serve one gallery: it goes on to the next if one is gone",
    )  # fmt: skip
    group.add_argument("--port", type=port, default=DEFAULT_PORT, help="its port (default: %(default)s)")
    group.add_argument(
        "--timeout", type=seconds, default=DEFAULT_TIMEOUT_S, metavar="S",
        help="seconds to wait for an answer (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--token",
        default=os.environ.get("FACEWIRE_TOKEN"),
        help="the token, if it asks for one; other users of this machine can see a command line, "
        "so better set FACEWIRE_TOKEN",
    )
    group.add_argument("--tls", action="store_true", help="speak TLS, and check that the certificate names the server")
    group.add_argument(
        "--ca", type=Path, metavar="FILE",
        help="TLS: trust the authorities in this file (PEM), or the server's own certificate, not this machine's",
    )  # fmt: skip
    group.add_argument("--cert", type=Path, metavar="FILE", help="TLS: show this certificate (PEM, with --key)")
    group.add_argument("--key", type=Path, metavar="FILE", help="the certificate's key (PEM, no passphrase)")
