"""Logging: one line per record, even if user-supplied names and messages contain line breaks."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

from facewire.protocol.text import printable, printable_lines

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class HarmlessFormatter(logging.Formatter):
    """Escapes line breaks and control characters, so user-supplied text can't forge log lines or control the
    terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The record as one printable line."""
        return printable(super().formatMessage(record))

    def formatException(
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        """The traceback with control characters escaped; its line breaks stay."""
        return printable_lines(super().formatException(ei))


def log_to_stderr(level: str, form: str = FORMAT) -> None:
    """Configures logging for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(HarmlessFormatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])
