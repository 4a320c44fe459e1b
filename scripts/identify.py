"""Who is in a picture, without a server: python scripts/identify.py IMG [IMG ... | FOLDER] --db DB.

The same service answers as behind the socket, so the answers are the same. Output and exit codes are client_app.py's.
"""

from __future__ import annotations

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.scripts.identify")

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from facewire.client.commands.common import EXIT_USAGE, Usage
from facewire.client.commands.identify import add_picture_arguments, ask_about, wanted_pictures
from facewire.client.errors import ServerRefused
from facewire.protocol.arguments import Parser
from facewire.protocol.messages import Identified, Identify
from facewire.protocol.text import printable
from facewire.server.app import open_service
from facewire.server.errors import RequestError, StartError
from facewire.server.logs import log_to_stderr
from facewire.server.recognition.service import RecognitionService
from facewire.server.settings import DEFAULT_DB, add_decision_arguments, add_vision_arguments, vision_settings
from facewire.server.tcp.dispatch import code_of


class InProcess:
    """Answers as a server would, and refuses as a server would."""

    def __init__(self, service: RecognitionService) -> None:
        self._service = service

    def identify_many(self, images: Iterable[bytes], *, k: int, emotion: bool) -> Iterator[Identified | ServerRefused]:
        """One after the other."""
        for image in images:
            try:
                yield self._service.identify(Identify(image, k, emotion))
            except RequestError as error:
                yield ServerRefused(code_of(error), str(error), None)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 every picture had a match, 1 some had none, 2 asked wrongly, 3 something failed."""
    parser = Parser("identify.py", description="Who is in a picture, without a server.")
    parser.tell_version()
    add_picture_arguments(parser)
    parser.add_argument("--db", type=Path, default=DEFAULT_DB, help="database of create_db.py (default: %(default)s)")
    add_decision_arguments(parser)
    add_vision_arguments(parser, model_help="by default the one the database was built with")
    arguments = parser.parse_args(argv)
    log_to_stderr("warning", "%(name)s: %(message)s")
    try:
        paths = wanted_pictures(arguments)
        with ExitStack() as open_things:
            service = open_service(
                arguments.db, arguments.model, vision_settings(arguments), arguments.fpir, open_things
            )
            return ask_about(paths, InProcess(service), arguments, names_model=True)
    except Usage as error:
        print(printable(f"identify.py: {error}"), file=sys.stderr)
        return EXIT_USAGE
    except StartError as error:
        print(printable(f"identify.py: {error}"), file=sys.stderr)
        return error.exit_code
