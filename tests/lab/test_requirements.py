"""The laboratory's tests are there for whoever ran `make test-lab`: it installs nothing to race or to train with."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions

from packaging.utils import canonicalize_name

from tests.support.server_process import ROOT
from tests.unit.test_packaging import pins

_TESTING = ("requirements.txt", "requirements-web.txt", "requirements-offline.txt", "requirements-dev.txt")
_MORE = ("requirements-bench.txt", "requirements-train.txt", "requirements-cluster.txt")
_COLLECT = """
import sys
import pytest
sys.modules.update(dict.fromkeys(sys.argv[1:], None))  # an import of one of these fails
sys.exit(pytest.main(["tests/lab", "--collect-only", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]))
"""


def test_the_tests_are_found_where_only_what_they_need_is_installed() -> None:
    """Neither FAISS nor PyTorch, which are on the machine of whoever works on the laboratory and on no other."""
    needed = {package for file in _TESTING for package in pins(file)}
    missing = {package for file in _MORE for package in pins(file)} - needed
    assert {"faiss-cpu", "torch"} <= missing
    modules = [
        name for name, of in packages_distributions().items() if missing.intersection(map(canonicalize_name, of))
    ]
    found = subprocess.run(
        [sys.executable, "-c", _COLLECT, *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert found.returncode == 0, found.stdout
