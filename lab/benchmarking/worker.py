"""A contender of the benchmark as a process of its own: reads JSON lines and answers each with one."""

from __future__ import annotations

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Worker(ABC):
    """Has a method for each command."""

    def __init__(self) -> None:
        self._pictures: list[bytes] = []
        self._gallery: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._next = 0

    @abstractmethod
    def identified(self, data: bytes) -> int:
        """Does for one picture's bytes what the server does, discards the answer, and returns the number of faces."""

    def prepare(self, pictures: list[str], gallery: str) -> dict[str, Any]:
        """Sets the pictures to answer and the templates to search."""
        self._pictures = [Path(path).read_bytes() for path in pictures]
        self._gallery = np.load(gallery)
        return {}

    def answer(self, seconds: float) -> dict[str, Any]:
        """Answers one picture after the other, continuing after the last one of the previous round."""
        times: list[float] = []
        faces, used, until = 0, time.process_time(), time.perf_counter() + seconds
        while not times or time.perf_counter() < until:
            begun = time.perf_counter()
            faces += self.identified(self._pictures[self._next % len(self._pictures)])
            times.append(time.perf_counter() - begun)
            self._next += 1
        return {"seconds": times, "faces": faces, "cpu": time.process_time() - used}

    def one(self, path: str) -> dict[str, Any]:
        """Answers one picture file."""
        data = Path(path).read_bytes()
        used, begun = time.process_time(), time.perf_counter()
        faces = self.identified(data)
        return {"seconds": [time.perf_counter() - begun], "faces": faces, "cpu": time.process_time() - used}


def serve(worker: Worker) -> int:
    """Answers commands until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries print to stdout
    for line in sys.stdin:
        command = json.loads(line)
        result = getattr(worker, command.pop("do"))(**command)
        print(json.dumps(result), file=answers, flush=True)
    return 0
