"""What `make test` says of the tests that it skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server_process import ROOT

SKIPPING = """
import pytest

@pytest.mark.parametrize("n", range(3))
def test_one(n):
    pytest.skip("what is not here")

@pytest.mark.skipif(True, reason="what else is not here")
def test_other():
    pass
"""


@pytest.mark.slow  # pytest started anew
def test_each_reason_is_said_once_with_how_many_tests_it_concerns(tmp_path: Path) -> None:
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines() if "not here" in line]
    assert lines == [["3", "what", "is", "not", "here"], ["1", "what", "else", "is", "not", "here"]]
