"""OpenVINO changes the process's locale for a moment; a server whose networks open side by side must keep its own."""

from __future__ import annotations

import locale
import subprocess
import sys
import threading
from pathlib import Path

from facewire.server.vision import runtime

LAYERS = 12


def test_networks_that_open_side_by_side_leave_the_locale(tmp_path: Path) -> None:
    """In a process of its own: the locale is everybody's."""
    program = f"from tests.unit.test_locale import opened_side_by_side as run; run({str(tmp_path)!r})"
    env = {"LC_ALL": "C.UTF-8", "PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.stdout.split() == ["UTF-8"], ended.stderr


def opened_side_by_side(folder: str) -> None:
    """Prints the process's encoding after networks were compiled and taken from the cache by several threads."""
    from openvino import Model
    from openvino import opset13 as ops

    def network() -> Model:
        fed = ops.parameter([1, 3, 32, 32], name="fed")
        node = fed
        for _ in range(LAYERS):
            node = ops.relu(ops.add(node, ops.constant([[[[1.0]]]], dtype="float32")))
        return Model([node], [fed], "network")

    def look(number: int) -> None:
        path = runtime.prepared(Path(folder), f"{number:064d}", network)
        for _ in range(20):
            runtime.OpenVinoGraph(path, streams=1, threads=1)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(locale.getencoding())
