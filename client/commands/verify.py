"""`client_app.py verify A B`: do two pictures show one person?"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from client.commands.common import EXIT_ALL_MATCHED, EXIT_SOME_UNMATCHED, Usage, add_server_arguments, client_for
from client.pictures import TooManyBytes, read_picture
from protocol.shapes import to_plain


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `verify`."""
    parser.description = "Says whether two pictures show one person; of several faces the largest central one counts."
    parser.epilog = "exit codes: 0 the same person, 1 different people, 2 asked wrongly, 3 something failed"
    parser.add_argument("image", type=Path, metavar="A", help="the picture that is asked about")
    parser.add_argument("other", type=Path, metavar="B", help="the one to compare it with, as if it were enrolled")
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
        answer = client.verify(image, other)
    if arguments.json:
        print(json.dumps(to_plain(answer)))
    else:
        verdict = "the same person" if answer.same else "different people"
        print(
            f"{verdict}: similarity {answer.similarity:.3f}, the same from {answer.threshold:.3f} on ({answer.model})"
        )
    return EXIT_ALL_MATCHED if answer.same else EXIT_SOME_UNMATCHED
