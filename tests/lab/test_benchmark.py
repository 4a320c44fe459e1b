"""What the benchmark compares is what it says: targets, synthetic crowds, the group photo, the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.server.cores import cores
from facewire.server.errors import StartError
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.vision.models import MODELS
from lab import benchmark
from lab.benchmarking import avx2, documents, photo, smoke
from lab.benchmarking.account import Account
from lab.benchmarking.answers import MANY, ONE, Measured, deepface_name, ratios
from lab.benchmarking.bench import cpu_seconds
from lab.benchmarking.family import family_of
from lab.benchmarking.report import Section, Target, report_json, report_text
from lab.benchmarking.vectors import Crowd, crowd_database
from tests.support.server_process import ROOT

SPEC = MODELS["Facenet512"].spec("0" * 64)


@pytest.mark.parametrize(
    ("measured", "at_least", "met"),
    [(20.0, True, True), (19.99, True, False), (20.0, False, True), (20.01, False, False)],
)
def test_a_target_is_held_to_without_rounding(measured: float, at_least: bool, met: bool) -> None:
    target = Target("speed", measured, 20, at_least=at_least)
    assert target.met is met
    assert target.line().startswith("met" if met else "NOT MET")


def test_a_report_has_every_row_and_ends_with_every_target() -> None:
    one = Section(
        "one", ("", "ms"), [("a long name", "1.0"), ("b", "100.0")], ["a note"], [Target("fast", 1, 2)], {"a": 1}
    )
    two = Section("two", ("", "MB"), [("c", "3")], targets=[Target("small", 5, 6, at_least=False, unit="MB")])
    text = report_text({"one": one, "two": two})
    assert text.index("== one") < text.index("a note") < text.index("== two") < text.index("== targets")
    ends = {len(line) for line in text.splitlines() if line.startswith(("a long", "b "))}
    assert len(ends) == 1, "numbers of a column end at one place"
    told = report_json({"one": one, "two": two})
    assert [(target["what"], target["met"]) for target in told["targets"]] == [("fast", False), ("small", True)]
    assert told["sections"]["one"] == {"a": 1}


def test_a_crowd_is_spread_as_facenets_people_are() -> None:
    crowd = Crowd(3000)
    drawn = list(crowd.pictures())
    owners = np.concatenate([some for some, _ in drawn])
    vectors = np.concatenate([some for _, some in drawn])
    assert vectors.shape == (3000, 512)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    first = [np.flatnonzero(owners == person)[:2] for person in range(crowd.people)]
    pairs = np.array([rows for rows in first if len(rows) == 2])
    assert np.mean(np.sum(vectors[pairs[:, 0]] * vectors[pairs[:, 1]], axis=1)) == pytest.approx(0.72, abs=0.02)
    nearest = (crowd.strangers(100) @ vectors.T).max(axis=1)
    assert nearest.max() < 0.7, "strangers are nobody's pictures"
    again = next(crowd.pictures())[1]
    assert np.array_equal(again, drawn[0][1])


def test_a_crowds_gallery_is_built_once_and_holds_it_in_order(tmp_path: Path) -> None:
    crowd = Crowd(50)
    path = crowd_database(tmp_path, crowd, SPEC)
    built = path.stat().st_mtime_ns
    assert crowd_database(tmp_path, crowd, SPEC) == path
    assert path.stat().st_mtime_ns == built
    vectors = next(crowd.pictures())[1]
    with SqliteGallery.open(path) as gallery:
        assert gallery.counts().templates == 50
        found = [gallery.search(vector, 1)[0].template_id - 1 for vector in vectors]
    assert found == list(range(50))


def test_the_group_photo_has_twelve_megapixels_and_twelve_people(sample: Path) -> None:
    portraits = [next(iter(sorted(person.iterdir()))) for person in sorted((sample / "people").iterdir())]
    image = np.asarray(cv2.imdecode(np.frombuffer(photo.compose(portraits), np.uint8), cv2.IMREAD_COLOR))
    assert image.shape == (3000, 4000, 3)
    for number, path in enumerate(portraits):
        across, down = number % 4, number // 4
        place = image[down * 1000 + 350 : down * 1000 + 650, across * 1000 + 350 : across * 1000 + 650]
        face = np.asarray(cv2.imread(str(path)))[80:170, 80:170]
        assert np.abs(place.mean(axis=(0, 1)) - face.mean(axis=(0, 1))).max() < 30


def test_an_unknown_section_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(["--only", "answers,speed"])
    assert stopped.value.code == 2
    assert "there is no section 'speed'" in capsys.readouterr().err


def test_pictures_that_are_not_there_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--pictures", str(tmp_path / "none"), "--only", "start"]) == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_processor_time_and_memory_are_a_process_and_its_childrens() -> None:
    """Also a child's that has ended."""
    busy = "import time; t = time.process_time()\nwhile time.process_time() < t + 0.3: pass\n"
    holds = busy + "kept = bytearray(60_000_000)\nprint('x', flush=True)\ninput()"
    program = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {busy!r}], check=True)
child = subprocess.Popen([sys.executable, "-c", {holds!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
child.stdout.readline()
print("ready", flush=True)
input()
child.communicate(b"over")
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert cpu_seconds(process.pid) >= 0.58
        assert sum(family_of(process.pid).pss_mb) > 55
        process.communicate("over", timeout=60)


def test_a_ratio_falls_below_half_of_the_recorded_one() -> None:
    recorded = {"one client, onnx": 3.0, "sixteen clients, onnx": 4.0, "one client, tensorflow": 20.0}
    assert smoke.fallen({"one client, onnx": 1.5, "sixteen clients, onnx": 9.0}, recorded) == []
    lost = smoke.fallen({"one client, onnx": 1.49, "sixteen clients, onnx": 2.0}, recorded)
    assert len(lost) == 1
    assert lost[0].startswith("FALLEN: one client, onnx: 1.49")


def test_a_ratio_counts_only_where_the_processors_were_free() -> None:
    section = Section("answers", ("",))
    assert not smoke.Judged(section, [], 0.9).verdict.startswith("FALLEN")
    lost = smoke.Judged(section, ["FALLEN: one client"], 0.02)
    assert (lost.counts, lost.verdict) == (True, "FALLEN: one client")
    busy = smoke.Judged(section, ["FALLEN: one client"], 0.4)
    assert not busy.counts
    assert "NOT JUDGED: others took 40% of the processors" in busy.verdict


def test_what_other_processes_take_is_seen() -> None:
    """Three for every core leave a process about a quarter of it."""
    endless = (sys.executable, "-c", "print(flush=True)\nwhile True: pass")
    others = [subprocess.Popen(endless, stdout=subprocess.PIPE, text=True) for _ in range(3 * cores())]
    try:
        for one in others:
            assert one.stdout is not None
            one.stdout.readline()
        assert smoke.withheld(1.0) > smoke.WITHHELD
    finally:
        for one in others:
            one.kill()
            one.communicate()


def test_the_fastest_round_stands_for_a_contender() -> None:
    """Each number by itself: a round in which the machine did something else is not the contender's."""
    measured = Measured()
    measured.add([0.03, 0.04, 0.05], faces=3, wall=0.12, cpu=0.15)
    measured.add([0.3, 0.4, 0.5], faces=3, wall=1.2, cpu=0.09)
    best = measured.best()
    assert best == {
        "median_ms": pytest.approx(40),
        "pictures_per_s": pytest.approx(25),
        "faces_per_s": pytest.approx(25),
        "cpu_ms_per_picture": pytest.approx(30),
    }


def test_ratios_are_how_many_times_as_fast_the_server_is() -> None:
    def one(ms: float, per_s: float, cpu: float) -> dict[str, float]:
        return {"median_ms": ms, "pictures_per_s": per_s, "faces_per_s": per_s, "cpu_ms_per_picture": cpu}

    measured = {deepface_name("onnx"): one(90, 10, 160), ONE: one(30, 30, 80), MANY: one(300, 50, 40)}
    assert ratios(measured) == {
        "one client, onnx": 3,
        "sixteen clients, onnx": 5,
        "one client, onnx, processor time": 2,
        "sixteen clients, onnx, processor time": 4,
    }


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a held process."""
    try:
        environment = os.environ | {"LD_PRELOAD": str(avx2.library(tmp_path_factory.mktemp("avx2")))}
    except StartError as error:
        pytest.skip(str(error))
    if subprocess.run(["/bin/true"], env=environment, stderr=subprocess.DEVNULL, check=False).returncode == 3:
        pytest.skip("this processor, or its system, can't be held to AVX2")
    return environment


class TestHeldToAvx2:
    def test_no_library_finds_more(self, held: dict[str, str]) -> None:
        """Neither at once, nor in a thread, a forked process or a program that it starts."""
        looked = """
import os, subprocess, sys, threading
def look():
    import cv2, onnxruntime, openvino
    print(cv2.getCPUFeaturesLine(), openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"), flush=True)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "again"], check=True)
if (child := os.fork()) == 0:
    look()
    os._exit(0)
os.waitpid(child, 0)
thread = threading.Thread(target=look)
thread.start()
thread.join()
"""
        program = Path(held["LD_PRELOAD"]).with_name("look.py")
        program.write_text(looked)
        lines = subprocess.run(
            [sys.executable, str(program)], env=held, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert len(lines) == 4
        for line in lines:
            assert "*AVX2" in line
            assert "BF16" not in line
            wider = [word for word in line.split() if "AVX512" in word]
            assert all(word.endswith("?") for word in wider), "a question mark: not on this processor"

    def test_a_fault_still_ends_a_program(self, held: dict[str, str]) -> None:
        ended = subprocess.run([sys.executable, "-c", "import ctypes; ctypes.string_at(0)"], env=held, check=False)
        assert ended.returncode == -signal.SIGSEGV

    def test_the_report_says_so(self, held: dict[str, str]) -> None:
        said = "from lab.benchmarking.bench import machine; print(machine())"
        told = subprocess.run(
            [sys.executable, "-c", said], env=held, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert "held to AVX2" in told.stdout


class TestDocuments:
    def test_the_pages_show_what_is_recorded(self) -> None:
        """`python scripts/benchmark.py --document` after a measurement; nobody edits these numbers."""
        sections = documents.recorded()
        for name, write in (("README.md", documents.readme), ("docs/benchmark.md", documents.benchmark)):
            text = (ROOT / name).read_text()
            assert write(text, sections) == text, f"{name} is not of docs/benchmark.json"

    def test_a_part_that_is_measured_again_replaces_that_part(self, tmp_path: Path) -> None:
        record = tmp_path / "benchmark.json"
        documents.save("one machine", {"a": Section("a", ("", "ms"), [("x", "1")], data={"n": 1})}, record)
        documents.save("another", {"b": Section("b", ("", "ms"), [("y", "2")], data={"n": 2})}, record)
        documents.save("another", {"a": Section("a", ("", "ms"), [("x", "3")], data={"n": 3})}, record)
        found = documents.recorded(record)
        assert {name: (one["machine"], one["rows"], one["n"]) for name, one in found.items()} == {
            "a": ("another", [["x", "3"]], 3),
            "b": ("another", [["y", "2"]], 2),
        }


def test_an_account_adds_up_to_everything_that_was_used() -> None:
    steps = {"detection, besides its network": 1.0, "search and decision": 0.5}
    account = Account(steps, {}, {"OpenVINO": 30.0, "batcher": 1.5}, process=33.0, children=2.0, faces=1.0)
    assert sum(ms for _, ms in account.rows) == pytest.approx(account.process + account.children)
    assert dict(account.rows)["in no step's account"] == pytest.approx(1.5)


def test_a_family_is_a_process_with_all_that_descend_from_it() -> None:
    grandchild = "import os, sys; print(os.getpid(), flush=True); sys.stdin.read()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        born = int(process.stdout.readline())
        family = family_of(process.pid)
        assert family.children == (born,)
        assert min(family.pss_mb) > 1
        assert min(family.cpu_seconds) > 0
        process.stdin.close()
    assert family.pss_mb == (0, 0), "who has ended takes nothing"
