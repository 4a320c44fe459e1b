"""`--log-format json`: one object a line, whatever is said."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any

import pytest

from facewire.server.logs import JsonFormatter


def written(message: str, *args: object, **options: Any) -> tuple[str, dict[str, object]]:
    """The line, and what it says, of one record."""
    record = logging.getLogger("facewire.test").makeRecord(
        "facewire.test", logging.WARNING, __file__, 1, message, args, options.get("exc_info"),
        extra=options.get("extra"),
    )  # fmt: skip
    line = JsonFormatter().format(record)
    return line, json.loads(line)


def test_a_record_with_fields() -> None:
    line, said = written("id=%d op=%s", 7, "identify", extra={"op": "identify", "ms": 1.5})
    moment = datetime.fromisoformat(str(said.pop("time")))
    assert moment.utcoffset() is not None
    assert said == {
        "level": "warning", "logger": "facewire.test", "message": "id=7 op=identify", "op": "identify", "ms": 1.5,
    }  # fmt: skip
    assert line.isascii()


@pytest.mark.parametrize("name", ["two\nlines", "a\u2028b", "\x1b[31mred", 'quoted "name"', "李雷", "\ud800"])
def test_whatever_a_client_says_is_one_line(name: str) -> None:
    line, said = written("hello %s", name)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    assert said["message"] == f"hello {name}"


def test_an_exception_stays_in_the_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        line, said = written("failed", exc_info=(type(error), error, error.__traceback__))
    assert len(line.splitlines()) == 1
    assert "ValueError: first\nsecond" in str(said["exception"])
