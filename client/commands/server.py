"""`client_app.py ping`, `health` and `stats`: how is the server itself?"""

from __future__ import annotations

import argparse
import json

from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    EXIT_SOME_UNMATCHED,
    Commands,
    PlainRun,
    argument,
    client_for,
)
from facewire.protocol.messages import HealthReport, StatsReport
from facewire.protocol.schema import to_plain
from facewire.protocol.text import counted, counted_people, printable

COMMANDS: Commands[PlainRun] = Commands()

_JSON = argument("--json", action="store_true", help="print the answer as JSON")


@COMMANDS.add(
    "ping",
    "Asks whether a server answers, which it does even when all its workers are busy. For health checks.",
    epilog="exit codes: 0 it answers, 2 usage error, 3 it does not",
)
def ping(arguments: argparse.Namespace) -> int:
    """Prints its version. Raises ClientError."""
    with client_for(arguments) as client:
        print(f"facewire {printable(client.ping().server) or 'of an unknown version'} answers")
    return EXIT_ALL_MATCHED


@COMMANDS.add(
    "health",
    "Runs every network of the server once, and asks whether changes would be saved.",
    _JSON,
    epilog="exit codes: 0 healthy, 1 not (the line says why), 2 usage error, 3 failure",
)
def health(arguments: argparse.Namespace) -> int:
    """Prints the answer; gives the exit code. Raises ClientError."""
    with client_for(arguments) as client:
        report = client.health()
    print(json.dumps(to_plain(report)) if arguments.json else _health(report))
    return EXIT_ALL_MATCHED if report.healthy else EXIT_SOME_UNMATCHED


@COMMANDS.add("stats", "Shows what the server has counted since it started.", _JSON)
def stats(arguments: argparse.Namespace) -> int:
    """Prints the answer. Raises ClientError."""
    with client_for(arguments) as client:
        report = client.stats()
    print(json.dumps(to_plain(report)) if arguments.json else _stats(report))
    return EXIT_ALL_MATCHED


def _health(report: HealthReport) -> str:
    said = "healthy" if report.healthy else f"not healthy: {printable(report.reason)}"
    held = f"{counted_people(report.people)}, {counted(report.templates, 'template')}"
    return f"{said}; {printable(report.model)}, {held}; its networks took {report.inference_ms:.0f} ms"


def _stats(report: StatsReport) -> str:
    held = f"{counted_people(report.people)} with {counted(report.templates, 'template')} of {printable(report.model)}"
    lines = [
        f"up {report.uptime_s / 3600:.1f} h, {counted(report.connections, 'connection')}, {report.memory_mb:.0f} MB",
        f"{held}; {counted(report.faces, 'face')} found",
    ]
    for what, counts in (("requests", report.requests), ("errors", report.errors)):
        said = ", ".join(f"{printable(name)} {count}" for name, count in sorted(counts.items()))
        lines.append(f"{what}: {said or 'none'}")
    return "\n".join(lines)
