"""The command line: a table of commands, of which `identify` need not be named.

Exit codes: 0 every picture had a match, 1 some had none, 2 asked wrongly, 3 something failed.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from facewire.client.commands import album, changes, enrol, identify, listing, verify, watch
from facewire.client.commands.common import EXIT_FAILED, EXIT_USAGE, Usage, complain
from facewire.client.errors import CannotConnect, ClientError
from facewire.protocol.arguments import Parser
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.text import did_you_mean


@dataclass(frozen=True, slots=True)
class Command:
    """`add_arguments` describes the command to its parser; `run` does it and gives the exit code."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


_DEFAULT = "identify"
COMMANDS: Mapping[str, Command] = {
    "identify": Command(identify.add_arguments, identify.run),
    "enrol": Command(enrol.add_arguments, enrol.run),
    "people": Command(listing.add_people_arguments, listing.run_people),
    "show": Command(listing.add_show_arguments, listing.run_show),
    "history": Command(listing.add_history_arguments, listing.run_history),
    "rename": Command(changes.add_rename_arguments, changes.run_rename),
    "merge": Command(changes.add_merge_arguments, changes.run_merge),
    "split": Command(changes.add_split_arguments, changes.run_split),
    "remove": Command(changes.add_remove_arguments, changes.run_remove),
    "undo": Command(changes.add_undo_arguments, changes.run_undo),
    "verify": Command(verify.add_arguments, verify.run),
    "watch": Command(watch.add_arguments, watch.run),
    "album": Command(album.add_arguments, album.run),
}


_TYPED: Mapping[str, str] = {
    "'fmr'": "--fmr",
    "'k'": "-k",
    "'at'": "--at",
    "'other_at'": "--other-at",
    "'count'": "N",
    "'last'": "--last",
    "'limit'": "-n",
    "'name'": "NAME",
    "'names'": "the names",
    "'templates'": "the templates",
    "'image'": "the picture",
    "'images'": "the pictures",
    "'other'": "the second picture",
    "'to'": "the new name",
    "'accept'": "--accept",
    "'several'": "--several",
}
"""The wire's words, which messages about requests have, and what is typed for them here."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (that of the process if None) and gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    hint = _command_meant(words)
    name = words.pop(0) if words and words[0] in COMMANDS else _DEFAULT
    command = COMMANDS[name]
    shown = "client_app.py" if name == _DEFAULT else f"client_app.py {name}"
    parser = Parser(prog=shown, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.hint = hint
    parser.tell_version()
    command.add_arguments(parser)
    arguments = parser.parse_args(words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal has no letters for is no reason to stop
    try:
        return command.run(arguments)
    except Usage as error:
        return _say(f"{error}{hint}", EXIT_USAGE)
    except InvalidRequest as error:  # what argparse could not know
        return _say(_as_typed(str(error)), EXIT_USAGE)
    except CannotConnect as error:
        complain(str(error))
        complain(f"start one with: python server_app.py --port {arguments.port}", of="")
        return EXIT_FAILED
    except ClientError as error:
        return _say(_as_typed(str(error)), EXIT_FAILED)


def _say(message: str, exit_code: int) -> int:
    complain(message)
    return exit_code


def _command_meant(words: Sequence[str]) -> str:
    """A hint where the first word is neither a command nor a file, but like a command."""
    if not words or words[0] in COMMANDS or words[0].startswith("-") or Path(words[0]).exists():
        return ""
    return did_you_mean(words[0], COMMANDS)


def _as_typed(message: str) -> str:
    for key, typed in _TYPED.items():
        message = message.replace(key, typed)
    return message
