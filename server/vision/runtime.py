"""The only module that imports OpenVINO: compiled, thread-safe networks."""

from __future__ import annotations

import hashlib
import importlib
import os
import platform
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops
from openvino.preprocess import PrePostProcessor

from facewire.server.cache import alone_in, cached_folder
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


# Guards the process's locale: OpenVINO sets it to C while it reads, writes or compiles a network, and then puts back
# what it found. Two threads at once left it at C, and files and pipes opened afterwards were ASCII.
_locale = threading.RLock()

_first_use = threading.Lock()  # guards OpenVINO's own first-use tables: see _core


def _core() -> openvino.Core:
    """The process's only Core: every model is read and compiled with it.

    OpenVINO's bindings fill tables at their first inference. The thread that does so waits for the GIL while holding a
    C++ lock; a second thread then holds the GIL and waits for the C++ lock: a deadlock. So the first caller runs one
    inference while all others wait here; 15 ms, once.

    Raises StartError if OpenVINO can't compute at all; so does everything that uses the Core.
    """
    with _first_use:
        try:
            return _opened()
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]  # the lines before name OpenVINO's source files
            raise StartError(f"OpenVINO can't compute here ({reason}): install its package again") from error


def load() -> None:
    """Loads what the first network would wait for. Raises StartError."""
    _core()


@cache
def _opened() -> openvino.Core:
    core = openvino.Core()
    number = ops.parameter([1], np.uint8)
    model = openvino.Model([ops.convert(number, np.float32)], [number], "first")
    core.compile_model(model, "CPU").create_infer_request().infer([np.zeros(1, np.uint8)])
    return core


_CONVERTER = "openvino.tools.ovc"

_LIMIT = "ONEDNN_MAX_CPU_ISA"
"""Environment variable that holds oneDNN to older instruction sets. OpenVINO asks for bfloat16 all the same where the
processor has it, and fails ("Convolution node ... is not initialized")."""


class OpenVinoGraph:
    """A compiled graph. `streams` calls run in parallel, sharing `threads` threads; further callers wait.

    `exact`: compute in float32 on every processor what the graph does not round to integers. Otherwise bfloat16 is used
    if the processor supports it (AMX, AVX512-BF16), with answers of its own.

    An IR file that `prepared` wrote is compiled once: OpenVINO keeps the result beside it, by these settings, its own
    version and what the processor can do. From then on the file isn't even read. A damaged result is made again, and
    without write access nothing is kept.
    """

    def __init__(
        self,
        model: openvino.Model | Path,
        *,
        streams: int,
        threads: int,
        exact: bool = False,
        generated: int | None = None,
    ) -> None:
        """`model`: a path is that of a prepared file. `generated`: for how many pairs of a convolution and a shape of
        its input each stream keeps the code that was generated; None: for thousands."""
        config: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams}
        if generated is not None:
            config["CPU_RUNTIME_CACHE_CAPACITY"] = generated
        if exact or _LIMIT in os.environ:
            config["INFERENCE_PRECISION_HINT"] = openvino.Type.f32
        if isinstance(model, Path):
            config["CACHE_DIR"] = str(model.parent / _instructions())
        core = _core()  # outside: its own failures say nothing about the file
        # OpenVINO writes and removes results in place: a process that has mapped one dies when another cuts it short.
        alone = alone_in(model.parent) if isinstance(model, Path) else nullcontext()
        try:
            with alone, _locale:
                self._compiled = core.compile_model(model, "CPU", config)
        except RuntimeError as error:
            if isinstance(model, Path):
                raise StartError(f"{model} can't be read as a network: {str(error).splitlines()[0]}") from error
            raise
        # An infer request serves one caller at a time, so callers borrow one from this queue.
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue(maxsize=streams)
        for _ in range(streams):
            self._requests.put(self._compiled.create_infer_request())

    def run(self, batch: NDArray[Any]) -> list[Floats]:
        """All outputs of one forward pass, copied from the runtime's buffers."""
        return self.run_all([batch])[0]

    def run_all(self, batches: Sequence[NDArray[Any]]) -> list[list[Floats]]:
        """`run` of each, side by side on the streams that are free; they begin in the order given.

        Passes begin asynchronously even when there is only one: when six threads look for faces, a search costs 1.85 ms
        of processor time and not 2.
        """
        results: list[list[Floats]] = []
        begun: deque[tuple[Any, NDArray[Any]]] = deque()  # requests, and the input that each reads until it is done
        try:
            for batch in batches:
                # Whoever holds a request must not wait for another: all might be held by threads that do.
                while (request := self._borrowed(wait=not begun)) is None:
                    results.append(self._taken(begun))
                held = np.ascontiguousarray(batch)
                begun.append((request, held))
                request.start_async([held], share_inputs=True)
            while begun:
                results.append(self._taken(begun))
        finally:
            for _ in begun:  # a pass has failed: these requests are in no known state
                self._requests.put(self._compiled.create_infer_request())
        return results

    def _borrowed(self, *, wait: bool) -> Any:
        try:
            return self._requests.get(block=wait)
        except queue.Empty:
            return None

    def _taken(self, begun: deque[tuple[Any, NDArray[Any]]]) -> list[Floats]:
        """Waits for the oldest pass, gives its request back, and returns a copy of its outputs."""
        request, _ = begun[0]
        request.wait()
        outputs = [np.array(request.get_output_tensor(index).data) for index in range(len(self._compiled.outputs))]
        begun.popleft()
        self._requests.put(request)
        return outputs


class Graph(Protocol):
    """Computes a batch: (n, ...) -> its outputs."""

    def run(self, batch: NDArray[Any]) -> list[Floats]: ...


def in_parts(count: int, batch_sizes: Sequence[int]) -> list[int]:
    """The sizes of the passes for so many items, largest first; `batch_sizes`: the largest first, the last is 1."""
    sizes: list[int] = []
    while count:
        sizes.append(next(size for size in batch_sizes if size <= count))
        count -= sizes[-1]
    return sizes


class OpenVinoNetwork:
    """A graph with one input, run in fixed batch sizes; only its first output is used."""

    def __init__(self, graph: Graph, batch_sizes: Sequence[int] = BATCH_SIZES) -> None:
        self._graph = graph
        self._sizes = sorted(batch_sizes, reverse=True)

    def __call__(self, batch: NDArray[Any]) -> Floats:
        """(n, ...) -> (n, d) float32."""
        parts: list[Floats] = []
        at = 0
        for size in in_parts(len(batch), self._sizes):
            parts.append(self._graph.run(batch[at : at + size])[0])
            at += size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def read_model(path: Path) -> openvino.Model:
    """Reads an ONNX or OpenVINO IR file. Raises StartError if it is damaged."""
    try:
        core = _core()
        with _locale:
            return core.read_model(path)
    except RuntimeError as error:
        raise StartError(f"{path} can't be read as a network: {str(error).splitlines()[0]}") from error


def convert_keras(model: object) -> openvino.Model:
    """A Keras model as an OpenVINO one with a free batch dimension; of several outputs, vectors come before maps, as
    the converter's order is arbitrary."""
    _core()
    with _locale:
        converted = _converter().convert_model(model)
    results = sorted(converted.get_results(), key=lambda result: result.get_output_partial_shape(0).rank.get_length())
    return openvino.Model(results, converted.get_parameters(), converted.get_name())


def convert_onnx(path: Path, maps_relu: tuple[int, int] | None) -> openvino.Model:
    """A network's ONNX file, converted like `convert_keras`. `maps_relu`: (channels, n) makes the n-th ReLU, from 1,
    with that many channels the second output, (n, h, w, channels); without such a layer there is one output.

    Raises StartError if the file is damaged.
    """
    read_model(path)  # refuses a damaged file in one sentence, where `convert_model` prints pages
    with _locale:
        model = _converter().convert_model(path)  # folds constants, so that every converter's graph has the same layers
    embedding = model.output(0).get_node().input_value(0)
    return openvino.Model([embedding, *_maps(model, maps_relu)], model.get_parameters(), model.get_name())


def _converter() -> Any:
    """OpenVINO's converter, which `facewire.server` hides while OpenVINO is loaded. Call it with `_locale` held."""
    if sys.modules[_CONVERTER] is None:
        del sys.modules[_CONVERTER]
    return importlib.import_module(_CONVERTER)


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


def prepared(cache_dir: Path, key: str, build: Callable[[], openvino.Model]) -> Path:
    """The IR file of a cached network, for OpenVinoGraph to compile as it is; `build` makes it once for each `key`.
    Raises StartError if it can't be written, and what `build` raises."""

    def write(folder: Path) -> None:
        model = build()
        with _locale:
            openvino.save_model(model, folder / "network.xml", compress_to_fp16=False)

    return cached_folder(cache_dir, key, write) / "network.xml"


def save_model(model: openvino.Model, path: Path) -> None:
    """Writes IR (`path`: the .xml; the weights go beside it) with float16 weights: half the size; FaceNet's embeddings
    agree with float32's to a cosine of 1 - 3e-6."""
    with _locale:
        openvino.save_model(model, path, compress_to_fp16=True)


def reshape(model: openvino.Model, shape: Sequence[int]) -> openvino.Model:
    """Changes the model's input shape; -1 leaves a dimension free."""
    model.reshape(list(shape))
    return model


def shape_of(model: openvino.Model, *, output: bool = False) -> tuple[int, ...]:
    """The shape of the model's first input, or output; -1: a dimension that is free."""
    port = model.output(0) if output else model.input(0)
    shape = port.get_partial_shape()
    return tuple(size.get_length() if size.is_static else -1 for size in shape) if shape.rank.is_static else (-1,)


def input_type(model: openvino.Model) -> np.dtype[Any]:
    """What the model's first input holds."""
    found: np.dtype[Any] = np.dtype(model.input(0).get_element_type().to_dtype())
    return found


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
    path: Path,
    *,
    head: Path | None = None,
    threads: int | None = None,
    exact: bool = False,
) -> OpenVinoNetwork:
    """The network in an ONNX or IR file, each pass on `threads` threads (all cores); `exact`: see OpenVinoGraph.

    See `in_batches` for `head`.
    """
    model = in_batches(path, head)
    graph = OpenVinoGraph(model, streams=1, threads=threads or cores(), exact=exact)
    return OpenVinoNetwork(graph)


def in_batches(path: Path, head: Path | None = None) -> openvino.Model:
    """The network in an ONNX or IR file, with a free batch size as its first dimension.

    Of several outputs only the first is computed. With `head`, a network that reads the second output, each row of the
    first is followed by the head's output: one graph, one pass. Raises StartError if a file is damaged.
    """
    model = read_model(path)
    return with_free_batch(followed(model, head) if len(model.outputs) > 1 else model)


def with_free_batch(model: openvino.Model) -> openvino.Model:
    """The model, with a free batch size as the first dimension of its input."""
    shape = model.input(0).get_partial_shape()
    shape[0] = openvino.Dimension(-1)
    model.reshape(shape)
    return model


def followed(model: openvino.Model, head_file: Path | None) -> openvino.Model:
    """The model with one output, its first, followed by that of the head, which reads the second. Raises StartError."""
    first = model.output(0).get_node().input_value(0)
    if head_file is None:
        return openvino.Model([first], model.get_parameters(), model.get_name())
    second, head = model.output(1).get_node().input_value(0), read_model(head_file)
    for reader in head.input(0).get_target_inputs():
        reader.replace_source_output(second)
    said = head.output(0).get_node().input_value(0)
    return openvino.Model([ops.concat([first, said], 1)], model.get_parameters(), model.get_name())


@cache
def _instructions() -> str:
    """Names a folder for what is compiled for these instruction sets. OpenVINO's own key has a processor's name, which
    virtual machines of several generations share, and not what oneDNN is held to."""
    line = f"{platform.machine()} {cv2.getCPUFeaturesLine()} {_flags()} {os.environ.get(_LIMIT, '')}"
    return hashlib.sha256(line.encode()).hexdigest()[:12]


def _flags() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def gains_by_integers() -> bool:
    """Whether this processor computes faster in 8-bit integers: measured on x86-64 from AVX2 on."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    # OpenCV's build names what it can use; "*": chosen at run time, "?" at the end: not on this processor.
    return "AVX2" in {name.removeprefix("*") for name in cv2.getCPUFeaturesLine().split()}


def version() -> str:
    """The library's version, part of every cache key."""
    return str(openvino.__version__)
