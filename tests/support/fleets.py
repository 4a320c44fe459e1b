"""Server processes of one gallery, and a crowd of clients who must not notice what happens to them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from facewire.client import ClientError, FaceClient, ServerRefused
from facewire.scripts.proxying import MISSING, haproxy
from tests.support.server_process import PATIENCE_S, READY, ROOT, environment
from tests.support.synthetic_engine import draw, portrait
from tests.support.waiting import eventually

CLIENTS = 16
PEOPLE = 6
RETRIES = 20  # as client_app.py
PAUSE_MS = 1000  # after a refusal that names none

CROWDS_PATIENCE_S = 900.0
"""Milvus takes half a minute to come back, and many times that on a machine that others keep busy."""

PICTURES = [
    *(portrait(number, shade=9) for number in range(PEOPLE + 2)),
    draw((1, (16.0, 16.0, 16.0, 16.0)), (2, (64.0, 16.0, 16.0, 16.0)), size=(96, 48)),
]


def need_haproxy() -> str:
    """Where Debian's haproxy is; skips without it, or fails where it must be there."""
    if (found := haproxy()) is None:
        if os.environ.get("FACEWIRE_REQUIRE_HAPROXY"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return found


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(sock.getsockname()[1]) for sock in socks]


class Fleet:
    """Servers of one gallery, each on a port of its own. `room`: a folder for their logs; `variables`: of their
    environment."""

    def __init__(
        self,
        db: str,
        room: Path,
        ports: Sequence[int],
        stack: ExitStack,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.ports = ports
        self._environment = environment(**(variables or {}))
        self._db = db
        self._room = room
        self._stack = stack
        self._processes: dict[int, subprocess.Popen[str]] = {}

    def start(self, port: int) -> None:
        """Returns once it is ready."""
        command = [
            sys.executable, "-m", "tests.support.synthetic_app", "--no-albums",
            "--port", str(port), "--db", self._db, "--decoders", "2",
        ]  # fmt: skip
        log = self._stack.enter_context((self._room / f"{port}.log").open("a"))
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        self._processes[port] = process
        self._stack.callback(self._end, process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(READY), (self._room / f"{port}.log").read_text()

    def kill(self, port: int) -> None:
        self._processes[port].kill()
        self._processes[port].wait(PATIENCE_S)

    def stop(self, port: int) -> None:
        self._processes[port].send_signal(signal.SIGTERM)
        assert self._processes[port].wait(PATIENCE_S) == 0

    def running(self) -> dict[int, int]:
        """The process of each port's server, of those that run."""
        return {port: process.pid for port, process in self._processes.items() if process.poll() is None}

    def client(self, port: int) -> FaceClient:
        return FaceClient("127.0.0.1", port, timeout=PATIENCE_S, retries=RETRIES)

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


Question = Callable[[FaceClient], object]
"""Its answer, without times."""


def who(picture: bytes) -> Question:
    """Who is in the picture."""
    return lambda client: replace(client.identify(picture, k=3), timing_ms={})


OTHERS: tuple[Question, ...] = (
    lambda client: client.verify(PICTURES[0], PICTURES[1]),
    lambda client: [person.name for person in client.all_people()],
    lambda client: client.ping(),
)
"""What else may be asked twice."""

EVERYTHING = (*map(who, PICTURES), *OTHERS)


class Crowd:
    """Clients that ask the same questions again and again without a pause, each over its own connection, until they are
    told to stop.

    The answers must be `expected` every time. `may_refuse`: codes of errors that a client may hear and then asks again;
    `refusals` are those that were heard, with how long to wait.
    """

    def __init__(
        self,
        connect: Callable[[], FaceClient],
        questions: Sequence[Question],
        expected: Sequence[object],
        may_refuse: Sequence[str] = (),
    ) -> None:
        self.problems: list[str] = []
        self.refusals: set[tuple[str, int | None]] = set()
        self._connect = connect
        self._questions = questions
        self._expected = expected
        self._may_refuse = may_refuse
        self._answered = [0] * CLIENTS
        self._refused = [0] * CLIENTS
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def goes_on(self) -> None:
        """Waits until every client has asked everything since now: one answer more, as its question may be older."""
        self._all_have(self._answered, len(self._questions) + 1)

    def is_refused(self) -> None:
        """Waits until every client has been refused once more."""
        self._all_have(self._refused, 1)

    def _all_have(self, counts: list[int], more: int) -> None:
        limits = [count + more for count in counts]
        enough = eventually(
            lambda: bool(self.problems) or all(now >= then for now, then in zip(counts, limits, strict=True)),
            CROWDS_PATIENCE_S,
        )
        assert self.problems == []
        assert enough, f"{counts}, and not {limits}; refused: {self._refused}"

    def _run(self, number: int) -> None:
        try:
            with self._connect() as client:
                while not self._enough.is_set():
                    at = self._answered[number] % len(self._questions)
                    try:
                        found = self._questions[at](client)
                    except ServerRefused as error:
                        if error.code not in self._may_refuse:
                            raise
                        self.refusals.add((str(error.code), error.retry_after_ms))
                        self._refused[number] += 1
                        self._enough.wait((error.retry_after_ms or PAUSE_MS) / 1000)
                        continue
                    if found != self._expected[at]:
                        self.problems.append(f"another answer: {found} and not {self._expected[at]}")
                    self._answered[number] += 1
        except ClientError as error:
            self.problems.append(f"{type(error).__name__}: {error}")


def mishaps(
    fleet: Fleet,
    connect: Callable[[], FaceClient],
    ready: Callable[[], object] = lambda: None,
    questions: Sequence[Question] = EVERYTHING,
) -> None:
    """Kills, stops and starts servers under a crowd of clients, of whom nobody may notice. `ready` is called whenever
    one was started. In the end the first one runs, alone."""
    one, two, three = fleet.ports
    with fleet.client(one) as single:
        expected = [question(single) for question in questions]
    assert [f"Person {n}" for n in range(PEOPLE)] in expected
    fleet.start(two)
    fleet.start(three)
    ready()
    with Crowd(connect, questions, expected) as crowd:
        crowd.goes_on()
        fleet.kill(one)
        crowd.goes_on()
        fleet.start(one)
        ready()
        fleet.stop(two)
        crowd.goes_on()
        fleet.stop(three)  # so that all come to the one that was started anew
        crowd.goes_on()
