"""How far it is: tqdm's bar on a terminal, lines where that is not installed, nothing elsewhere."""

from __future__ import annotations

import io
import sys
import time
from contextlib import redirect_stderr

import pytest

from facewire.client.bar import Bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_how_far_it_is_and_is_gone_at_the_end() -> None:
    with redirect_stderr(Terminal()) as terminal, Bar("adding\x1b[2J", "photos") as bar:
        bar.at(0, 4)
        assert "adding\\x1b[2J" in terminal.getvalue()
        bar.at(0, 7, label="finding faces")
        assert "finding faces" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")
    assert "\n" not in terminal.getvalue()


def test_counts_are_told() -> None:
    with redirect_stderr(Terminal()) as terminal, Bar("saving", "B") as bar:
        bar.at(12_300_000, 45_600_000)
        assert "/45.6M" in terminal.getvalue()


def test_without_tqdm_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with redirect_stderr(Terminal()) as terminal, Bar("adding", "photos") as bar:
        bar.at(1, 4)
        now[0] += 5
        bar.at(2, 4)
        bar.at(3, 0)
        now[0] += 5
        bar.at(4, 0)
    assert terminal.getvalue() == "adding: 2 of 4 photos\nadding: 4 photos\n"


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar("adding", "photos") as bar:
        bar.at(1, 2)
    assert capsys.readouterr().err == ""
