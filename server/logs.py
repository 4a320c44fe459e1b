"""Log lines: one a record, whatever names and messages of others are in it."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from facewire.protocol.text import printable, printable_lines

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class HarmlessFormatter(logging.Formatter):
    """No name can end a line and write another, nor drive the terminal that shows the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line."""
        return printable(super().formatMessage(record))

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The lines of a traceback."""
        return printable_lines(super().formatException(ei))


def log_to_stderr(level: str, form: str = FORMAT) -> None:
    """Configures the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HarmlessFormatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])
