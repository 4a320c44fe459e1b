"""Six kills -9 out of the hundred of `python -m tests.support.kill_proof`, which says what is held to what."""

from __future__ import annotations

from pathlib import Path

from tests.support.kill_proof import rounds

KILLS = 6


def test_acknowledged_changes_survive_and_nothing_else_does(tmp_path: Path) -> None:
    last = None
    for proof in rounds(KILLS, seed=7, room=tmp_path):
        last = proof
    assert last is not None
    assert min(last.killed.values()) > 0
    assert last.changes > 0
