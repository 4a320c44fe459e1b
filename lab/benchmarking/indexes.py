"""The indexes that Milvus has, asked without anything of ours around them: time, recall and memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient

from facewire.protocol.settings import MEBIBYTE
from facewire.scripts.milvus_serving import HOST, milvus_serving
from facewire.server.comparison import nearness
from facewire.server.gallery.records import Templates
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.processes import memory_of
from lab.benchmarking.bench import Bench, say
from lab.benchmarking.beside_milvus import LARGE, PROBES, every_size
from lab.benchmarking.report import Section
from lab.benchmarking.vectors import Crowd, crowd_database

EQUAL = 1e-4  # as far as Milvus' ranking in 50 numbers may be from ours in 512
BATCH = 10_000  # rows an insertion; gRPC carries 64 MB
NAME = "templates"
COLUMNS = ("templates", "engine", "median ms", "90 % within ms", "recall@1", "load s", "our process MB", "engine MB")

Search = Callable[[NDArray[np.float32]], int]
"""A probe (d,) to the row of the nearest template."""


class Index(NamedTuple):
    """An index of Milvus and its parameters. `whole`: it gets all 512 numbers of an embedding, and not only the 49 that
    count. `sphere`: one number more makes all rows equally long, so that the nearest by distance is the one of largest
    inner product: graphs find their way by distances."""

    name: str
    kind: str
    build: dict[str, int]
    search: dict[str, int]
    whole: bool = False
    sphere: bool = False
    most: int = LARGE  # templates; more would take an hour here


GRAPH, LISTS = {"M": 16, "efConstruction": 200}, {"nlist": 1024}
INDEXES = (
    Index("FLAT, 50 numbers", "FLAT", {}, {}),
    Index("HNSW, 51 numbers", "HNSW", GRAPH, {"ef": 256}, sphere=True),
    Index("HNSW by inner product, 50", "HNSW", GRAPH, {"ef": 256}, most=100_000),
    Index("IVF_FLAT, 51 numbers", "IVF_FLAT", LISTS, {"nprobe": 64}, sphere=True),
    Index("IVF_SQ8, 51 numbers", "IVF_SQ8", LISTS, {"nprobe": 64}, sphere=True),
    Index("HNSW, 514 numbers", "HNSW", GRAPH, {"ef": 256}, whole=True, sphere=True, most=100_000),
)


def run(bench: Bench) -> Section:
    """Every size; for each, every engine after the other, alone."""
    section = Section(
        "indexes: the nearest template to one probe, in SQLite's gallery in the process and in Milvus over its port",
        COLUMNS,
        notes=[
            "recall@1: the template found is as near as the nearest of all, relative to near strangers",
            "Milvus: the standalone server of the wheel, consistency Bounded, one client; MB: resident, when loaded",
        ],
    )
    return every_size(bench, section, _measure)


def _measure(bench: Bench, crowd: Crowd, section: Section) -> None:
    path = crowd_database(bench.cache, crowd, bench.spec)
    probes = crowd.probes(PROBES)
    before, begun = memory_of(os.getpid()), time.perf_counter()
    with SqliteGallery.open(path) as gallery:
        loaded = time.perf_counter() - begun
        templates = gallery.templates()
        nearest = [float(nearness(templates.embeddings @ probe, templates.scales).max()) for probe in probes]
        ours: Search = lambda probe: gallery.search(probe, 1, means=False)[0].template_id - 1  # noqa: E731
        times, recall = _asked(ours, templates, probes, nearest)
        used = (memory_of(os.getpid()) - before) / MEBIBYTE
        _add(section, crowd.templates, "SQLite, in the process", times, recall, (loaded, used, 0.0))
    for index in INDEXES:
        if crowd.templates <= index.most:
            _measure_milvus(bench, crowd, index, templates, (probes, nearest), section)


def _measure_milvus(
    bench: Bench,
    crowd: Crowd,
    index: Index,
    templates: Templates,
    asked: tuple[NDArray[np.float32], list[float]],
    section: Section,
) -> None:
    """A Milvus of its own for each, as it gives no memory back."""
    say(f"filling Milvus with {crowd.templates:,} templates: {index.name}")
    axes = np.eye(bench.spec.dimension, dtype=np.float32) if index.whole else crowd.axes
    room = bench.room / f"milvus-{crowd.templates}-{INDEXES.index(index)}"
    with milvus_serving(room, programs=bench.room / "milvus-programs") as server:
        client = MilvusClient(f"http://{HOST}:{server.port}")
        begun = time.perf_counter()
        _fill(client, _stored(templates, axes, sphere=index.sphere), index)
        loaded = time.perf_counter() - begun

        def search(probe: NDArray[np.float32]) -> int:
            wanted = np.array([*(probe @ axes), -1, *([0] if index.sphere else [])], np.float32)
            found = client.search(
                NAME, data=[wanted.tolist()], limit=1, search_params={"params": index.search},
                consistency_level="Bounded",
            )  # fmt: skip
            return int(found[0][0]["id"])

        times, recall = _asked(search, templates, *asked)
        memory = server.memory() / MEBIBYTE
        client.close()
    _add(section, crowd.templates, f"Milvus, {index.name}", times, recall, (loaded, 0.0, memory))


def _stored(templates: Templates, axes: NDArray[np.float32], *, sphere: bool) -> NDArray[np.float32]:
    """(n, r + 1): with the probe [p, -1], the inner product is nearness, (cos - 1) / scale. (n, r + 2) on a sphere."""
    scales = templates.scales[:, None]
    rows = np.hstack([templates.embeddings @ axes / scales, 1 / scales])
    if sphere:
        squares = np.square(rows).sum(1, keepdims=True)
        rows = np.hstack([rows, np.sqrt(squares.max() - squares)])
    return np.asarray(rows, np.float32)


def _fill(client: Any, vectors: NDArray[np.float32], index: Index) -> None:
    """Returns when every row is indexed and loaded."""
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
    client.create_collection(NAME, schema=schema)
    for low in range(0, len(vectors), BATCH):
        rows = [{"id": low + number, "vector": vector} for number, vector in enumerate(vectors[low : low + BATCH])]
        client.insert(NAME, rows)
    client.flush(NAME)
    parameters = client.prepare_index_params()
    parameters.add_index(
        "vector", index_type=index.kind, metric_type="L2" if index.sphere else "IP", params=index.build
    )
    client.create_index(NAME, parameters)
    while client.describe_index(NAME, "vector")["pending_index_rows"]:
        time.sleep(0.2)
    client.load_collection(NAME)


def _asked(
    search: Search, templates: Templates, probes: NDArray[np.float32], nearest: list[float]
) -> tuple[list[float], float]:
    """Seconds of every probe, and the share of those whose nearest template was found."""
    search(probes[0])  # what is done once
    times, right = [], 0
    for probe, best in zip(probes, nearest, strict=True):
        begun = time.perf_counter()
        row = search(probe)
        times.append(time.perf_counter() - begun)
        near = nearness(templates.embeddings[row : row + 1] @ probe, templates.scales[row : row + 1])
        right += float(near[0]) >= best - EQUAL
    return times, right / len(probes)


def _add(
    section: Section, size: int, name: str, times: list[float], recall: float, used: tuple[float, float, float]
) -> None:
    loaded, ours, engine = used
    figures = {
        "median_ms": 1000 * median(times), "most_ms": 1000 * float(np.quantile(times, 0.9)), "recall": recall,
        "load_s": loaded, "our_mb": ours, "engine_mb": engine,
    }  # fmt: skip
    section.data.setdefault(str(size), {})[name] = figures
    cells = (f"{figures['median_ms']:.2f}", f"{figures['most_ms']:.2f}", f"{recall:.3f}", f"{loaded:.0f}")
    section.rows.append((f"{size:,}", name, *cells, f"{ours:.0f}", f"{engine:.0f}"))
    say(f"{section.rows[-1]}")
