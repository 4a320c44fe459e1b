"""Benchmarks facewire against its alternatives, in turns within one run; read the results as ratios:

  answers   identity and emotion: the server with one client and with sixteen, DeepFace on ONNX Runtime and on
            TensorFlow, face_recognition, and the bare network as the upper bound
  account   where a picture's processor time goes: by step, by thread and by process, until it adds up
  photo     a group photo of 12 megapixels, against DeepFace
  create    create_db, against DeepFace's register
  search    galleries of 10,000 and 100,000 templates (--large: a million), against NumPy and FAISS
  gallery   identify's search in a gallery in SQLite and in Milvus, with 10,000 and 100,000 templates (--large: a
            million)
  indexes   the nearest template in Milvus' indexes, asked directly, with as many
  start     time from the start of the process to the first answer
  memory    memory of the server and its children: sixteen clients over 2,000 requests (--large: 20,000), and six that
            send pictures of mixed sizes and formats
  api       DeepFace's REST API, answered by DeepFace and by web_app.py --deepface-api

    python scripts/benchmark.py [--only answers,start] [--quick | --large | --smoke]
                                 [--templates 1000000] [--avx2] [--json] [--save FILE]
    python scripts/benchmark.py --document

README.md, docs/benchmark.md and its chart show what docs/benchmark.json holds: measure with --save docs/benchmark.json,
in parts if need be, then --document.

It needs FaceNet's and YuNet's weights and requirements-bench.txt. DeepFace's networks as ONNX and large galleries are
slow to build, so they are kept in the cache folder for the next run. Exit codes: 0 measured, whether or not the targets
were met; 1 --smoke found a ratio to DeepFace below half of the recorded one, in the fastest of up to 16 rounds and with
the processors to itself (else it says "NOT JUDGED", and 0); 2 usage error; 3 something did not start.
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
from typing import TYPE_CHECKING

from facewire.client.pictures import NoSuchPicture, find_pictures
from facewire.protocol.arguments import Parser, positive
from facewire.scripts.demo import PROBES
from facewire.scripts.serving import ROOT
from facewire.server.cache import default_cache_dir
from facewire.server.errors import StartError
from lab.benchmarking import avx2
from lab.benchmarking.report import Section, report_json, report_text

if TYPE_CHECKING:
    from lab.benchmarking.smoke import Judged

# Imported on demand: `search` imports faiss, which a run without it should not need.
MODULES = {
    "answers": "answers",
    "account": "account",
    "photo": "photo",
    "create": "create",
    "search": "searching",
    "gallery": "gallery",
    "indexes": "indexes",
    "start": "starting",
    "memory": "memory",
    "api": "api",
}
CHART = ROOT / "docs" / "benchmark.png"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.document:
            write_documents()
            return 0
        if arguments.avx2:
            avx2.hold(ROOT / "scripts" / "benchmark.py", sys.argv[1:] if argv is None else argv, default_cache_dir())
        sections, judged = measure(arguments)
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
    documents = importlib.import_module("lab.benchmarking.documents")
    if arguments.save:
        documents.save(measured_on, sections, arguments.save)
    if judged is None:
        return 0
    print(judged.verdict)
    return 1 if judged.fallen and judged.counts else 0


def write_documents() -> None:
    """README.md, docs/benchmark.md and the chart, from docs/benchmark.json."""
    from lab.benchmarking import chart, documents

    sections = documents.recorded()
    readme, benchmark = ROOT / "README.md", ROOT / "docs" / "benchmark.md"
    readme.write_text(documents.readme(readme.read_text(), sections))
    benchmark.write_text(documents.benchmark(benchmark.read_text(), sections))
    chart.draw(sections, CHART)


def measure(arguments: argparse.Namespace) -> tuple[dict[str, Section], Judged | None]:
    """Measures the requested sections; with --smoke also the verdict. Raises NoSuchPicture, StartError,
    ModuleNotFoundError."""
    from lab.benchmarking import documents, smoke
    from lab.benchmarking.bench import Bench

    with tempfile.TemporaryDirectory(prefix="facewire-bench-") as room, ExitStack() as open_things:
        bench = Bench(
            db=arguments.db,
            pictures=find_pictures([arguments.pictures]).pictures,
            seconds=1.0 if arguments.quick else 2.0 if arguments.smoke else arguments.seconds,
            rounds=1 if arguments.quick else arguments.rounds,
            large=arguments.large,
            quick=arguments.quick,
            smoke=arguments.smoke,
            templates=arguments.templates,
            cache=default_cache_dir() / "benchmark",
            room=Path(room),
            open_things=open_things,
        )
        if arguments.smoke:
            judged = smoke.run(bench, documents.recorded()["answers"]["ratios"])
            return {"answers": judged.section}, judged
        modules = {name: importlib.import_module(f"lab.benchmarking.{MODULES[name]}") for name in arguments.only}
        return {name: module.run(bench) for name, module in modules.items()}, None


def _sections(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no section '{unknown[0]}': choose from {', '.join(MODULES)}")
    return [name for name in MODULES if name in names]


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(positive(size.strip()) for size in text.split(","))


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
    length.add_argument(
        "--smoke", action="store_true", help="answers alone, beside DeepFace on ONNX Runtime, a minute, or two"
        " where others use the machine: exit code 1 where a ratio stays below half of the recorded one",
    )  # fmt: skip
    length.add_argument(
        "--document", action="store_true", help="measure nothing: write README.md, docs/benchmark.md and its chart"
    )
    parser.add_argument("--seconds", type=positive, default=4, help="length of a round (default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=3, help="rounds of everything (default: %(default)s)")
    parser.add_argument(
        "--templates", type=_sizes, default=(), metavar="N,N", help="sizes for gallery and indexes, instead of theirs"
    )  # fmt: skip
    parser.add_argument("--avx2", action="store_true", help="hide wider instructions than AVX2 from every process"
        " (Linux on x86-64; needs a C compiler)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--save", type=Path, metavar="FILE", help="add what was measured to this JSON file")
    return parser
