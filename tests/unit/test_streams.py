"""Several faces are split between the cores, one is not; the answers are the same."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from facewire.server.vision.runtime import BATCH_SIZES, Floats, OpenVinoGraph, read_model, save_model
from facewire.server.vision.streams import NetworkByCompany, SplitNetwork, open_by_company, open_split
from tests.support.waiting import PATIENCE_S

PIXELS = np.random.default_rng(1).random((19, 6, 6, 3), np.float32)


def write_network(path: Path, *, quantised: bool) -> None:
    """A convolution and a mean, as a network of 8-bit integers would be written or in plain float32."""
    rng = np.random.default_rng(2)
    picture = ops.parameter([-1, 6, 6, 3], np.float32)
    fed = ops.transpose(picture, [0, 3, 1, 2])
    kernel: Any = ops.constant(rng.random((16, 3, 3, 3), np.float32) - 0.5)
    if quantised:
        fed = ops.fake_quantize(fed, *(np.float32(value) for value in (0, 1, 0, 1)), 256)
        kernel = ops.fake_quantize(kernel, *(np.float32(value) for value in (-0.5, 0.5, -0.5, 0.5)), 255)
    maps = ops.relu(ops.convolution(fed, kernel, [1, 1], [1, 1], [1, 1], [1, 1]))
    save_model(openvino.Model([ops.reduce_mean(maps, [2, 3])], [picture], "network"), path)


class Doubling:
    """Streams that remember the sizes of what they are fed."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def run_all(self, batches: Any) -> list[list[Floats]]:
        self.sizes += [len(batch) for batch in batches]
        return [[2 * batch] for batch in batches]


@pytest.mark.parametrize("streams", [1, 2, 4])
@pytest.mark.parametrize("count", range(1, 20))
def test_every_item_is_computed_once_in_order_and_as_many_for_each_core(count: int, streams: int) -> None:
    graph = Doubling()
    batch = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
    assert np.array_equal(SplitNetwork(graph, streams)(batch), 2 * batch)
    assert set(graph.sizes) <= set(BATCH_SIZES)
    loads = [0] * streams
    for size in graph.sizes:  # each pass goes to the stream that is free first
        loads[loads.index(min(loads))] += size
    assert max(loads) - min(loads) <= 1


@pytest.mark.parametrize("quantised", [False, True])
def test_a_face_is_answered_alike_alone_and_in_company(tmp_path: Path, *, quantised: bool) -> None:
    write_network(tmp_path / "network.xml", quantised=quantised)
    network = open_by_company(tmp_path / "network.xml")
    alone = np.concatenate([network(PIXELS[n : n + 1]) for n in range(len(PIXELS))])
    for count in range(1, len(PIXELS) + 1):
        assert np.array_equal(network(PIXELS[:count]), alone[:count])
    assert np.array_equal(open_split(tmp_path / "network.xml")(PIXELS), alone)


def test_more_passes_and_callers_than_streams_all_end(tmp_path: Path) -> None:
    write_network(tmp_path / "network.xml", quantised=False)
    graph = OpenVinoGraph(_in_batches(tmp_path / "network.xml"), streams=2, threads=2)
    batches = [PIXELS[n : n + 1] for n in range(len(PIXELS))]
    expected = [graph.run(batch)[0] for batch in batches]
    with ThreadPoolExecutor(6) as pool:
        for got in pool.map(lambda _: graph.run_all(batches), range(24)):
            assert all(np.array_equal(one[0], other) for one, other in zip(got, expected, strict=True))


def test_a_pass_that_fails_leaves_the_streams_usable(tmp_path: Path) -> None:
    write_network(tmp_path / "network.xml", quantised=False)
    graph = OpenVinoGraph(_in_batches(tmp_path / "network.xml"), streams=2, threads=2)
    expected = graph.run(PIXELS[:1])[0]
    for _ in range(3):
        with pytest.raises(Exception, match="shape"):
            graph.run_all([PIXELS[:1], PIXELS[:1], PIXELS[:1, :, :, :2]])
    assert np.array_equal(graph.run_all([PIXELS[:1]] * 3)[2][0], expected)


def _in_batches(path: Path) -> openvino.Model:
    model = read_model(path)
    model.reshape([-1, 6, 6, 3])
    return model


def test_company_that_comes_early_does_not_wait_for_its_network() -> None:
    entered, let = threading.Event(), threading.Event()

    def opened() -> Any:
        entered.set()
        assert let.wait(PATIENCE_S)
        return lambda batch: 3 * batch

    def alone(batch: NDArray[Any]) -> Floats:
        return 2 * batch

    network = NetworkByCompany(alone, opened)
    one, two = np.ones((1, 1), np.float32), np.ones((2, 1), np.float32)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(network, two)
        assert entered.wait(PATIENCE_S)
        assert np.array_equal(network(two), 2 * two)
        let.set()
        assert np.array_equal(first.result(10), 3 * two)
    assert np.array_equal(network(one), 2 * one)
    assert np.array_equal(network(two), 3 * two)
