"""What a first start says: a line for each stage, in the server's log and plainly in commands that have none."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from facewire.server.errors import StartError
from facewire.server.maintenance.command import exit_code
from facewire.server.vision.stages import Stages, shown_plainly


def test_each_stage_is_a_line_with_the_time_so_far(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    stages = Stages()
    stages.now("loading")
    stages.now("converting")
    assert [record.message.partition(" (after ")[0] for record in caplog.records] == ["loading", "converting"]
    assert all(record.message.endswith(" s)") for record in caplog.records)


def test_a_command_shows_the_stages_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        Stages().now("converting")
        logging.getLogger("facewire.vision").info("more than users want to know")
        return 0

    assert exit_code("create_db", Path("x.db"), work, afterwards="") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("converting (after ")


def test_afterwards_nothing_is_shown_any_more(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StartError), shown_plainly():
        raise StartError("no weights")
    Stages().now("converting")
    assert capsys.readouterr().err == ""
