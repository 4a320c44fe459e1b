"""Who is in a picture, without a server: python scripts/identify.py IMG [IMG ... | FOLDER] --db DB.

The recogniser is the server's own, so the answers are the same. Output and exit codes are client_app.py's.
"""

from __future__ import annotations

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.scripts.identify")

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

from facewire.client.commands.common import EXIT_USAGE, Usage
from facewire.client.commands.identify import PICTURE_ARGUMENTS, ask_about, wanted_pictures
from facewire.client.errors import ServerRefused
from facewire.protocol.arguments import Parser, flags
from facewire.protocol.command_names import as_called
from facewire.protocol.messages import Identified, Identify
from facewire.protocol.text import printable
from facewire.server.app import open_recognition
from facewire.server.errors import RequestError, StartError
from facewire.server.logs import log_to_stderr
from facewire.server.recognition.recogniser import Recogniser
from facewire.server.settings import Settings, add_vision_arguments, vision_settings
from facewire.server.tcp.answers import code_of


class InProcess:
    """Answers as a server would, and refuses as a server would."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser

    def identify_many(self, images: Iterable[bytes], *, k: int, emotion: bool) -> Iterator[Identified | ServerRefused]:
        """One after the other."""
        for image in images:
            try:
                yield self._recogniser.identify(Identify(image, k, emotion))
            except RequestError as error:
                yield ServerRefused(code_of(error), str(error), None)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 every picture had a match, 1 some had none, 2 usage error, 3 something failed."""
    parser = Parser("identify.py", description="Who is in a picture, without a server.")
    parser.tell_version()
    for argument in PICTURE_ARGUMENTS:
        argument(parser)
    flags(parser, Settings, only=("db", "fpir"))
    add_vision_arguments(parser, model_help="by default the one the database was built with")
    arguments = parser.parse_args(argv)
    log_to_stderr("warning", "%(name)s: %(message)s")
    try:
        paths = wanted_pictures(arguments)
        with ExitStack() as open_things:
            recognition = open_recognition(
                arguments.db, arguments.model, vision_settings(arguments), arguments.fpir, open_things
            )
            return ask_about(paths, InProcess(recognition.recogniser), arguments, names_model=True)
    except Usage as error:
        print(as_called(printable(f"identify.py: {error}")), file=sys.stderr)
        return EXIT_USAGE
    except StartError as error:
        print(as_called(printable(f"identify.py: {error}")), file=sys.stderr)
        return error.exit_code
