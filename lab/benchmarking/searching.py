"""Search in galleries of 10,000 to a million templates: ours against exact search in NumPy, FAISS and usearch."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from usearch.index import Index as Usearch

from facewire.server.gallery.sqlite import SqliteGallery
from lab.benchmarking.bench import Bench, say
from lab.benchmarking.report import Section, Target
from lab.benchmarking.vectors import PICTURES_A_PERSON, Crowd, crowd_database

SIZES = ((10_000, PICTURES_A_PERSON), (100_000, PICTURES_A_PERSON), (160_000, 20.0))
"""Templates, and how many of them a person has."""
LARGE = (1_000_000, PICTURES_A_PERSON)
QUICK = SIZES[0]
MOST_FOR_GRAPHS = 100_000  # larger graphs take minutes to hours to build
PROBES = 600  # enrolled people, and as many strangers; 200 can't distinguish 0.99 from 0.995
RECALL = 0.995
EXACT_UNDER_MS = 5.0
HNSW_LINKS, HNSW_BUILD, HNSW_SEARCH = 32, 128, 512
EQUAL = 1e-6  # tolerance for cosines that differ in their last bits

Search = Callable[[NDArray[np.float32]], int]
"""A probe (d,) to the row of the nearest template."""

OURS = "facewire"


def run(bench: Bench) -> Section:
    """Runs every size; for each, every probe through all indexes in turn."""
    sizes = [QUICK] if bench.quick else [*SIZES, *([LARGE] if bench.large else [])]
    section = Section(
        "search: the nearest template of 512 dimensions, one probe at a time",
        ("templates", "people", "index", "ms enrolled", "ms strangers", "recall@1 enrolled", "recall@1 strangers"),
        notes=[
            f"recall@1: the template found is as near as the nearest there is. HNSW: {HNSW_LINKS} links, beams of",
            f"{HNSW_BUILD} and {HNSW_SEARCH}; above {MOST_FOR_GRAPHS:,} left out: a million take an hour to build.",
        ],
    )
    for size, pictures_a_person in sizes:
        crowd = Crowd(size, pictures_a_person)
        measured = _measure(bench, crowd)
        section.data[str(size)] = measured
        for name, one in measured.items():
            times = (f"{one['enrolled_ms']:.2f}", f"{one['strangers_ms']:.2f}")
            recalls = (f"{one['recall_enrolled']:.3f}", f"{one['recall_strangers']:.3f}")
            section.rows.append((f"{size:,}", f"{crowd.people:,}", name, *times, *recalls))
        ours = measured[OURS]
        worst = min(ours["recall_enrolled"], ours["recall_strangers"])
        section.targets.append(Target(f"recall@1 of search in {size:,} templates", worst, RECALL, unit=""))
        ms = max(ours["enrolled_ms"], ours["strangers_ms"])
        section.targets.append(Target(f"search in {size:,} templates", ms, EXACT_UNDER_MS, at_least=False, unit="ms"))
    if not bench.large:
        section.notes.append("A million templates: --large (5 GB on the disk, once).")
    return section


def _measure(bench: Bench, crowd: Crowd) -> dict[str, dict[str, float]]:
    path = crowd_database(bench.cache, crowd, bench.spec)
    say(f"opening the gallery of {crowd.templates:,} templates")
    with SqliteGallery.open(path) as gallery:
        matrix = gallery.templates().embeddings
        indexes: dict[str, Search] = {
            "NumPy, exact": lambda probe: int(np.argmax(matrix @ probe)),
            "FAISS flat, exact": _faiss(_filled(faiss.IndexFlatIP(bench.spec.dimension), matrix)),
            "FAISS SQ8 scan": _faiss(_filled(_scalar_quantizer(bench.spec.dimension), matrix)),
            **(_graphs(bench.cache, matrix) if crowd.templates <= MOST_FOR_GRAPHS else {}),
            # By templates, like the others: with people's means, the nearest person's template may differ.
            OURS: lambda probe: gallery.search(probe, 1, means=False)[0].template_id - 1,
        }
        enrolled = _race(indexes, matrix, crowd.probes(PROBES))
        strangers = _race(indexes, matrix, crowd.strangers(PROBES))
    return {
        name: {
            "median_ms": 1000 * median(enrolled[name][0] + strangers[name][0]),
            "enrolled_ms": 1000 * median(enrolled[name][0]),
            "strangers_ms": 1000 * median(strangers[name][0]),
            "recall_enrolled": enrolled[name][1],
            "recall_strangers": strangers[name][1],
        }
        for name in indexes
    }


def _race(
    indexes: dict[str, Search], matrix: NDArray[np.float32], probes: NDArray[np.float32]
) -> dict[str, tuple[list[float], float]]:
    """For each index, the seconds of every probe, and its recall: the share of probes whose nearest template it
    found."""
    times: dict[str, list[float]] = {name: [] for name in indexes}
    right = dict.fromkeys(indexes, 0)
    for probe in probes:
        best = float(np.max(matrix @ probe))
        for name, search in indexes.items():
            begun = time.perf_counter()
            row = search(probe)
            times[name].append(time.perf_counter() - begun)
            right[name] += float(matrix[row] @ probe) >= best - EQUAL
    return {name: (times[name], right[name] / len(probes)) for name in indexes}


def _filled(index: Any, matrix: NDArray[np.float32]) -> Any:
    if not index.is_trained:
        index.train(matrix[:50_000])
    index.add(matrix)
    return index


def _scalar_quantizer(dimension: int) -> Any:
    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)


def _graphs(cache: Path, matrix: NDArray[np.float32]) -> dict[str, Search]:
    """Graph indexes, kept on disk because they take minutes to build."""
    return {"FAISS HNSW": _faiss(_faiss_hnsw(cache, matrix)), "usearch HNSW, i8": _usearch_hnsw(cache, matrix)}


def _faiss_hnsw(cache: Path, matrix: NDArray[np.float32]) -> Any:
    path = cache / f"faiss-hnsw-{len(matrix)}-{HNSW_LINKS}-{HNSW_BUILD}-{faiss.__version__}.index"
    index: Any
    if path.exists():
        index = faiss.read_index(str(path))
    else:
        say(f"building FAISS's graph of {len(matrix):,} templates once")
        index = faiss.IndexHNSWFlat(matrix.shape[1], HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = HNSW_BUILD
        index.add(matrix)
        staging = path.with_suffix(".building")
        faiss.write_index(index, str(staging))
        staging.rename(path)
    index.hnsw.efSearch = HNSW_SEARCH
    return index


def _usearch_hnsw(cache: Path, matrix: NDArray[np.float32]) -> Search:
    """Its candidates are re-ranked exactly: with i8 vectors alone, the nearest is wrong one time in ten."""
    settings = {"metric": "cos", "dtype": "i8", "connectivity": HNSW_LINKS, "expansion_add": HNSW_BUILD}
    index: Any = Usearch(ndim=matrix.shape[1], **settings, expansion_search=HNSW_SEARCH)
    path = cache / f"usearch-i8-{len(matrix)}-{HNSW_LINKS}-{HNSW_BUILD}-{version('usearch')}.index"
    if path.exists():
        index.load(path)
    else:
        say(f"building usearch's graph of {len(matrix):,} templates once")
        index.add(np.arange(len(matrix)), matrix)
        staging = path.with_suffix(".building")
        index.save(staging)
        staging.rename(path)
    index.expansion_search = HNSW_SEARCH

    def search(probe: NDArray[np.float32]) -> int:
        keys = np.asarray(index.search(probe, HNSW_SEARCH // 2).keys).astype(np.int64)
        return int(keys[np.argmax(matrix[keys] @ probe)])

    return search


def _faiss(index: Any) -> Search:
    def search(probe: NDArray[np.float32]) -> int:
        _, rows = index.search(probe[None], 1)
        return int(rows[0, 0])

    return search
