"""Starts processes whose first inferences run in several threads at once; used by tests/unit/test_runtime.py.

Every start is a fork of a process that has imported OpenVINO but not used it yet, as importing takes half a second.
"""

from __future__ import annotations

import os
import sys
import threading

import numpy as np

from facewire.server.vision.runtime import OpenVinoGraph  # before OpenVINO, to turn off its telemetry

# isort: split
import openvino
from openvino import opset13 as ops

THREADS = 4


def doubling() -> OpenVinoGraph:
    numbers = ops.parameter([-1, 4], np.float32)
    model = openvino.Model([ops.multiply(numbers, np.float32(2))], [numbers], "doubling")
    return OpenVinoGraph(model, streams=THREADS, threads=2)


def start(shared: bool) -> None:
    """Runs inferences in several threads at once: with a shared network, like create_db, or with one network each."""
    sys.setswitchinterval(1e-6)
    graph = doubling() if shared else None
    together = threading.Barrier(THREADS)
    right: list[bool] = []

    def look(number: int) -> None:
        batch = np.full((1, 4), number, np.float32)
        together.wait()
        outputs = (graph or doubling()).run(batch)
        right.append(bool((outputs[0] == 2 * number).all()))

    threads = [threading.Thread(target=look, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == [True] * THREADS


def main(starts: int) -> None:
    """Runs the starts one after the other, each in its own process; prints how many have finished."""
    for number in range(starts):
        child = os.fork()
        if child == 0:
            start(shared=number % 2 == 0)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0
        print(number + 1, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
