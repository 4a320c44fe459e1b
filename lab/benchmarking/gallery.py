"""Identify's search in a gallery in SQLite and in the same gallery in Milvus: time, recall and memory."""

from __future__ import annotations

import os
import time
from contextlib import closing
from statistics import median

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient

from facewire.protocol.settings import MEBIBYTE
from facewire.scripts.milvus_serving import HOST, Milvus, milvus_serving
from facewire.server.comparison import nearness
from facewire.server.gallery.address import IndexKind, MilvusAddress
from facewire.server.gallery.milvus.gallery import MilvusGallery
from facewire.server.gallery.protocol import Gallery
from facewire.server.gallery.records import Templates
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.maintenance.moving.milvus_target import MilvusTarget
from facewire.server.maintenance.moving.move import carry, source_at
from facewire.server.processes import memory_of
from lab.benchmarking.bench import Bench, say
from lab.benchmarking.beside_milvus import PROBES, every_size
from lab.benchmarking.report import Section
from lab.benchmarking.vectors import Crowd, crowd_database

PEOPLE = 5  # asked for, as a client does
EQUAL = 1e-4  # as far as a nearness of 50 numbers may be from that of 512
NEVER_INDEXED = 1024  # rows; Milvus makes no index of fewer
INDEXES: tuple[IndexKind, ...] = ("flat", "hnsw")
COLUMNS = ("templates", "gallery", "median ms", "90 % within ms", "recall@1", "ready s", "our MB", "Milvus' MB")


def exact_nearness(
    templates: Templates, probes: NDArray[np.float32], together: int = 20_000
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Every person compared with every probe, by all their templates and their mean, without an index: (p,) ids, and
    (m, p) how near they are. About `together` templates are copied at a time: all of a million would take 4 GB."""
    order = np.argsort(templates.person_ids, kind="stable")
    people, first, counts = np.unique(templates.person_ids[order], return_index=True, return_counts=True)
    near = np.empty((len(probes), len(people)), np.float32)
    low = 0
    while low < len(people):
        high = max(low + 1, int(np.searchsorted(first, first[low] + together)))
        rows = order[first[low] : first[high - 1] + counts[high - 1]]
        near[:, low:high] = _nearest_of(
            templates.embeddings[rows], templates.scales[rows], first[low:high] - first[low], probes
        )
        low = high
    return people, near


def _nearest_of(
    embeddings: NDArray[np.float32], scales: NDArray[np.float32], first: NDArray[np.int64], probes: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(m, p) for people whose templates begin at the rows `first`."""
    counts = np.diff(first, append=len(scales))
    best = np.maximum.reduceat(nearness(embeddings @ probes.T, scales[:, None]), first)
    sums = np.add.reduceat(embeddings, first)
    means = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    by_mean = nearness(means @ probes.T, (np.add.reduceat(scales, first) / counts)[:, None])
    return np.asarray(np.where(counts[:, None] > 1, np.maximum(best, by_mean), best).T, np.float64)


def run(bench: Bench) -> Section:
    """Every size; for each, every gallery after the other, alone."""
    section = Section(
        f"gallery: the {PEOPLE} people nearest to one probe, as identify asks, in SqliteGallery and in MilvusGallery",
        COLUMNS,
        notes=[
            "recall@1: the person found first is as near as the nearest of all, by templates and means, in 512 numbers",
            "ready: opened, or moved to Milvus and indexed. MB: resident, of the gallery in our process, and of Milvus",
        ],
    )
    return every_size(bench, section, _measure)


def _measure(bench: Bench, crowd: Crowd, section: Section) -> None:
    path = crowd_database(bench.cache, crowd, bench.spec)
    probes = crowd.probes(PROBES)
    before, begun = memory_of(os.getpid()), time.perf_counter()
    with SqliteGallery.open(path) as gallery:
        ready = time.perf_counter() - begun
        times, found = _asked(gallery, probes)
        used = memory_of(os.getpid()) - before
        (ids, near), people = exact_nearness(gallery.templates(), probes), _ids(gallery)
    nearest = near.max(axis=1)

    def add(name: str, times: list[float], found: list[str], ready: float, ours: int, engine: int | None) -> None:
        at = np.searchsorted(ids, [people[one] for one in found])
        right = near[np.arange(len(near)), at] >= nearest - EQUAL
        figures = {
            "median_ms": 1000 * median(times), "most_ms": 1000 * float(np.quantile(times, 0.9)),
            "recall": float(np.mean(right)), "ready_s": ready, "our_mb": ours / MEBIBYTE,
            "engine_mb": (engine or 0) / MEBIBYTE,
        }  # fmt: skip
        section.data.setdefault(str(crowd.templates), {})[name] = figures
        cells = [f"{figures[key]:{form}}" for key, form in _FORMS.items()]
        section.rows.append((f"{crowd.templates:,}", name, *cells[:-1], "" if engine is None else cells[-1]))
        say(f"{section.rows[-1]}")

    add("SqliteGallery", times, found, ready, used, None)
    for index in INDEXES:
        # A Milvus of its own for each, as it gives no memory back.
        room = bench.room / f"gallery-{crowd.templates}-{index}"
        with milvus_serving(room, programs=bench.room / "milvus-programs") as server:
            address = MilvusAddress(HOST, server.port, "people", index=index)
            say(f"moving {crowd.templates:,} templates to Milvus: {index}")
            begun = time.perf_counter()
            with source_at(path) as source, closing(MilvusTarget(address, source.spec)) as target:
                carry(source, target)
            _indexed(server, index)
            ready, before = time.perf_counter() - begun, memory_of(os.getpid())
            with MilvusGallery.open(address) as there:
                there.watch()  # as a server does: so answers may be as old as it allows
                times, found = _asked(there, probes)
                ours = memory_of(os.getpid()) - before
            add(f"MilvusGallery, {index}", times, found, ready, ours, server.memory())


_FORMS = {
    "median_ms": ".2f", "most_ms": ".2f", "recall": ".3f", "ready_s": ".0f", "our_mb": ".0f", "engine_mb": ".0f"
}  # fmt: skip


def _indexed(server: Milvus, index: IndexKind) -> None:
    """Returns when all rows are searched by the index: Milvus loads it some ten seconds after it has built it. It makes
    none that is flat."""
    client = MilvusClient(f"http://{HOST}:{server.port}")
    client.flush("people")
    rows = int(client.query("people", output_fields=["count(*)"])[0]["count(*)"])
    indexed, least = 0, rows + 1 if index == "flat" else NEVER_INDEXED
    while indexed < rows:
        time.sleep(0.5)
        loaded = client.list_loaded_segments("people")
        indexed = sum(one.num_rows for one in loaded if one.index_name or one.num_rows < least)
    client.close()


def _ids(gallery: SqliteGallery) -> dict[str, int]:
    return {one.name: one.id for one in gallery.people()[0]}


def _asked(gallery: Gallery, probes: NDArray[np.float32]) -> tuple[list[float], list[str]]:
    """Seconds of every probe, and the name of the nearest person."""
    gallery.search(probes[0], PEOPLE)  # what is done once
    times, found = [], []
    for probe in probes:
        begun = time.perf_counter()
        matches = gallery.search(probe, PEOPLE)
        times.append(time.perf_counter() - begun)
        found.append(matches[0].name)
    return times, found
