"""The command line: a table of commands, of which `identify` need not be named.

Exit codes: 0 every picture had a match, 1 some had none, 2 asked wrongly, 3 something failed.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from client.commands import album, changes, enrol, identify, listing, verify, watch
from client.commands.common import EXIT_FAILED, EXIT_USAGE, Usage
from client.errors import CannotConnect, ClientError


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


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv` (that of the process if None) and gives the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words.pop(0) if words and words[0] in COMMANDS else _DEFAULT
    command = COMMANDS[name]
    shown = "client_app.py" if name == _DEFAULT else f"client_app.py {name}"
    parser = argparse.ArgumentParser(prog=shown, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_arguments(parser)
    arguments = parser.parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a name that the terminal has no letters for is no reason to stop
    try:
        return command.run(arguments)
    except Usage as error:
        return _say(str(error), EXIT_USAGE)
    except CannotConnect as error:
        return _say(f"{error}\nstart one with: python server_app.py --port {arguments.port}", EXIT_FAILED)
    except ClientError as error:
        return _say(str(error), EXIT_FAILED)


def _say(message: str, exit_code: int) -> int:
    print(f"client_app: {message}", file=sys.stderr)
    return exit_code
