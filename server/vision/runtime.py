"""The only module that imports OpenVINO: compiled, thread-safe networks."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor

from facewire.server.cores import cores
from facewire.server.errors import StartError

Floats = NDArray[np.float32]

# A batch is split into parts of these sizes, so that a few shapes serve every number of faces: nothing is compiled
# while clients wait, and memory stays flat. A face costs 37 ms of an AVX2 core alone, 33 in any larger part, and no
# less beyond 8: five as 4 + 1 take 170 ms; padded to 8 they would take 264.
BATCH_SIZES = (1, 2, 4, 8)


class Network(Protocol):
    """A forward pass: (n, ...) in, (n, d) out, for any n >= 1. Thread-safe."""

    def __call__(self, batch: NDArray[Any]) -> Floats: ...


_first_use = threading.Lock()  # guards OpenVINO's own first-use tables: see _core


def _core() -> openvino.Core:
    """The process's only Core: every model is read and compiled with it.

    OpenVINO's bindings fill tables at their first inference. The thread that does so waits for the GIL while holding a
    C++ lock; a second thread then holds the GIL and waits for the C++ lock: a deadlock. So the first caller runs one
    inference while all others wait here; 15 ms, once.
    """
    with _first_use:
        return _opened()


@cache
def _opened() -> openvino.Core:
    core = openvino.Core()
    number = ops.parameter([1], np.uint8)
    model = openvino.Model([ops.convert(number, np.float32)], [number], "first")
    core.compile_model(model, "CPU").create_infer_request().infer([np.zeros(1, np.uint8)])
    return core


class OpenVinoGraph:
    """A compiled graph. `streams` calls run in parallel, sharing `threads` threads; further callers wait.

    `exact`: compute in float32 on every processor. Otherwise bfloat16 is used if the processor supports it (AMX,
    AVX512-BF16): FaceNet then takes a fifth of the time, and its embeddings agree with float32's to a cosine of 0.9999.
    """

    def __init__(self, model: openvino.Model, *, streams: int, threads: int, exact: bool = False) -> None:
        config: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams}
        if exact:
            config["INFERENCE_PRECISION_HINT"] = openvino.Type.f32
        self._compiled = _core().compile_model(model, "CPU", config)
        # An infer request serves one caller at a time, so callers borrow one from this queue.
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue(maxsize=streams)
        for _ in range(streams):
            self._requests.put(self._compiled.create_infer_request())
        self.output_names = [name for output in model.outputs for name in sorted(output.get_names())[:1]]

    def run(self, batch: NDArray[Any]) -> list[Floats]:
        """All outputs of one forward pass, copied from the runtime's buffers."""
        request = self._requests.get()
        try:
            outputs = request.infer([np.ascontiguousarray(batch)], share_inputs=True, share_outputs=False)
            return [outputs[index] for index in range(len(self.output_names))]
        finally:
            self._requests.put(request)


class Graph(Protocol):
    """Computes a batch: (n, ...) -> its outputs."""

    def run(self, batch: NDArray[Any]) -> list[Floats]: ...


class OpenVinoNetwork:
    """A graph with one input, run in fixed batch sizes; only its first output is used."""

    def __init__(self, graph: Graph, batch_sizes: Sequence[int] = BATCH_SIZES) -> None:
        self._graph = graph
        self._sizes = sorted(batch_sizes, reverse=True)

    def __call__(self, batch: NDArray[Any]) -> Floats:
        """(n, ...) -> (n, d) float32."""
        parts: list[Floats] = []
        at = 0
        while at < len(batch):
            size = next(size for size in self._sizes if size <= len(batch) - at)
            parts.append(self._graph.run(batch[at : at + size])[0])
            at += size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def read_model(path: Path) -> openvino.Model:
    """Reads an ONNX or OpenVINO IR file. Raises StartError if it is damaged."""
    try:
        return _core().read_model(path)
    except RuntimeError as error:
        raise StartError(f"{path} can't be read as a network: {str(error).splitlines()[0]}") from error


def convert_keras(model: object) -> openvino.Model:
    """A Keras model as an OpenVINO one with a free batch dimension; of several outputs, vectors come before maps, as
    the converter's order is arbitrary."""
    _core()
    converted = openvino.convert_model(model)
    results = sorted(converted.get_results(), key=lambda result: result.get_output_partial_shape(0).rank.get_length())
    return openvino.Model(results, converted.get_parameters(), converted.get_name())


def convert_onnx(path: Path, maps_relu: tuple[int, int] | None) -> openvino.Model:
    """A network's ONNX file, converted like `convert_keras`. `maps_relu`: (channels, n) makes the n-th ReLU, from 1,
    with that many channels the second output, (n, h, w, channels); without such a layer there is one output.

    Raises StartError if the file is damaged.
    """
    model = read_model(path)
    embedding = model.output(0).get_node().input_value(0)
    return openvino.Model([embedding, *_maps(model, maps_relu)], model.get_parameters(), model.get_name())


def _maps(model: openvino.Model, maps_relu: tuple[int, int] | None) -> list[Any]:
    if maps_relu is None:
        return []
    channels, number = maps_relu
    found: list[Any] = []
    for node in model.get_ordered_ops():
        shape = node.get_output_partial_shape(0)
        if node.get_type_name() == "Relu" and shape.rank == openvino.Dimension(4):
            layouts = [place for place in (1, 3) if shape[place].is_static and shape[place].get_length() == channels]
            found += [(node, place) for place in layouts[:1]]
    if len(found) < number:
        return []
    node, place = found[number - 1]
    return [node.output(0) if place == 3 else ops.transpose(node, [0, 2, 3, 1]).output(0)]


def takes(model: openvino.Model, fed: Sequence[int], given: Sequence[int]) -> bool:
    """Whether the model accepts input of shape `fed`, and its first output has shape `given`."""
    shapes = model.input(0).get_partial_shape(), model.output(0).get_partial_shape()
    return all(
        shape.compatible(openvino.PartialShape(list(want))) for shape, want in zip(shapes, (fed, given), strict=True)
    )


def save_model(model: openvino.Model, path: Path) -> None:
    """Writes IR (`path`: the .xml; the weights go beside it) with float16 weights: half the size; FaceNet's embeddings
    agree with float32's to a cosine of 1 - 3e-6."""
    openvino.save_model(model, path, compress_to_fp16=True)


def reshape(model: openvino.Model, shape: Sequence[int]) -> openvino.Model:
    """Changes the model's input shape; -1 leaves a dimension free."""
    model.reshape(list(shape))
    return model


def merge_heads(model: openvino.Model, outputs: Sequence[Sequence[str]], sigmoids: int) -> openvino.Model:
    """The model with its outputs merged into one, (1, n, channels): each row of `outputs` names branches of one feature
    map, whose channels are concatenated; rows follow each other along n.

    A branch is a 1x1 convolution followed by a depthwise 3x3 one; with one to ten channels each, they leave most of a
    vector register empty. The first `sigmoids` channels of the result go through a sigmoid. Numerically identical.
    """
    named = {name: output.get_node() for output in model.outputs for name in output.get_names()}
    levels = [ops.reshape(ops.transpose(_merged(named, row), [0, 2, 3, 1]), [1, -1, _channels(named, row)], False)
              for row in outputs]  # fmt: skip
    everything = ops.concat(levels, 1)
    squashed, rest = ops.variadic_split(everything, 2, [sigmoids, -1]).outputs()
    return openvino.Model([ops.concat([ops.sigmoid(squashed), rest], 2)], model.get_parameters(), model.get_name())


def _merged(named: dict[str, Any], names: Sequence[str]) -> Any:
    """(1, channels, height, width): the merged branches' output, before it is reshaped."""
    branches = [_layers(named[name]) for name in names]
    wide, wide_bias, narrow, narrow_bias = ([branch[place].input_value(1) for branch in branches] for place in range(4))
    # A depthwise convolution of one channel is stored as an ordinary one.
    depthwise = [ops.reshape(kernel, [-1, 1, 1, 3, 3], False) for kernel in narrow]
    features = branches[0][0].input_value(0)
    once = [1, 1]
    merged = ops.convolution(features, ops.concat(wide, 0), once, [0, 0], [0, 0], once)
    merged = ops.add(merged, ops.concat(wide_bias, 1))
    merged = ops.group_convolution(merged, ops.concat(depthwise, 0), once, once, once, once)
    return ops.add(merged, ops.concat(narrow_bias, 1))


def _layers(result: Any) -> list[Any]:
    """The last convolution, bias, convolution and bias before an output."""
    layers: list[Any] = []
    node = result
    while len(layers) < 4:
        node = node.input_value(0).get_node()
        if node.get_type_name() in ("Convolution", "GroupConvolution", "Add"):
            layers.insert(0, node)
    return layers


def _channels(named: dict[str, Any], names: Sequence[str]) -> int:
    return sum(int(named[name].get_output_partial_shape(0)[2].get_length()) for name in names)


def fed_rgb_bytes(model: openvino.Model) -> openvino.Model:
    """Converts a model of (n, 3, h, w) float32 BGR pictures to take (n, h, w, 3) uint8 RGB: the channel order is folded
    into the first convolution's weights, and the layout is the one convolutions prefer anyway."""
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().preprocess().reverse_channels()
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


def open_network(
    path: Path, *, head: Path | None = None, threads: int | None = None, exact: bool = False
) -> OpenVinoNetwork:
    """The network in an ONNX or IR file, with a free batch size as its first dimension; `exact`: see OpenVinoGraph.

    Of several outputs only the first is computed. With `head`, a network that reads the second output, each row of the
    first is followed by the head's output: one graph, one pass.
    """
    model = read_model(path)
    if len(model.outputs) > 1:
        model = _followed(model, read_model(head) if head else None)
    shape = model.input(0).get_partial_shape()
    shape[0] = openvino.Dimension(-1)
    model.reshape(shape)
    return OpenVinoNetwork(OpenVinoGraph(model, streams=1, threads=threads or cores(), exact=exact))


def _followed(model: openvino.Model, head: openvino.Model | None) -> openvino.Model:
    first, second = (output.get_node().input_value(0) for output in model.outputs[:2])
    if head is None:
        return openvino.Model([first], model.get_parameters(), model.get_name())
    for reader in head.input(0).get_target_inputs():
        reader.replace_source_output(second)
    said = head.output(0).get_node().input_value(0)
    return openvino.Model([ops.concat([first, said], 1)], model.get_parameters(), model.get_name())


def version() -> str:
    """The library's version, part of every cache key."""
    return str(openvino.__version__)
