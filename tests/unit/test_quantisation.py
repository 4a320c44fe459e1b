"""Rounding a network to 8-bit integers, on a small one with FaceNet's kinds of layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray
from openvino import opset13 as ops

from facewire.server.errors import StartError
from facewire.server.vision.quantisation import Rounding, fits, layers, round_network
from facewire.server.vision.runtime import OpenVinoGraph

Floats = NDArray[np.float32]
RNG = np.random.default_rng(3)
KERNELS = [
    RNG.normal(0, 0.3, shape).astype(np.float32) for shape in ((8, 3, 3, 3), (8, 8, 1, 1), (4, 8, 1, 1), (8, 12, 1, 1))
]
PICTURES = RNG.normal(0, 1, (6, 12, 12, 3)).astype(np.float32)


def convolved(source: object, number: int) -> object:
    """The convolution and its bias."""
    kernel = KERNELS[number]
    border = [kernel.shape[2] // 2] * 2
    wide = ops.convolution(source, ops.constant(kernel), [1, 1], border, border, [1, 1])
    return ops.add(wide, ops.constant(np.full((1, len(kernel), 1, 1), 0.1 * number, np.float32)))


def network(*, sum_first: bool = False) -> openvino.Model:
    """Stem, two branches joined, and a sum with the stem, as in FaceNet's blocks; and the maps, read by nobody."""
    picture = ops.parameter([-1, 12, 12, 3], np.float32)
    stem = ops.relu(convolved(ops.transpose(picture, [0, 3, 1, 2]), 0))
    joined = ops.concat([ops.relu(convolved(stem, 1)), ops.relu(convolved(stem, 2))], 1)
    branch = convolved(joined, 3)
    total = ops.relu(ops.add(branch, stem) if sum_first else ops.add(stem, branch))
    maps = ops.transpose(total, [0, 2, 3, 1])
    return openvino.Model([ops.reduce_mean(total, [2, 3]), maps], [picture], "small")


def numbers(**changed: Any) -> Rounding:
    """Every layer rounded, within what its output spans; nothing moved."""
    nan = np.nan
    plain = Rounding(
        network="n" * 64,
        kernels=np.array([kernel.shape for kernel in KERNELS]),
        rounded=np.ones(4, bool),
        outputs=np.array([4, 4, 4, nan], np.float32),
        sums=np.array([nan, nan, nan, 5], np.float32),
        moved=np.zeros(8, np.float32),
    )
    return replace(plain, **changed)


def run(model: openvino.Model) -> list[Floats]:
    return OpenVinoGraph(model, streams=1, threads=1, exact=True).run(PICTURES)


@pytest.mark.parametrize("sum_first", [False, True])
def test_layers_are_numbered_the_same_whichever_side_of_the_sum_comes_first(sum_first: bool) -> None:
    found = layers(network(sum_first=sum_first))
    assert [tuple(layer.convolution.input_value(1).get_shape()) for layer in found] == [k.shape for k in KERNELS]
    assert [layer.total is not None for layer in found] == [False, False, False, True]
    assert fits(network(sum_first=sum_first), numbers())


def test_another_network_does_not_fit() -> None:
    assert not fits(network(), numbers(kernels=np.array([kernel.shape for kernel in KERNELS[:3]])))
    assert not fits(network(), numbers(kernels=np.array([kernel.shape for kernel in KERNELS[::-1]])))


def test_a_rounded_network_is_near_the_other_and_not_the_same() -> None:
    (exact, maps), (near, rounded_maps) = run(network()), run(round_network(network(), numbers()))
    assert near.shape == exact.shape and rounded_maps.shape == maps.shape
    assert 0 < np.abs(near - exact).max() < 0.03 * np.abs(exact).max()
    assert len(np.unique(rounded_maps)) <= 256 < len(np.unique(maps))


def unrounded(**changed: Any) -> Rounding:
    nothing = np.full(4, np.nan, np.float32)
    return numbers(rounded=np.zeros(4, bool), outputs=nothing, sums=nothing, **changed)


def test_what_is_not_to_be_rounded_is_left() -> None:
    assert np.allclose(run(round_network(network(), unrounded()))[0], run(network())[0], rtol=1e-5)


def test_embeddings_are_moved_and_maps_are_not() -> None:
    moved = np.arange(8, dtype=np.float32)
    embedding, maps = run(network())
    found, found_maps = run(round_network(network(), unrounded(moved=moved)))
    assert np.allclose(found, embedding + moved, atol=1e-4)
    assert np.allclose(found_maps, maps, rtol=1e-5)


def test_numbers_are_read_back(tmp_path: Path) -> None:
    numbers().save(tmp_path / "numbers.npz")
    read = Rounding.load(tmp_path / "numbers.npz")
    assert fits(network(), read) and read.network == "n" * 64
    assert np.array_equal(read.outputs, numbers().outputs, equal_nan=True)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "numbers.npz").write_bytes(b"PK\3\4 and then nothing")
    with pytest.raises(StartError, match=r"numbers\.npz can't be read"):
        Rounding.load(tmp_path / "numbers.npz")
