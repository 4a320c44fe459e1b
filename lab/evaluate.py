"""Evaluates the accuracy of the server's own code: `python scripts/evaluate.py emotion --images DIR_OR_TAR --json`.

Progress goes to stderr; with --json the last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from facewire.protocol.arguments import Parser
from facewire.protocol.text import printable
from facewire.server.errors import FacewireError
from lab.evaluation import album, clusters, emotion, groups, lfw, openset, precisions, quality, strangers

COMMANDS = {
    "lfw": lfw,
    "precisions": precisions,
    "openset": openset,
    "groups": groups,
    "strangers": strangers,
    "quality": quality,
    "emotion": emotion,
    "clusters": clusters,
    "album": album,
}


def main() -> int:
    arguments = parse()
    try:
        report = COMMANDS[arguments.command].run(arguments)
    except FacewireError as error:
        print(printable(f"evaluate.py: {error}"), file=sys.stderr)
        return 2
    print(json.dumps(report, indent=None if arguments.json else 2))
    return 0


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        command.add_argument("--json", action="store_true", help="the report on one line, the last of stdout")
        module.add_arguments(command)
    return parser.parse_args(argv)
