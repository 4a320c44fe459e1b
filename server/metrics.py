"""Prometheus' text about one server: what was measured, and its state at the moment it is asked.

The only module that imports prometheus_client. Every server has a registry of its own, and no label takes a client's
text: `op` and `outcome` are the protocol's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from facewire.server.measures import Measures, Step
from facewire.server.processes import children_of, memory_of
from facewire.server.tcp.workers import Load

_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # an album's faces take minutes
_STEP_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_FACES = (1, 2, 3, 4, 5, 6, 7, 8)


class PrometheusMeasures(Measures):
    """Counters and histograms of what happens, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "facewire_requests", "Requests by operation and outcome: ok, dropped, or an error code of the protocol.",
            ["op", "outcome"], registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "facewire_request_seconds", "From a request's arrival to its answer, of those answered with success.",
            ["op"], buckets=_REQUEST_S, registry=registry,
        )  # fmt: skip
        self._steps = Histogram(
            "facewire_step_seconds", "Steps of a request's work: queue (for a worker), decode, detect, embed, search.",
            ["step"], buckets=_STEP_S, registry=registry,
        )  # fmt: skip
        self._batches = Histogram(
            "facewire_batch_faces", "Faces that the networks computed at a time.", buckets=_FACES, registry=registry
        )
        self._batch_seconds = Histogram(
            "facewire_batch_seconds", "The networks' time for one batch.", buckets=_STEP_S, registry=registry
        )

    def page(self) -> Callable[..., Any]:
        """The WSGI application that shows everything in the registry."""
        return make_wsgi_app(self.registry, disable_compression=True)

    def answered(self, op: str, seconds: float) -> None:
        self._requests.labels(op, "ok").inc()
        self._seconds.labels(op).observe(seconds)

    def failed(self, op: str, outcome: str) -> None:
        self._requests.labels(op, outcome).inc()

    def took(self, step: Step, seconds: float) -> None:
        self._steps.labels(step).observe(seconds)

    def batch(self, faces: int, seconds: float) -> None:
        self._batches.observe(faces)
        self._batch_seconds.observe(seconds)


@dataclass(frozen=True, slots=True)
class GalleryNow:
    """What a gallery holds now. `version` increases with every state that search has taken in; `faces` were found
    since the start."""

    people: int
    templates: int
    version: int
    faces: int


@dataclass(frozen=True, slots=True)
class Watched:
    """What is asked when somebody looks. `build`: constant facts; `troubles`: by part, why it is not well, or "";
    `files`: by name, the size of what may grow; `decoders`: the process that decoding processes are children of."""

    build: Mapping[str, str]
    load: Callable[[], Load]
    connections: Callable[[], int]
    gallery: Callable[[], GalleryNow]
    troubles: Mapping[str, Callable[[], str]]
    files: Mapping[str, Path]
    decoders: Callable[[], int]
    decode_memory: Callable[[], int]


class StateCollector(Collector):
    """The server's state as gauges, read when it is collected."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched

    def collect(self) -> Iterator[Metric]:
        """Every family, in one moment."""
        watched = self._watched
        build = GaugeMetricFamily("facewire_build_info", "What serves; always 1.", labels=list(watched.build))
        build.add_metric(list(watched.build.values()), 1)
        yield build
        load = watched.load()
        yield GaugeMetricFamily("facewire_connections", "Open connections.", watched.connections())
        yield GaugeMetricFamily("facewire_queue_requests", "Requests waiting for a worker.", load.waiting)
        yield GaugeMetricFamily("facewire_queue_bytes", "Memory of requests waiting for a worker.", load.waiting_bytes)
        yield GaugeMetricFamily("facewire_workers_busy", "Workers that serve a request.", load.busy)
        yield GaugeMetricFamily("facewire_workers", "Workers.", load.workers)
        yield from self._gallery(watched.gallery())
        yield from self._memory()

    def _gallery(self, gallery: GalleryNow) -> Iterator[Metric]:
        yield GaugeMetricFamily("facewire_people", "People enrolled.", gallery.people)
        yield GaugeMetricFamily("facewire_templates", "Templates enrolled.", gallery.templates)
        yield GaugeMetricFamily(
            "facewire_index_version", "Rises with every change that search has taken in, also by others.",
            gallery.version,
        )  # fmt: skip
        yield CounterMetricFamily("facewire_faces_found", "Faces found in pictures.", gallery.faces)
        healthy = GaugeMetricFamily(
            "facewire_healthy", "1 if changes of this part are saved; 0: op 'health' says why not.", labels=["part"]
        )
        for part, trouble in self._watched.troubles.items():
            healthy.add_metric([part], not trouble())
        yield healthy

    def _memory(self) -> Iterator[Metric]:
        watched = self._watched
        files = GaugeMetricFamily("facewire_file_bytes", "Size of a file; 0 if it is not there.", labels=["file"])
        for name, path in watched.files.items():
            files.add_metric([name], _size(path))
        yield files
        nursery = watched.decoders()
        decoders = [nursery, *children_of(nursery)]
        yield GaugeMetricFamily("facewire_decoder_processes", "Processes that decode pictures.", len(decoders) - 1)
        yield GaugeMetricFamily(
            "facewire_decoder_memory_bytes", "Memory of these processes; what they share counts once.",
            sum(map(memory_of, decoders)),
        )  # fmt: skip
        yield GaugeMetricFamily(
            "facewire_decode_budget_bytes", "Memory granted to pictures being decoded or used.", watched.decode_memory()
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
