"""Coverage-guided fuzzing with atheris (libFuzzer) of what reads strangers' bytes.

    python -m lab.proof.fuzz [TARGET ...] [--cases 1000000] [--corpus DIR] [--finds DIR]

Each target runs in a process of its own, from valid inputs and a kept corpus. A case that raises something
undocumented, takes 10 seconds, or brings the process over 2 GiB ends it; its input is written to --finds. Exit code 1
if there was one.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

_PILLOW = ("PIL.JpegImagePlugin", "PIL.PngImagePlugin", "PIL.GifImagePlugin", "PIL.TiffImagePlugin", "PIL.Image")
GUIDED_BY = {
    "framing": ("facewire.protocol",),
    "codec": ("facewire.protocol",),
    "headers": ("facewire.server.vision", "facewire.protocol", *_PILLOW),
    "zips": ("facewire.server.albums", "facewire.protocol", "zipfile"),
    "tls": ("facewire.protocol",),
    "tokens": ("facewire.server.access", "json"),
    "addresses": ("facewire.protocol", "urllib.parse", "ipaddress"),
}
"""The targets, and the packages whose branches guide the fuzzer: named here, as these are imported instrumented."""

_LONGEST_CASE_S = 10
_MOST_MIB = 2048
_WORDS = re.compile(r"Done (\d+) runs")


@dataclass(frozen=True, slots=True)
class Fuzzing:
    """What became of one target. `cases` is 0 if it was ended by a find."""

    cases: int
    seconds: float
    finds: tuple[Path, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 1 if any target had a find."""
    asked = _parse(argv)
    if asked.inside:
        _fuzz(asked.targets[0], asked.options)
    found = False
    for name in asked.targets or GUIDED_BY:
        did = fuzz(name, asked.cases, asked.corpus / name, asked.finds / name, seed=asked.seed, seconds=asked.seconds)
        found = found or bool(did.finds) or not did.cases
        print(f"{name}: {did.cases} cases in {did.seconds:.0f} s, {len(did.finds)} finds", flush=True)
        for path in did.finds:
            print(f"  {path}", flush=True)
    return int(found)


def fuzz(name: str, cases: int, corpus: Path, finds: Path, *, seed: int = 1, seconds: int = 0) -> Fuzzing:
    """Runs one target in a process of its own; `seconds`: at most so long, 0 for no limit."""
    from lab.proof.fuzz_targets import TARGETS

    for folder in (corpus, finds):
        folder.mkdir(parents=True, exist_ok=True)
    for data in TARGETS[name].seeds():
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    options = [
        f"-runs={cases}", f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={TARGETS[name].longest}",
        f"-timeout={_LONGEST_CASE_S}", f"-rss_limit_mb={_MOST_MIB}", f"-artifact_prefix={finds}/", str(corpus),
    ]  # fmt: skip
    begun = time.monotonic()
    log = finds.parent / f"{name}.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "lab.proof.fuzz", name, "--inside", *options]
        subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)
    done = _WORDS.search(log.read_text(errors="replace"))
    return Fuzzing(int(done[1]) if done else 0, time.monotonic() - begun, tuple(sorted(finds.iterdir())))


def _fuzz(name: str, options: Sequence[str]) -> None:
    """Never returns: libFuzzer ends the process. Imports the targets under instrumentation."""
    import atheris

    with atheris.instrument_imports(include=list(GUIDED_BY[name])):
        targets = import_module("lab.proof.fuzz_targets").TARGETS
    atheris.Setup([name, *options], targets[name].target)
    atheris.Fuzz()


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(GUIDED_BY)}; all by default")
    parser.add_argument("--cases", type=int, default=1_000_000, help="of each target (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=0, help="at most so long for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=Path("data/fuzz/corpus"), help="inputs that reached new code")
    parser.add_argument("--finds", type=Path, default=Path("data/fuzz/finds"), help="inputs that failed")
    parser.add_argument("--inside", dest="inside", action="store_true", help=argparse.SUPPRESS)
    asked, options = parser.parse_known_args(argv)
    return argparse.Namespace(**vars(asked), options=options)


if __name__ == "__main__":
    sys.exit(main())
