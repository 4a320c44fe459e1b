"""What the sections that ask Milvus share: sizes, probes, and that Milvus is there."""

from __future__ import annotations

from collections.abc import Callable

from facewire.scripts.milvus_serving import why_no_milvus
from facewire.server.errors import StartError
from lab.benchmarking.bench import Bench
from lab.benchmarking.report import Section
from lab.benchmarking.vectors import Crowd

SIZES = (10_000, 100_000)
LARGE = 1_000_000
PROBES = 200  # further pictures of enrolled people


def every_size(bench: Bench, section: Section, measure: Callable[[Bench, Crowd, Section], None]) -> Section:
    """The section, with what `measure` adds for each size of the gallery. Raises StartError without Milvus."""
    if (why := why_no_milvus()) is not None:
        raise StartError(why, exit_code=2)
    usual = SIZES[:1] if bench.quick else (*SIZES, *((LARGE,) if bench.large else ()))
    for size in bench.templates or usual:
        measure(bench, Crowd(size), section)
    if not bench.large and not bench.templates:
        section.notes.append("A million templates: --large (5 GB on the disk, once).")
    return section
