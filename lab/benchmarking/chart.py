"""Draws the benchmark's chart for the README."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib

from lab.benchmarking.report import SEARCH, SEARCH_ASKED

OURS, OTHERS, LIMIT = "#1f6f8b", "#b8b8b8", "#e0c068"


def draw(sections: Mapping[str, Any], path: Path) -> None:
    """Draws faces per second of every contender and, if measured, search times by size, as PNG or SVG by file name.

    `sections`: the data of each, as in the record.

    Raises OSError if the file can't be written.
    """
    matplotlib.use("Agg")  # needs no display
    from matplotlib import pyplot

    drawers: dict[str, Callable[[Any, dict[str, Any]], None]] = {"answers": _draw_answers, "search": _draw_search}
    shown = [name for name in drawers if name in sections]
    figure, axes = pyplot.subplots(1, len(shown), figsize=(5.5 * len(shown), 3.2), squeeze=False)
    for name, axis in zip(shown, axes[0], strict=True):
        drawers[name](axis, sections[name])
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_answers(axis: Any, data: dict[str, Any]) -> None:
    rates = {name: one["faces_per_s"] for name, one in data["contenders"].items()}
    names = sorted(rates, key=rates.__getitem__)
    colours = [OURS if name.startswith("server") else LIMIT if name.startswith("FaceNet") else OTHERS for name in names]
    bars = axis.barh(names, [rates[name] for name in names], color=colours)
    axis.bar_label(bars, fmt="%.1f", padding=3)
    axis.set_xlim(0, max(rates.values()) * 1.2)
    axis.set_title("faces a second, identity and emotion")
    axis.spines[["top", "right"]].set_visible(False)


def _draw_search(axis: Any, data: dict[str, Any]) -> None:
    sizes = sorted((size for size in data["sizes"]), key=int)
    for name in data["sizes"][sizes[0]]:
        built = [size for size in sizes if name in data["sizes"][size]]
        took = [data["sizes"][size][name]["median_ms"] for size in built]
        ours = name in (SEARCH, SEARCH_ASKED)
        axis.plot([int(size) for size in built], took, marker="o", label=name, lw=3 if ours else 1)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("templates")
    axis.set_title("search, ms a probe")
    axis.legend(fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
