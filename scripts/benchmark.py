"""How fast is it? Side by side in one run: the server with one client and with sixteen, the bare network, and DeepFace.

    python scripts/benchmark.py [--db DB] [--pictures FOLDER] [--seconds S] [--json]

Rounds of each are taken in turn, so that a machine whose speed drifts slows all of them: read the ratios. The server
answers identity and emotion; DeepFace (on TensorFlow, in a process of its own) only detects and embeds, which favours
it. The bare network in batches of 8 is the machine's limit. Rates are pictures a second (the bare network: faces).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

if __name__ == "__main__":  # started by its path, Python knows scripts/ but not the project around it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import numpy as np

from client import FaceClient
from client.pictures import NoSuchPicture, find_pictures
from scripts.demo import PROBES
from scripts.serving import ROOT, serving
from server.errors import StartError
from server.vision.models import DEFAULT_MODEL
from server.vision.opening import VisionSettings, open_analyser
from server.vision.runtime import BATCH_SIZES

CLIENTS = 16
ROUNDS = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0, 2 where there is nothing to measure, 3 where something did not start."""
    arguments = _parser().parse_args(argv)
    try:
        pictures = [path.read_bytes() for path in find_pictures([arguments.pictures])]
        measured = measure(arguments.db, pictures, arguments.seconds)
    except NoSuchPicture as error:
        print(f"benchmark.py: {error}", file=sys.stderr)
        return 2
    except StartError as error:
        print(f"benchmark.py: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(measured) if arguments.json else table(measured))
    return 0


def measure(db: Path, pictures: list[bytes], seconds: float) -> dict[str, float]:
    """Pictures a second of each contender (the bare network: faces), the median of ROUNDS rounds of `seconds` each."""
    with (
        tempfile.TemporaryDirectory() as room,
        serving(str(db), ("--log-level", "warning"), Path(room) / "log") as port,
        _deepface(pictures) as deepface,
    ):
        bare = _bare_network()
        contenders: dict[str, Callable[[], float]] = {
            "one client": lambda: _asked(port, pictures, 1, seconds),
            "sixteen clients": lambda: _asked(port, pictures, CLIENTS, seconds),
            "bare network": lambda: _repeated(bare, seconds) * BATCH_SIZES[-1],
            "deepface": lambda: deepface(seconds),
        }
        for contender in contenders.values():
            contender()  # the first round warms up
        rates = {name: [contender()] for name, contender in contenders.items()}
        for _ in range(ROUNDS - 1):
            for name, contender in contenders.items():
                rates[name].append(contender())
    return {name: round(statistics.median(some), 2) for name, some in rates.items()}


def table(rates: dict[str, float]) -> str:
    """The rates and what they are to DeepFace and to the bare network."""
    lines = [f"{'':18}{'a second':>10}{'ms each':>10}{'x DeepFace':>12}{'of the limit':>14}"]
    for name, rate in rates.items():
        share = f"{rate / rates['bare network']:.2f}"
        lines.append(f"{name:18}{rate:10.1f}{1000 / rate:10.1f}{rate / rates['deepface']:12.1f}{share:>14}")
    return "\n".join(lines)


def _asked(port: int, pictures: list[bytes], clients: int, seconds: float) -> float:
    """Answers a second for so many clients, each asking one thing at a time."""

    def ask(number: int) -> int:
        done = 0
        with FaceClient("127.0.0.1", port, timeout=60) as client:
            while time.perf_counter() < until:
                client.identify(pictures[(number + done) % len(pictures)])
                done += 1
        return done

    begun = time.perf_counter()
    until = begun + seconds
    with ThreadPoolExecutor(clients) as pool:
        answered = sum(pool.map(ask, range(clients)))
    return answered / (time.perf_counter() - begun)


def _bare_network() -> Callable[[], object]:
    """One batch through the recognition network and nothing else."""
    analyser = open_analyser(VisionSettings(model=DEFAULT_MODEL, emotion="off", downloads=False))
    width, height = analyser.spec.input_size
    batch = [np.full((height, width, 3), 127, np.uint8)] * BATCH_SIZES[-1]
    analyser.close()  # ends the batcher's thread, which is not measured; the network stays
    return lambda: analyser.probes(batch)


def _repeated(work: Callable[[], object], seconds: float) -> float:
    begun, done = time.perf_counter(), 0
    while time.perf_counter() < begun + seconds:
        work()
        done += 1
    return done / (time.perf_counter() - begun)


@contextmanager
def _deepface(pictures: list[bytes]) -> Iterator[Callable[[float], float]]:
    """DeepFace in a process of its own; called with seconds, it gives its pictures a second."""
    command = [sys.executable, "-m", "scripts.benchmark_deepface"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        told, heard = process.stdin, process.stdout

        def ask(seconds: float) -> float:
            told.write(json.dumps({"seconds": seconds}) + "\n")
            told.flush()
            answer = heard.readline()
            if not answer:
                raise StartError("DeepFace did not start: it needs FaceNet's and YuNet's weights, see --help")
            return float(json.loads(answer)["rate"])

        told.write(json.dumps({"pictures": [picture.hex() for picture in pictures]}) + "\n")
        yield ask
        told.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "benchmark.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--db", type=Path, default=ROOT / "data" / "demo.db", help="gallery (default: make demo's)")
    parser.add_argument("--pictures", type=Path, default=PROBES, help="pictures to ask about (default: the sample's)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a round (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object: pictures a second of each")
    return parser


if __name__ == "__main__":
    sys.exit(main())
