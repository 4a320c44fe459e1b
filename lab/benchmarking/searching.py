"""Search in galleries of 10,000 to a million templates: ours against exact search in NumPy, FAISS and usearch."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray
from usearch.index import Index as Usearch

from facewire.server.comparison import nearness
from facewire.server.gallery.records import Templates
from facewire.server.gallery.sqlite import SqliteGallery
from lab.benchmarking.bench import Bench, say
from lab.benchmarking.report import SEARCH, SEARCH_ASKED, Section, Target
from lab.benchmarking.vectors import PICTURES_A_PERSON, Crowd, crowd_database

SIZES = ((10_000, PICTURES_A_PERSON), (100_000, PICTURES_A_PERSON), (160_000, 20.0))
"""Templates, and how many of them a person has."""
LARGE = (1_000_000, PICTURES_A_PERSON)
QUICK = SIZES[0]
MOST_FOR_GRAPHS = 100_000  # larger graphs take minutes to hours to build
PROBES, FEW_PROBES = 200, 40  # enrolled people, and as many strangers; FEW where each takes a second
MANY_TEMPLATES = 500_000
RECALL = 1.0
WANTED_MS = {100_000: 1.0, 1_000_000: 8.0}
HNSW_LINKS, HNSW_BUILD, HNSW_SEARCH = 32, 128, 512
EQUAL = 1e-6  # tolerance for cosines that differ in their last bits

Search = Callable[[NDArray[np.float32]], int]
"""A probe (d,) to the row of the nearest template."""

ASKED_PEOPLE = 5


class _Raced(NamedTuple):
    """`times`: wall and processor seconds of every probe; `recall`: the share of probes whose nearest template was
    found."""

    times: tuple[list[float], list[float]]
    recall: float


def run(bench: Bench) -> Section:
    """Runs every size; for each, every probe through all indexes in turn."""
    sizes = [QUICK] if bench.quick else [*SIZES, *([LARGE] if bench.large else [])]
    section = Section(
        "search: the nearest template of 512 dimensions, one probe at a time",
        (
            *("templates", "people", "index", "ms enrolled", "CPU ms", "ms strangers", "CPU ms"),
            *("recall@1 enrolled", "strangers"),
        ),
        notes=[
            "recall@1: the template found is as near as the nearest, as the index ranks: ours relative to near",
            f"strangers, the others by similarity. HNSW: {HNSW_LINKS} links, beams of {HNSW_BUILD} and {HNSW_SEARCH};",
            f"above {MOST_FOR_GRAPHS:,} left out: a million take an hour to build.",
        ],
    )
    for size, pictures_a_person in sizes:
        crowd = Crowd(size, pictures_a_person)
        measured = _measure(bench, crowd)
        section.data.setdefault("sizes", {})[str(size)] = measured
        for name, one in measured.items():
            keys = ("enrolled_ms", "enrolled_cpu_ms", "strangers_ms", "strangers_cpu_ms")
            times = [f"{one[key]:.2f}" for key in keys]
            recalls = [f"{one[key]:.3f}" if key in one else "" for key in ("recall_enrolled", "recall_strangers")]
            section.rows.append((f"{size:,}", f"{crowd.people:,}", name, *times, *recalls))
        ours = measured[SEARCH]
        worst = min(ours["recall_enrolled"], ours["recall_strangers"])
        section.targets.append(Target(f"recall@1 of search in {size:,} templates", worst, RECALL, unit=""))
        if wanted := WANTED_MS.get(size):
            ms = max(ours["enrolled_cpu_ms"], ours["strangers_cpu_ms"])
            what = f"search in {size:,} templates, processor time"
            section.targets.append(Target(what, ms, wanted, at_least=False, unit="ms"))
    if not bench.large:
        section.notes.append("A million templates: --large (5 GB on the disk, once).")
    return section


def _measure(bench: Bench, crowd: Crowd) -> dict[str, dict[str, float]]:
    path = crowd_database(bench.cache, crowd, bench.spec)
    say(f"opening the gallery of {crowd.templates:,} templates")
    with SqliteGallery.open(path) as gallery:
        templates = gallery.templates()
        matrix = templates.embeddings
        indexes: dict[str, Search] = {
            "NumPy, exact": lambda probe: int(np.argmax(matrix @ probe)),
            "FAISS flat, exact": _faiss(_filled(faiss.IndexFlatIP(bench.spec.dimension), matrix)),
            "FAISS SQ8 scan": _faiss(_filled(_scalar_quantizer(bench.spec.dimension), matrix)),
            **(_graphs(bench.cache, matrix) if crowd.templates <= MOST_FOR_GRAPHS else {}),
            # By templates, like the others: with people's means, the nearest person's template may differ.
            SEARCH: lambda probe: gallery.search(probe, 1, means=False)[0].template_id - 1,
            # As a request asks; the person named may be nearer by their mean than by any template.
            SEARCH_ASKED: lambda probe: gallery.search(probe, ASKED_PEOPLE)[0].template_id - 1,
        }
        probes = FEW_PROBES if crowd.templates >= MANY_TEMPLATES else PROBES
        raced = {
            "enrolled": _race(indexes, templates, crowd.probes(probes)),
            "strangers": _race(indexes, templates, crowd.strangers(probes)),
        }
    measured: dict[str, dict[str, float]] = {}
    for name in indexes:
        one = measured[name] = {}
        for kind, race in raced.items():
            one[f"{kind}_ms"], one[f"{kind}_cpu_ms"] = (1000 * median(times) for times in race[name].times)
            if name != SEARCH_ASKED:
                one[f"recall_{kind}"] = race[name].recall
        one["median_ms"] = 1000 * median(seconds for race in raced.values() for seconds in race[name].times[0])
    return measured


def _race(indexes: dict[str, Search], templates: Templates, probes: NDArray[np.float32]) -> dict[str, _Raced]:
    """Every probe through all indexes in turn. Ours ranks by nearness, the others by similarity."""
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in indexes}
    right = dict.fromkeys(indexes, 0)
    for probe in probes:
        similarities = templates.embeddings @ probe
        ranks = dict.fromkeys(indexes, similarities) | {SEARCH: nearness(similarities, templates.scales)}
        for name, search in indexes.items():
            used, begun = time.process_time(), time.perf_counter()
            row = search(probe)
            times[name][0].append(time.perf_counter() - begun)
            times[name][1].append(time.process_time() - used)
            right[name] += float(ranks[name][row]) >= float(ranks[name].max()) - EQUAL
    return {name: _Raced(times[name], right[name] / len(probes)) for name in indexes}


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
