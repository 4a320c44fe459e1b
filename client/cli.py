"""The command line: a table of commands; `identify` is the default.

Exit codes: 0 every picture had a match, 1 some had none, 2 usage error, 3 failure.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from facewire.client.commands import album, camera, enrol, gallery, identify, server, verify, watch
from facewire.client.commands.common import EXIT_FAILED, EXIT_USAGE, Command, PlainRun, Usage, complain, port_of
from facewire.client.errors import CannotConnect, ClientError, ServerTimeout
from facewire.protocol.arguments import Parser
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.text import did_you_mean

_DEFAULT = "identify"
COMMANDS: Mapping[str, Command[PlainRun]] = {
    **identify.COMMANDS,
    **enrol.COMMANDS,
    **gallery.COMMANDS,
    **verify.COMMANDS,
    **watch.COMMANDS,
    **camera.COMMANDS,
    **server.COMMANDS,
    "album": album.ALBUM,
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
"""Names of the protocol in messages, and what is typed for them here."""


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
    command.add_to(parser)
    arguments = parser.parse_args(words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal can't show must not stop us
    try:
        return command.run(arguments)
    except Usage as error:
        return _say(f"{error}{hint}", EXIT_USAGE)
    except InvalidRequest as error:  # what argparse could not know
        return _say(_as_typed(str(error)), EXIT_USAGE)
    except CannotConnect as error:
        complain(str(error))
        complain(f"start one with: python server_app.py --port {port_of(arguments)}", of="")
        return EXIT_FAILED
    except ServerTimeout as error:
        return _say(f"{error}: the server is busy or gone (--timeout S waits longer)", EXIT_FAILED)
    except ClientError as error:
        return _say(_as_typed(str(error)), EXIT_FAILED)


def _say(message: str, exit_code: int) -> int:
    complain(message)
    return exit_code


def _command_meant(words: Sequence[str]) -> str:
    """A hint where a command may be meant: the first word is similar to one and no file, or one follows flags."""
    if words and words[0].startswith("-"):
        late = next((word for word in words if word in COMMANDS and not Path(word).exists()), None)
        return "" if late is None else f"; a command comes before its flags: client_app.py {late} ..."
    if not words or words[0] in COMMANDS or Path(words[0]).exists():
        return ""
    return did_you_mean(words[0], COMMANDS)


def _as_typed(message: str) -> str:
    for key, typed in _TYPED.items():
        message = message.replace(key, typed)
    return message
