"""Where a picture's processor time goes: by step, by thread and by process, until it adds up to the whole.

The steps of a server are timed on the threads that do them (account_server.py). Whatever the process used beyond them
is given by thread: OpenVINO's threads compute and wait for each other, and Python's receive, hand over and wake up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from facewire.scripts.serving import ROOT, STOP_TIMEOUT_S, Server, last_line, wait_or_kill
from facewire.server.errors import StartError
from lab.benchmarking.bench import CLIENTS, Bench, ask, say
from lab.benchmarking.family import family_of
from lab.benchmarking.report import Section

NETWORKS = {
    "batches, besides their networks": "FaceNet",
    "detection, besides its network": "YuNet",
    "emotion, besides its network": "emotion",
}
OWN_THREADS = "OpenVINO"


@dataclass(frozen=True, slots=True)
class Account:
    """Milliseconds of processor time a picture. `steps`: on the threads that do them; `passes`: of the whole process
    while a network computes, which is the network's own if there is one client; `threads`: of those that are left at
    the end; `children`: the processes that decode."""

    steps: Mapping[str, float]
    passes: Mapping[str, float]
    threads: Mapping[str, float]
    process: float
    children: float
    faces: float

    @property
    def rows(self) -> list[tuple[str, float]]:
        """Every part once; together they are `process` and `children`."""
        own = self.threads.get(OWN_THREADS, 0.0)
        rest = self.process - own - sum(self.steps.values())
        rows = sorted(self.steps.items(), key=lambda row: -row[1])
        return [
            *rows,
            ("OpenVINO's own threads, their waiting included", own),
            ("decoding, in child processes", self.children),
            ("in no step's account", rest),
        ]


class AccountedServer:
    """A server that keeps account."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.server = Server(process, port)

    def say(self, word: str) -> dict[str, Any]:
        """`reset`, or `report`: what has been used since."""
        stdin, stdout = self.server.process.stdin, self.server.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(word + "\n")
        stdin.flush()
        told: dict[str, Any] = json.loads(stdout.readline())
        return told


def run(bench: Bench) -> Section:
    """One client, then sixteen."""
    section = Section("processor time a picture, ms", ("", "1 client", f"{CLIENTS} clients"))
    with _accounted(bench) as server:
        accounts = []
        for clients in (1, CLIENTS):
            say(f"account, {clients} clients")
            ask(server.server, bench.encoded, clients, min(2.0, bench.seconds))  # warms up
            accounts.append(_account(server, bench, clients))
    one, many = (dict(account.rows) for account in accounts)
    names = [*one, *(name for name in many if name not in one)]
    section.rows = [(name, f"{one.get(name, 0):.2f}", f"{many.get(name, 0):.2f}") for name in names]
    section.rows.append(("together", *(f"{account.process + account.children:.2f}" for account in accounts)))
    section.rows.append(("faces a picture", *(f"{account.faces:.2f}" for account in accounts)))
    passes = ", ".join(f"{NETWORKS.get(step, step)} {ms:.2f}" for step, ms in sorted(accounts[0].passes.items()))
    section.notes.append(f"1 client, all threads while a network computes: {passes}.")
    for account, clients in zip(accounts, (1, CLIENTS), strict=True):
        busiest = sorted(account.threads.items(), key=lambda thread: -thread[1])
        told = ", ".join(f"{name} {ms:.2f}" for name, ms in busiest if ms >= 0.05)
        section.notes.append(f"by thread, {clients} clients: {told}.")
    section.data = {
        str(clients): {
            "rows": dict(account.rows),
            "passes": account.passes,
            "threads": account.threads,
            "faces": account.faces,
        }
        for account, clients in zip(accounts, (1, CLIENTS), strict=True)
    }
    return section


_TOLD = ("steps", "passes", "threads")


def _account(server: AccountedServer, bench: Bench, clients: int) -> Account:
    family = family_of(server.server.process.pid)
    server.say("reset")
    _, before = family.cpu_seconds
    asked = ask(server.server, bench.encoded, clients, bench.seconds)
    told = server.say("report")
    each = 1000 / len(asked.seconds)
    steps, passes, threads = ({name: used * each for name, used in told[which].items()} for which in _TOLD)
    process, children = told["process"] * each, (family.cpu_seconds[1] - before) * each
    return Account(steps, passes, threads, process, children, asked.faces / len(asked.seconds))


@contextmanager
def _accounted(bench: Bench) -> Iterator[AccountedServer]:
    log = bench.room / "account.log"
    command = [sys.executable, "-m", "lab.benchmarking.account_server", "--port", "0", "--db", str(bench.db)]
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise StartError(f"the server did not start: {last_line(log)}")
            yield AccountedServer(process, int(line))
        finally:
            assert process.stdin is not None
            process.stdin.close()  # tells it to stop
            wait_or_kill(process, STOP_TIMEOUT_S)
