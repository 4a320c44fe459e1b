"""A server that keeps account of its processor time; account.py starts it and talks to it.

It is the real server, with a clock around each step that reads the processor time of the thread that does it. A step
within another counts for itself only. The clocks cost about 0.05 ms a picture.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from facewire.protocol.stream import MessageStream
from facewire.server import app
from facewire.server.recognition.decision import Judge
from facewire.server.recognition.recogniser import Recogniser
from facewire.server.settings import parse
from facewire.server.tcp.answers import Answers
from facewire.server.tcp.session import Session
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.emotion import EmotionReader
from facewire.server.vision.runtime import OpenVinoGraph
from facewire.server.vision.turning import AnyWayUp
from lab.benchmarking.family import cpu_of

STEPS: dict[str, list[tuple[type[Any], str]]] = {
    "receiving": [(MessageStream, "receive"), (Session, "_handle")],
    "decoding, on the server's side": [(Decoder, "photo")],
    "detection, besides its network": [(AnyWayUp, "detect")],
    "cropping": [(Analyser, "_cut_out")],
    "networks, on the thread that asks": [(OpenVinoGraph, "run_all")],
    "batches, besides their networks": [(Analyser, "_compute"), (Embedder, "look")],
    "emotion, besides its network": [(EmotionReader, "read")],
    "search and decision": [(Judge, "decide")],
    "the request itself": [(Recogniser, "identify")],
    "answering": [(Answers, "encoded"), (MessageStream, "send")],
}
_OPENVINO = "OpenVINO"


class Accounts:
    """Processor seconds by step. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the next two
        self._used: defaultdict[str, float] = defaultdict(float)
        self._passes: defaultdict[str, float] = defaultdict(float)
        self._mine = threading.local()  # .levels: the steps under way, each with the seconds of steps within it

    def keep(self, owner: type[Any], method: str, step: str) -> None:
        """From now on, `method` of `owner` counts as this step."""
        call = getattr(owner, method)

        @functools.wraps(call)
        def counted(*arguments: Any, **named: Any) -> Any:
            levels = self._levels()
            levels.append([step, 0.0])
            begun, all_begun = time.thread_time(), time.process_time()
            try:
                return call(*arguments, **named)
            finally:
                took, all_took = time.thread_time() - begun, time.process_time() - all_begun
                _, inner = levels.pop()
                if levels:
                    levels[-1][1] += took
                with self._lock:
                    self._used[step] += took - inner
                    if owner is OpenVinoGraph and levels:
                        self._passes[levels[-1][0]] += all_took

        setattr(owner, method, counted)

    def taken(self) -> tuple[dict[str, float], dict[str, float]]:
        """What was used since the last time: by step; and by the whole process during the passes within a step."""
        with self._lock:
            used, self._used = dict(self._used), defaultdict(float)
            passes, self._passes = dict(self._passes), defaultdict(float)
        return used, passes

    def _levels(self) -> list[list[Any]]:
        if not hasattr(self._mine, "levels"):
            self._mine.levels = []
        levels: list[list[Any]] = self._mine.levels
        return levels


def _threads() -> dict[str, float]:
    """Processor seconds by kind of thread; those that Python did not start are OpenVINO's."""
    names = {thread.native_id: _kind(thread.name) for thread in threading.enumerate()}
    used: defaultdict[str, float] = defaultdict(float)
    for task in Path("/proc/self/task").iterdir():
        used[names.get(int(task.name), _OPENVINO)] += cpu_of(task)
    return dict(used)


def _kind(name: str) -> str:
    """The name without its number."""
    return "-".join(part for part in name.split("-") if not part.isdigit())


def main() -> None:
    """Serves until stdin ends; answers `reset` and `report` with a line of JSON each."""
    accounts = Accounts()
    for step, methods in STEPS.items():
        for owner, method in methods:
            accounts.keep(owner, method, step)
    with ExitStack() as open_things:
        listener = app.build(parse(sys.argv[1:]), open_things)
        listener.start()
        print(listener.address[1], flush=True)
        before, process = _threads(), time.process_time()
        for line in sys.stdin:
            threads, now = _threads(), time.process_time()
            steps, passes = accounts.taken()
            new = {name: max(0.0, seconds - before.get(name, 0.0)) for name, seconds in threads.items()}
            told = {"steps": steps, "passes": passes, "process": now - process, "threads": new}
            print(json.dumps(told if line.strip() == "report" else {}), flush=True)
            before, process = threads, now
        listener.stop(app.STOP_GRACE_S)


if __name__ == "__main__":
    main()
