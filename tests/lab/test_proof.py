"""The short forms of the commands in lab/proof, so that none of them rots. docs/operations.md has the long ones."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from lab.proof import crowd, faults, kills, overload, soak
from lab.proof.fuzz import GUIDED_BY, fuzz
from lab.proof.fuzz_targets import TARGETS
from lab.proof.served import Taken, served
from lab.proof.soak_record import Look, Record

QUIET = ("--log-level", "warning")


@pytest.mark.parametrize("name", TARGETS)
def test_valid_inputs_are_no_finds(name: str) -> None:
    for data in TARGETS[name].seeds():
        for end in (len(data), len(data) // 2, 0):
            TARGETS[name].target(data[:end])


@pytest.mark.parametrize("name", GUIDED_BY)
def test_a_minute_of_fuzzing(name: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed (it has wheels for Linux on x86-64 alone)")
    did = fuzz(name, 2000, tmp_path / "corpus", tmp_path / "finds" / name, seconds=30)
    assert did.cases > 0, (tmp_path / "finds" / f"{name}.log").read_text()[-3000:]
    assert did.finds == ()


def test_a_find_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oracle itself: a decoder that depends on where the stream was cut would be found."""
    monkeypatch.setattr("lab.proof.fuzz_targets._frames", lambda stream, step: ([b"x"] * step, ""))
    with pytest.raises(AssertionError, match="cutting the stream"):
        TARGETS["framing"].target(b"\x01" + bytes(20))


def test_a_soak_in_short(tmp_path: Path) -> None:
    with served(tmp_path, *QUIET) as server:
        outcome = soak.soak(server, 300, 4, period_s=5, outcome=soak.Soak(Record(tmp_path / "record")))
        assert outcome.done == 300
        # Memory is not judged: a few hundred requests don't fill the pools that a tenth of a million does
        wrong = [complaint for complaint in outcome.complaints() if not complaint.startswith(("memory", "decoders"))]
        assert wrong == []
        assert soak.logged_errors(server.log) == []
    assert sum(period.requests for period in outcome.record.periods) == 300
    assert Record.read(tmp_path / "record").looks == outcome.record.looks
    assert outcome.record.looks[-1].done == 300


def recorded(settled: Taken, last: Taken) -> Record:
    """What is taken at the start does not count: it is less than what is needed to serve."""
    record, start = Record(), Taken(memory=0, decoders=0, threads=9, descriptors=9)
    for done, taken in ((0, start), (100, settled), (500, grown_for_a_moment(last)), (1000, last)):
        record.add(Look(done, seconds=done / 10, taken=taken, busy=taken.memory, people=0, files=0))
    return record


def grown_for_a_moment(taken: Taken) -> Taken:
    return replace(taken, memory=taken.memory << 1)


def test_growth_is_told() -> None:
    before = Taken(memory=200 << 20, decoders=100 << 20, threads=20, descriptors=50)
    grown = Taken(memory=300 << 20, decoders=100 << 20, threads=60, descriptors=50)
    assert recorded(before, before).grown() == []
    assert "200 MiB after a tenth, 300 at the end, 600 at most" in str(recorded(before, grown))
    assert recorded(before, grown).grown() == [
        "memory grew from 200 to 300 MiB",
        "threads grew from 20 to 60",
    ]


@pytest.mark.parametrize("descriptors", [None, 256])
def test_a_crowd_in_short(tmp_path: Path, descriptors: int | None) -> None:
    with served(tmp_path, *QUIET, "--idle-timeout", "5", descriptors=descriptors) as server:
        assert crowd.crowd(server, idle=150, slow=20, seconds=5).complaints == []


def test_an_overload_in_short() -> None:
    assert overload.main(["--seconds", "4", "--bound", "60"]) == 0


def test_kills_in_short(tmp_path: Path) -> None:
    assert kills.kills(2, seed=3, room=tmp_path, said=lambda _: None) == []


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_a_fault(fault: str, tmp_path: Path) -> None:
    try:
        assert faults.FAULTS[fault](tmp_path) == []
    except faults.Untried as reason:
        pytest.skip(str(reason))
