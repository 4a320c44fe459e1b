"""Whatever a decoder does, the server lives, the picture alone is refused, and others are answered meanwhile."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facewire.client import FaceClient, ServerRefused
from facewire.protocol.errors import ErrorCode
from facewire.protocol.messages import Identified
from facewire.protocol.settings import MEBIBYTE
from facewire.server.errors import Busy, InvalidImage, StartError
from facewire.server.maintenance.create_db import main as create_db
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.decoding.exchange import DecodingSettings
from facewire.server.vision.image import ImageLimits
from tests.support.albums import album_service, serving_albums
from tests.support.bad_readings import asking
from tests.support.living_server import living_server
from tests.support.pictures import saved
from tests.support.server_process import ROOT
from tests.support.synthetic_engine import SyntheticEngine, portrait
from tests.support.waiting import PATIENCE_S

LIMITS = ImageLimits()
GOOD = portrait(5)
READING = "tests.support.bad_readings"
FAULTS = ["abort", "crash", "loop", "eat", "header abort", "header loop", "header eat"]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """However busy the machine is, the kernel ends a looping child first: only that is held against its picture."""
    with closing(Decoder(DecodingSettings(processes=2, wall_to_cpu=1000), reading=READING)) as opened:
        opened.wait_until_ready()
        yield opened


def running(pid: int) -> bool:
    """Is there such a process, not counting one that only waits to be taken leave of?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + PATIENCE_S
    while any(map(running, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(running, pids))


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False).stdout.split()
    return [int(each) for each in found] + [below for each in found for below in children_of(int(each))]


# ------------------------------------------------------------------------------------------- what the door promises


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_costs_one_refusal_and_is_remembered(decoder: Decoder, fault: str) -> None:
    data = asking(GOOD, fault)
    with pytest.raises(InvalidImage, match="damaged or hostile"):
        decoder.photo(data, LIMITS)
    assert decoder.photo(GOOD, LIMITS).pixels.shape == (48, 48, 3)
    before = decoder.pids
    with pytest.raises(InvalidImage, match="damaged or hostile"):
        decoder.photo(data, LIMITS)
    assert decoder.pids == before  # no child has looked at it again
    assert decoder.memory_used == 0


def test_a_child_that_does_not_work_is_ended_and_the_picture_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    with closing(Decoder(DecodingSettings(processes=1, wall_to_cpu=0.05), reading=READING)) as decoder:
        decoder.wait_until_ready()
        child = decoder.pids[1:]
        for _ in range(2):
            with pytest.raises(InvalidImage, match="takes longer"):
                decoder.photo(asking(GOOD, "sleep"), LIMITS)
        assert gone(child)
        assert decoder.memory_used == 0
    assert caplog.text.count("is refused") == 2  # one that is remembered is not logged again


def test_a_parser_that_raises_anything_has_found_damage(decoder: Decoder) -> None:
    for _ in range(2):
        with pytest.raises(InvalidImage, match="damaged"):
            decoder.photo(asking(GOOD, "raise"), LIMITS)


@pytest.mark.parametrize("fault", ["loop", "abort"])
def test_others_are_answered_meanwhile(decoder: Decoder, fault: str) -> None:
    refused = threading.Event()

    def ask_the_bad() -> None:
        with contextlib.suppress(InvalidImage):
            decoder.photo(asking(GOOD, f"{fault} meanwhile"), LIMITS)
        refused.set()

    bad = threading.Thread(target=ask_the_bad)
    bad.start()
    answered = 0
    while not refused.is_set():
        assert decoder.photo(GOOD, LIMITS).pixels.shape == (48, 48, 3)
        answered += 1
    bad.join()
    assert answered >= 1


def test_an_idle_child_gives_back_what_a_picture_took() -> None:
    with closing(Decoder(DecodingSettings(processes=1))) as decoder:
        decoder.wait_until_ready()
        (child,) = decoder.pids[1:]
        before = resident(child)
        decoder.photo(grey(1400, "PNG"), LIMITS)
        until = time.monotonic() + PATIENCE_S
        while resident(child) > before + 12 * MEBIBYTE and time.monotonic() < until:
            time.sleep(0.05)
        assert resident(child) <= before + 12 * MEBIBYTE  # it took 25, and the code that it ran takes 6


def resident(pid: int) -> int:
    """Bytes of memory that a process holds, those that it shares included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_child_killed_while_idle_costs_nothing(decoder: Decoder) -> None:
    decoder.photo(GOOD, LIMITS)
    for pid in decoder.pids[1:]:
        os.kill(pid, signal.SIGKILL)
    assert gone(decoder.pids[1:])
    assert decoder.photo(GOOD, LIMITS).pixels.shape == (48, 48, 3)


def test_a_child_killed_at_work_is_no_fault_of_the_picture(decoder: Decoder) -> None:
    decoder.photo(GOOD, LIMITS)
    everybody = set(children_of(decoder.pids[0]))
    with ThreadPoolExecutor(1) as aside:
        slow = aside.submit(decoder.photo, asking(GOOD, "pause"), LIMITS)
        until = time.monotonic() + PATIENCE_S
        while not (busy := everybody - set(decoder.pids)) and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(busy.pop(), signal.SIGKILL)
        assert slow.result().pixels.shape == (48, 48, 3)


def test_the_process_that_makes_children_can_be_killed_too(decoder: Decoder) -> None:
    before = decoder.pids
    os.kill(before[0], signal.SIGKILL)
    assert gone(before)
    assert decoder.photo(GOOD, LIMITS).pixels.shape == (48, 48, 3)
    assert decoder.pids[0] != before[0]


def test_a_decoder_that_can_not_start_says_why_and_tries_again_when_asked() -> None:
    with closing(Decoder(reading="tests.support.there_is_no_such_reading")) as decoder:
        for _ in range(2):
            with pytest.raises(StartError, match="No module named"):
                decoder.wait_until_ready()
        with pytest.raises(Busy):
            decoder.photo(GOOD, LIMITS)


def test_closing_ends_every_process_those_at_work_too() -> None:
    decoder = Decoder(DecodingSettings(processes=2), reading=READING)
    decoder.wait_until_ready()
    processes = [decoder.pids[0], *children_of(decoder.pids[0])]
    assert len(processes) == 3
    with ThreadPoolExecutor(1) as aside:
        looping = aside.submit(decoder.photo, asking(GOOD, "sleep"), LIMITS)
        until = time.monotonic() + PATIENCE_S
        while len(decoder.pids) == 3 and time.monotonic() < until:
            time.sleep(0.01)
        decoder.close()
        with pytest.raises(Busy):
            looping.result()
    assert gone(processes)
    with pytest.raises(Busy):
        decoder.photo(GOOD, LIMITS)


def test_pixels_outlive_the_decoder() -> None:
    with closing(Decoder()) as decoder:
        photo = decoder.photo(GOOD, LIMITS)
        again = photo.pixels.copy()
    assert (photo.pixels == again).all()


def test_no_process_is_left_when_the_server_is_killed() -> None:
    code = """
import sys, threading
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.image import ImageLimits
from tests.support.bad_readings import asking
from tests.support.synthetic_engine import portrait
decoder = Decoder(reading="tests.support.bad_readings")
decoder.wait_until_ready()
threading.Thread(target=decoder.photo, args=(asking(portrait(1), "sleep"), ImageLimits()), daemon=True).start()
print(*decoder.pids, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        fork_server = int(server.stdout.readline().split()[0])
        processes = [fork_server, *children_of(fork_server)]
        assert len(processes) >= 3
        server.kill()
    assert gone(processes)


def test_what_decoders_write_stays_out_of_the_log() -> None:
    """OpenCV and libjpeg tell the terminal about damage, in lines of their own, or in the midst of ours."""
    code = """
import sys
from contextlib import closing, suppress
from facewire.server.errors import InvalidImage
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.image import ImageLimits, decode_image
from tests.integration.test_decoding import damaged, grey
files = [damaged(grey(100, form), seed) for form in ("JPEG", "PNG", "TIFF", "BMP") for seed in range(12)]
with closing(Decoder()) as decoder:
    for file in files:
        with suppress(InvalidImage):
            decoder.photo(file, ImageLimits()) if sys.argv[1] == "door" else decode_image(file, ImageLimits())
"""
    said = {
        way: subprocess.run(
            [sys.executable, "-c", code, way], cwd=ROOT, capture_output=True, text=True, check=True
        ).stderr
        for way in ("door", "here")
    }
    assert said["door"] == ""
    assert said["here"] != ""  # or these files would show nothing


def test_memory_is_waited_for_and_then_refused() -> None:
    large = portrait(3)
    settings = DecodingSettings(processes=2, memory=1024 * 1024, patience_s=0.2)
    with closing(Decoder(settings)) as decoder:
        held = decoder.photo(large, LIMITS)  # takes all there is
        with ThreadPoolExecutor(1) as aside:
            refused = aside.submit(decoder.photo, large, LIMITS).exception()
            assert isinstance(refused, Busy)
            assert refused.retry_after_ms > 0
            assert decoder.photo(large, LIMITS).width == 48  # who holds all there is can't be waited for
            del held
            assert aside.submit(decoder.photo, large, LIMITS).result().width == 48
        assert decoder.memory_used == 0


def test_pictures_of_one_size_that_need_all_memory_go_one_after_the_other() -> None:
    with closing(Decoder(DecodingSettings(processes=2, memory=1024 * 1024))) as decoder:
        most = []

        def ask(number: int) -> int:
            photo = decoder.photo(portrait(number), LIMITS)
            most.append(decoder.memory_used)
            return photo.width

        with ThreadPoolExecutor(8) as many:
            assert list(many.map(ask, range(40))) == [48] * 40
        assert max(most) <= 1024 * 1024


# --------------------------------------------------------------------------------------- nobody else's pixels


MAGENTA = (255, 0, 255)


def grey(side: int, form: str, **options: object) -> bytes:
    """A picture with detail, and nothing like magenta in it."""
    noise = np.random.default_rng(side).integers(90, 140, (side // 4, side // 4), np.uint8)
    return saved(Image.fromarray(noise).resize((side, side)).convert("RGB"), form, **options)


def damaged(data: bytes, seed: int) -> bytes:
    """Cut off, with a hole, or with bytes missing or changed, behind the header in any case."""
    choice = random.Random(seed)
    at, length = choice.randrange(len(data) // 4, len(data) - 2), choice.randrange(1, 200)
    return [
        data[:at],
        data[:at] + bytes(len(data[at : at + length])) + data[at + length :],
        data[:at] + data[at + length :],
        data[:at] + bytes([choice.randrange(256)]) + data[at + 1 :],
    ][seed % 4]


@pytest.mark.parametrize("side", [40, 200, 700])
def test_what_a_decoder_leaves_unwritten_is_black(decoder: Decoder, side: int) -> None:
    stranger = saved(Image.new("RGB", (side, side), MAGENTA), "PNG")
    for _ in range(5):
        assert (decoder.photo(stranger, LIMITS).pixels == MAGENTA).all()
        assert not decoder.photo(asking(stranger, "leave"), LIMITS).pixels.any()


@pytest.mark.parametrize(
    ("form", "options"),
    [
        *(("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {})),
        *(("WEBP", {"lossless": True}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("HEIF", {})),
    ],
)
def test_corrupt_data_never_show_another_request(decoder: Decoder, form: str, options: dict[str, object]) -> None:
    """Pictures of magenta go through all the time; whatever is made of broken grey ones, magenta is not in it."""
    data, stopped = grey(200, form, **options), threading.Event()
    strangers = [saved(Image.new("RGB", (side, 200), MAGENTA), "PNG") for side in (150, 200, 260)]

    def stream() -> None:
        while not stopped.is_set():
            for stranger in strangers:
                assert (decoder.photo(stranger, LIMITS).pixels == MAGENTA).all()

    with ThreadPoolExecutor(1) as others:
        streaming = others.submit(stream)
        try:
            for seed in range(40):
                with contextlib.suppress(InvalidImage):
                    pixels = decoder.photo(damaged(data, seed), LIMITS).pixels.astype(int)
                    assert not ((pixels[..., 0] > 200) & (pixels[..., 1] < 50) & (pixels[..., 2] > 200)).any()
        finally:
            stopped.set()
        streaming.result()


# ------------------------------------------------------------------------------------------------ through a server


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FaceClient]:
    decoder = Decoder(DecodingSettings(processes=2, wall_to_cpu=1000), reading=READING)  # which the server closes
    with living_server(tmp_path / "gallery.db", decoder) as living, living.client() as client:
        client.enrol("Ada", portrait(7))
        yield client


@pytest.mark.parametrize("fault", ["abort", "loop", "eat"])
def test_a_server_survives_and_answers_others(client: FaceClient, fault: str) -> None:
    bad = asking(portrait(9, shade=1), f"{fault} served")
    answers = list(client.identify_many([portrait(7), bad, portrait(7), portrait(7)]))
    refused = answers.pop(1)
    assert isinstance(refused, ServerRefused)
    assert refused.code is ErrorCode.INVALID_IMAGE
    assert "damaged or hostile" in str(refused)
    assert [isinstance(answer, Identified) and answer.faces[0].name for answer in answers] == ["Ada"] * 3


def test_an_album_survives_bad_pictures(decoder: Decoder, tmp_path: Path) -> None:
    engine = SyntheticEngine(model="Facenet512", decoder=decoder)
    bad = asking(portrait(11), "crash in an album")
    with album_service(tmp_path, engine=engine) as service, serving_albums(service) as client:
        albums = client.albums
        albums.create("Trip")
        with pytest.raises(ServerRefused) as refused:
            albums.add("Trip", "header.png", asking(portrait(10), "header abort in an album"))
        assert refused.value.code is ErrorCode.INVALID_IMAGE
        added = albums.add("Trip", "bad.png", bad)
        albums.add("Trip", "good.png", portrait(12))
        with pytest.raises(ServerRefused) as refused:
            albums.photo("Trip", added.photo, size=64)
        assert refused.value.code is ErrorCode.INVALID_IMAGE
        info = albums.process("Trip")
        assert (info.with_faces, info.unreadable) == (1, 1)


def test_create_db_skips_what_crashes_a_decoder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = tmp_path / "people"
    for name, files in {"Ada": [portrait(1), asking(portrait(2), "abort")], "Bob": [portrait(3)]}.items():
        (people / name).mkdir(parents=True)
        for number, data in enumerate(files):
            (people / name / f"{number}.png").write_bytes(data)
    decoder = Decoder(DecodingSettings(processes=2), reading=READING)
    with closing(decoder):
        arguments = [str(people), "--db", str(tmp_path / "gallery.db")]
        assert create_db(arguments, open_engine=lambda _: SyntheticEngine(decoder=decoder)) == 0
    said = capsys.readouterr().out
    assert "2 people" in said
    assert "1 skipped" in said


# --------------------------------------------------------------------------------------------------- known bad files


@pytest.fixture(scope="session")
def faults(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Pictures that have ended a server."""
    room = tmp_path_factory.mktemp("faults")
    subprocess.run([sys.executable, str(shared / "faults" / "make.py"), str(room)], check=True)
    return {path.name: path.read_bytes() for path in [*room.iterdir(), shared / "faults" / "internal_dds.bin"]}


@pytest.mark.parametrize("name", ["chunk_4gib.png", "many_scans.jpg", "internal_dds.bin"])
def test_files_that_have_hurt_are_refused(faults: dict[str, bytes], client: FaceClient, name: str) -> None:
    with pytest.raises(ServerRefused) as refused:
        client.identify(faults[name])
    assert refused.value.code is ErrorCode.INVALID_IMAGE
    assert client.identify(portrait(7)).faces[0].name == "Ada"


def test_of_an_animation_the_first_frame_is_shown(faults: dict[str, bytes], client: FaceClient) -> None:
    seen = client.identify(faults["apng_grey.png"])
    assert (seen.image.width, seen.image.height) == (64, 64)
