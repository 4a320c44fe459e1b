"""Benchmarks facewire against its alternatives, in turns within one run; read the results as ratios:

  answers   identity and emotion: the server with one client and with sixteen, DeepFace on TensorFlow and on ONNX
            Runtime, and the bare network as the upper bound
  photo     a group photo of 12 megapixels, against DeepFace
  create    create_db, against DeepFace's register
  search    galleries of 10,000 and 100,000 templates (--large: a million), against NumPy and FAISS
  start     time from the start of the process to the first answer
  memory    resident memory with sixteen clients over 2,000 requests (--large: 20,000)

    python scripts/benchmark.py [--only answers,start] [--quick | --large] [--json] [--chart FILE]

It needs FaceNet's and YuNet's weights and requirements-bench.txt. DeepFace's networks as ONNX and large galleries are
slow to build, so they are kept in the cache folder for the next run. Exit codes: 0 measured, whether or not the targets
were met; 2 usage error; 3 something did not start.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from facewire.client.pictures import NoSuchPicture, find_pictures
from facewire.protocol.arguments import Parser, positive
from facewire.scripts.demo import PROBES
from facewire.scripts.serving import ROOT
from facewire.server.errors import StartError
from facewire.server.vision.cache import default_cache_dir
from lab.benchmarking.report import Section, report_json, report_text

# Imported on demand: `search` imports faiss, which a run without it should not need.
MODULES = {
    "answers": "answers",
    "photo": "photo",
    "create": "create",
    "search": "searching",
    "start": "starting",
    "memory": "memory",
}
CHART = ROOT / "docs" / "benchmark.png"
DRAWN = {"answers", "search"}


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        sections = measure(arguments)
        chart = arguments.chart or (None if arguments.quick or set(MODULES) - set(sections) else CHART)
        if chart and DRAWN & set(sections):
            importlib.import_module("lab.benchmarking.chart").draw(sections, chart)
    except NoSuchPicture as error:
        print(f"benchmark.py: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in ("scripts", "server", "client", "protocol"):
            raise
        print(f"benchmark.py: {error}: pip install -r requirements-bench.txt", file=sys.stderr)
        return 2
    except StartError as error:
        print(f"benchmark.py: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"benchmark.py: {error}", file=sys.stderr)
        return 3
    measured_on = importlib.import_module("lab.benchmarking.bench").machine()
    if arguments.json:
        print(json.dumps({"machine": measured_on, **report_json(sections)}))
    else:
        print(f"{measured_on}\n\n{report_text(sections)}")
    return 0


def measure(arguments: argparse.Namespace) -> dict[str, Section]:
    """Measures the requested sections. Raises NoSuchPicture, StartError, ModuleNotFoundError."""
    from lab.benchmarking.bench import Bench

    with tempfile.TemporaryDirectory(prefix="facewire-bench-") as room, ExitStack() as open_things:
        bench = Bench(
            db=arguments.db,
            pictures=find_pictures([arguments.pictures]).pictures,
            seconds=1.0 if arguments.quick else arguments.seconds,
            rounds=1 if arguments.quick else arguments.rounds,
            large=arguments.large,
            quick=arguments.quick,
            cache=default_cache_dir() / "benchmark",
            room=Path(room),
            open_things=open_things,
        )
        return {
            name: importlib.import_module(f"lab.benchmarking.{MODULES[name]}").run(bench) for name in arguments.only
        }


def _sections(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no section '{unknown[0]}': choose from {', '.join(MODULES)}")
    return [name for name in MODULES if name in names]


def _parser() -> argparse.ArgumentParser:
    parser = Parser("benchmark.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path, default=ROOT / "data" / "demo.db", help="gallery (default: make demo's)")
    parser.add_argument("--pictures", type=Path, default=PROBES, help="pictures to ask about (default: the sample's)")
    parser.add_argument(
        "--only", type=_sections, default=list(MODULES), metavar="SECTIONS", help="some of the above, with commas"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="see that everything runs, in two minutes; means little")
    length.add_argument(
        "--large", action="store_true", help="a million templates and 20,000 requests; an hour or two at first"
    )
    parser.add_argument("--seconds", type=positive, default=4, help="length of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds of everything (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument(
        "--chart", type=Path, metavar="FILE", help="draw answers and search there (default: docs/benchmark.png, "
        "when every section was measured and not quickly)",
    )  # fmt: skip
    return parser
