"""Logging: one line per record, even if user-supplied names and messages contain line breaks; as text, or as JSON for
programs."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, TextIO

from facewire.protocol.text import printable, printable_lines

LogFormat = Literal["text", "json"]

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


class JsonFormatter(logging.Formatter):
    """A record as one JSON object in one line: `time` (UTC), `level`, `logger`, `message`, the fields of its `extra`,
    and `exception` if there is one. Everything but ASCII is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        said: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        said |= {name: value for name, value in extra.items() if not name.startswith("_")}  # a library's own: Ray's
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps(said, default=str)


_OF_EVERY_RECORD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr for as long as somebody can read it.

    Once its terminal is closed, or the program that read it has ended, what was not written would stay in Python's
    buffer, fail again at exit, and make the exit code 120. A file is kept: its disk may have room again.
    """

    def handleError(self, record: logging.LogRecord) -> None:
        """Called where a record could not be written."""
        if isinstance(sys.exception(), OSError) and not stat.S_ISREG(os.fstat(self.stream.fileno()).st_mode):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
        else:
            super().handleError(record)


def log_to_stderr(level: str, form: str = FORMAT, *, written: LogFormat = "text") -> None:
    """Configures logging for the whole process; `form`: of text."""
    handler = _StderrHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if written == "json" else HarmlessFormatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler])
