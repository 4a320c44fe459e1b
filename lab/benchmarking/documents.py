"""Writes what was measured into README.md and docs/benchmark.md, from docs/benchmark.json, so that nobody copies a
number."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facewire.scripts.serving import ROOT
from lab.benchmarking.answers import BARE, MANY, ONE, deepface_name
from lab.benchmarking.create import OURS as CREATE_DB
from lab.benchmarking.memory import TEMPLATES
from lab.benchmarking.photo import OURS as SERVER
from lab.benchmarking.report import SEARCH_ASKED, Section

RECORD = ROOT / "docs" / "benchmark.json"
_BEGIN, _END = "<!-- measured: python scripts/benchmark.py --document -->", "<!-- /measured -->"
_README_ROW = re.compile(r"^\| speed, .*$", re.MULTILINE)


def save(measured_on: str, sections: Mapping[str, Section], path: Path) -> None:
    """Adds sections to the record in `path`, in place of those that were measured before."""
    known = json.loads(path.read_text())["sections"] if path.exists() else {}
    for name, section in sections.items():
        known[name] = {"machine": measured_on, "columns": list(section.columns), "rows": section.rows} | section.data
    path.write_text(json.dumps({"sections": known}, indent=1) + "\n")


def recorded(path: Path = RECORD) -> dict[str, Any]:
    """Sections of the record. Raises OSError if there is none."""
    sections: dict[str, Any] = json.loads(path.read_text())["sections"]
    return sections


def readme(text: str, sections: Mapping[str, Any]) -> str:
    """README.md with these numbers in the row about speed."""
    row = _readme_row(sections)
    return _README_ROW.sub(lambda _: row, text)


def benchmark(text: str, sections: Mapping[str, Any]) -> str:
    """docs/benchmark.md with these numbers between its two marks."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    shown = "\n\n".join(filter(None, (_answers(sections), _others(sections), _search(sections))))
    return f"{before}{_BEGIN}\n\n{shown}\n\n{_END}{after}"


def _readme_row(sections: Mapping[str, Any]) -> str:
    answers = sections["answers"]
    ratios, ours = answers["ratios"], answers["contenders"][ONE]
    return (
        f"| speed, {_cores(answers)} | {ours['median_ms']:.0f} ms a picture;"
        f" {ratios['one client, onnx']:.1f} times DeepFace on ONNX Runtime, its default,"
        f" and {ratios['one client, tensorflow']:.1f} times on TensorFlow;"
        f" with sixteen clients {ratios['sixteen clients, onnx']:.1f} and"
        f" {ratios['sixteen clients, tensorflow']:.1f} times |"
    )


def _cores(section: Mapping[str, Any]) -> str:
    """The processor, and what the libraries were held to."""
    name, _, details = str(section["machine"]).partition(" (")
    _, limited, limits = details.rstrip(")").partition("; ")
    return f"{name}, {limits}" if limited else name


def _answers(sections: Mapping[str, Any]) -> str:
    answers = sections["answers"]
    lines = [
        f"{answers['machine']}, the sample's pictures (1.2 faces on average), identity by search in one gallery and"
        " emotion. Ratios are those of pictures a second; processor time is that of the server and its children:",
        "",
        *_table(answers),
        "",
        f"By medians one client is {answers['ratios']['one client, onnx']:.1f} times as fast as DeepFace on ONNX"
        f" Runtime and {answers['ratios']['one client, tensorflow']:.1f} times as fast as on TensorFlow.",
        "",
        "![Faces a second, and milliseconds per search](benchmark.png)",
    ]
    return "\n".join(lines)


def _others(sections: Mapping[str, Any]) -> str:
    onnx, tensorflow = deepface_name("onnx"), deepface_name("tensorflow")
    lines = []
    contenders = sections["answers"]["contenders"]
    share = contenders[MANY]["faces_per_s"] / contenders[BARE]["faces_per_s"]
    lines.append(f"- **Sixteen clients** reach {share:.0%} of what FaceNet alone does in batches of 8.")
    if "create" in sections:
        ms = sections["create"]["ms_per_picture"]
        times = [ms[f"{name}, a picture a call"] / ms[CREATE_DB] for name in (onnx, tensorflow)]
        lines.append(
            f"- **`create_db.py`** is {times[0]:.1f} times as fast as DeepFace's `register` on ONNX Runtime, called"
            f" once per picture, and {times[1]:.1f} times as on TensorFlow. It embeds two views of each face where"
            " DeepFace embeds one."
        )
    if "photo" in sections:
        ms = sections["photo"]["median_ms"]
        shares = [ms[SERVER] / ms[name] for name in (onnx, tensorflow)]
        lines.append(
            f"- **A 12-megapixel group photo** takes {shares[0]:.2f} of DeepFace's time on ONNX Runtime and"
            f" {shares[1]:.2f} of it on TensorFlow."
        )
    if "start" in sections:
        lines.append(f"- **Start**: the server answers {sections['start']['first_answer_s']:.1f} s after its start.")
    if "memory" in sections:
        loads = {name: load for name, load in sections["memory"].items() if isinstance(load, dict)}
        most = ", ".join(f"{load['most_mb']:.0f} MB with {name}" for name, load in loads.items())
        lines.append(f"- **Memory**, decoders included, {TEMPLATES:,} templates: at most {most}.")
    return "\n".join(lines)


def _search(sections: Mapping[str, Any]) -> str:
    if "search" not in sections:
        return ""
    search = sections["search"]
    return "\n".join(
        [
            "Search is exact: it finds the same people as a comparison with all"
            f' ([how](decisions/0061-codes-of-48-bytes.md)). "{SEARCH_ASKED}" are the five nearest with'
            " everybody's means, as a request asks; the others find the nearest template.",
            "",
            *_table(search),
        ]
    )


def _table(section: Mapping[str, Any]) -> list[str]:
    columns, rows = section["columns"], section["rows"]
    return [f"| {' | '.join(line)} |" for line in (columns, ["---"] * len(columns), *rows)]
