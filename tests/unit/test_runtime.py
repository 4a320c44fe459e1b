"""Batches of any size, computed in parts of a few; a first inference by several threads at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from facewire.server.cache import alone_in
from facewire.server.vision.runtime import (
    BATCH_SIZES,
    Floats,
    OpenVinoGraph,
    OpenVinoNetwork,
    open_network,
    save_model,
)

ROOT = Path(__file__).resolve().parents[2]


class Doubling:
    """A graph that remembers the sizes of what it is fed."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run(self, batch: NDArray[Any]) -> list[Floats]:
        self.sizes.append(len(batch))
        return [2 * batch]


@pytest.mark.parametrize("faces", range(1, 20))
def test_every_face_is_computed_once_and_in_order(faces: int) -> None:
    graph = Doubling()
    batch = np.arange(3 * faces, dtype=np.float32).reshape(faces, 3)
    assert np.array_equal(OpenVinoNetwork(graph)(batch), 2 * batch)
    assert sum(graph.sizes) == faces
    assert set(graph.sizes) <= set(BATCH_SIZES)


def write_trunk(path: Path) -> None:
    """A picture's mean and maximum a channel, and as its second output its pixels doubled."""
    picture = ops.parameter([-1, 4, 4, 2], np.float32)
    vector = ops.concat([ops.reduce_mean(picture, [1, 2]), ops.reduce_max(picture, [1, 2])], 1)
    save_model(openvino.Model([vector, ops.multiply(picture, np.float32(2))], [picture], "trunk"), path)


def write_head(path: Path) -> None:
    """The sum of the maps, and its negative."""
    maps = ops.parameter([-1, 4, 4, 2], np.float32)
    total = ops.reduce_sum(maps, [1, 2, 3])
    logits = ops.concat([ops.unsqueeze(total, 1), ops.unsqueeze(ops.negative(total), 1)], 1)
    save_model(openvino.Model([logits], [maps], "head"), path)


def test_a_heads_outputs_follow_those_of_the_network_it_rides_on(tmp_path: Path) -> None:
    write_trunk(tmp_path / "trunk.xml")
    write_head(tmp_path / "head.xml")
    pictures = np.random.default_rng(0).integers(0, 9, (5, 4, 4, 2)).astype(np.float32)
    alone = open_network(tmp_path / "trunk.xml")(pictures)
    assert np.allclose(alone, np.hstack([pictures.mean((1, 2)), pictures.max((1, 2))]))
    both = open_network(tmp_path / "trunk.xml", head=tmp_path / "head.xml")(pictures)
    total = 2 * pictures.sum((1, 2, 3))
    assert np.allclose(both, np.column_stack([alone, total, -total]))


STARTS = 50  # without what runtime._core does, the first to wait for ever is one of the first five


@pytest.mark.slow
def test_threads_that_infer_first_and_at_once_all_get_their_answer() -> None:
    """OpenVINO's bindings wait for each other there, for ever, in about one start of ten (docs/decisions/0047)."""
    command = [sys.executable, "-m", "tests.support.first_inferences", str(STARTS)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as starts:
        try:
            said, complaints = starts.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(starts.pid, signal.SIGKILL)  # the process that hangs is its child
            said, complaints = starts.communicate()
    assert complaints == ""
    assert said.split() == [str(number + 1) for number in range(STARTS)]


def test_one_process_at_a_time_compiles_beside_a_network(tmp_path: Path) -> None:
    """OpenVINO keeps what it compiles in place, and a process that has mapped it dies when another cuts it short."""
    path = tmp_path / "network.xml"
    given = ops.parameter([1, 3], np.float32)
    save_model(openvino.Model([ops.relu(given)], [given], "small"), path)
    compiled: list[OpenVinoGraph] = []
    compiling = threading.Thread(target=lambda: compiled.append(OpenVinoGraph(path, streams=1, threads=1)))
    with alone_in(tmp_path):
        compiling.start()
        compiling.join(0.5)
        assert not compiled
    compiling.join(60)
    assert np.array_equal(compiled[0].run(np.array([[-1, 0, 2]], np.float32))[0], [[0, 0, 2]])
