"""create_db's parts: bounded work in order, a file that vanishes, the log's format."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from facewire.server.maintenance.build.folder import FoundFile
from facewire.server.maintenance.build.reading import Outcome, look_at
from facewire.server.maintenance.build.report import Reason, Skipped, write_log
from facewire.server.maintenance.command import in_parallel
from tests.support.synthetic_engine import SyntheticEngine


def file(number: int) -> FoundFile:
    return FoundFile("Ann", f"Ann/{number}.png", 1, 1)


def test_outcomes_come_in_order_and_little_is_begun_early() -> None:
    begun: list[int] = []
    count = threading.Lock()

    def look(found: FoundFile) -> Outcome:
        with count:
            begun.append(1)
        return Skipped(found.path, Reason.NO_FACE)

    paths = []
    for taken, outcome in enumerate(in_parallel(look, map(file, range(100)), jobs=3)):
        assert len(begun) <= taken + 4 * 3
        assert isinstance(outcome, Skipped)
        paths.append(outcome.path)
    assert paths == [f"Ann/{number}.png" for number in range(100)]


def test_leaving_early_begins_nothing_more() -> None:
    begun: list[str] = []

    def look(found: FoundFile) -> Outcome:
        begun.append(found.path)
        return Skipped(found.path, Reason.NO_FACE)

    outcomes = in_parallel(look, map(file, range(100)), jobs=2)
    next(outcomes)
    outcomes.close()
    assert len(begun) <= 8
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("look")]


def test_a_bug_in_looking_is_not_swallowed() -> None:
    def look(found: FoundFile) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_parallel(look, [file(1)], jobs=1))


def test_a_file_that_vanished_is_a_reason(tmp_path: Path) -> None:
    outcome = look_at(file(1), tmp_path, SyntheticEngine(), lambda person: ())
    assert outcome == Skipped("Ann/1.png", Reason.UNREADABLE, "No such file or directory")


def test_the_log_has_one_line_a_file_whatever_its_name(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    write_log(log, [("b\n\t\\", "why"), ("a\udcff", "because")])
    assert log.read_text().splitlines() == ["a\\xff\tbecause", "b\\n\\t\\\\\twhy"]
    write_log(log, [])
    assert list(tmp_path.iterdir()) == []
