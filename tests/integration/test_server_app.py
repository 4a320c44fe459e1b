"""server_app.py as a process: real networks, real pictures, every bad input, many clients, and the end."""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from facewire.client import FaceClient
from facewire.protocol.framing import encode_frame
from facewire.protocol.messages import EMOTIONS, Identified
from tests.integration.conftest import Kit
from tests.support import pictures
from tests.support.msgpacked import pack
from tests.support.server_process import PATIENCE_S, ServerProcess, is_log, serving_process
from tests.support.servers import RawClient

MAX_FRAME = 2**20
STOP_S = 60.0  # five are promised, where the machine is not busy with something else


UNHURRIED = ("--request-timeout", "170", "--max-wait", "170")
"""Nobody here is to be told `timeout` or `busy` only because the machine is busy with something else."""


@pytest.fixture(scope="module")
def server(dlib_kit: Kit) -> Iterator[ServerProcess]:
    """Serves everything below; in the end it stops as it should, whatever it was fed."""
    with serving_process(*dlib_kit.args, "--max-frame-mb", "1", *UNHURRIED, env=dlib_kit.env) as running:
        yield running
        ended, seconds = running.stop()
        assert (ended.code, ended.stdout, ended.lines) == (0, "", [])
        assert seconds < STOP_S


@pytest.fixture
def raw(server: ServerProcess) -> Iterator[RawClient]:
    with RawClient(server.address) as client:
        client.sock.settimeout(PATIENCE_S)
        yield client


@pytest.fixture
def client(server: ServerProcess) -> Iterator[FaceClient]:
    with FaceClient(*server.address, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture(scope="module")
def face(dlib_kit: Kit) -> tuple[str, bytes]:
    """Somebody enrolled, and a picture that the gallery has not seen."""
    return next(iter(dlib_kit.probes.items()))


def middle(box: Sequence[float]) -> tuple[float, float]:
    x, y, width, height = box
    return x + width / 2, y + height / 2


def likeliest(answer: Identified) -> list[str]:
    """The nearest person of every face, from left to right."""
    return [face.candidates[0].name for face in sorted(answer.faces, key=lambda face: face.box[0])]


class TestOperations:
    def test_identify_names_every_face_of_a_picture(self, client: FaceClient, dlib_kit: Kit) -> None:
        names = list(dlib_kit.probes)[:3]
        answer = client.identify(pictures.side_by_side([dlib_kit.probes[name] for name in names]), k=3)
        assert likeliest(answer) == names
        assert answer.model == "Dlib"
        areas = [face.box[2] * face.box[3] for face in answer.faces]
        assert areas == sorted(areas, reverse=True)
        for face in answer.faces:
            assert [candidate.similarity for candidate in face.candidates] == sorted(
                (candidate.similarity for candidate in face.candidates), reverse=True
            )
            assert len(face.candidates) == 3
            assert face.similarity == face.candidates[0].similarity
            assert face.emotion is not None
            assert set(face.emotion.scores) == set(EMOTIONS)
            assert sum(face.emotion.scores.values()) == pytest.approx(1, abs=1e-3)
            assert (face.name is not None) == (face.decision == "match")

    def test_no_emotion_where_none_is_asked_for(self, client: FaceClient, face: tuple[str, bytes]) -> None:
        assert client.identify(face[1], emotion=False).faces[0].emotion is None

    def test_detect_and_embed_find_the_same_face(self, client: FaceClient, face: tuple[str, bytes]) -> None:
        detected, embedded = client.detect(face[1]), client.embed(face[1])
        assert detected.image == embedded.image
        assert [one.box for one in detected.faces] == [one.box for one in embedded.faces]
        embedding = np.frombuffer(embedded.faces[0].embedding, "<f4")
        assert embedding.shape == (embedded.dimension,) == (128,)
        assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-5)

    def test_verify(self, client: FaceClient, dlib_kit: Kit) -> None:
        (one, other), *_ = zip(dlib_kit.probes.values(), list(dlib_kit.probes.values())[1:], strict=False)
        itself, stranger = client.verify(one, one), client.verify(one, other)
        assert itself.same
        assert itself.similarity == pytest.approx(1, abs=1e-3)
        assert itself.threshold == stranger.threshold
        assert stranger.similarity < itself.similarity
        assert stranger.distance == pytest.approx((2 - 2 * stranger.similarity) ** 0.5, abs=1e-6)

    def test_people_ping_health_and_stats(self, client: FaceClient, dlib_kit: Kit) -> None:
        assert [person.name for person in client.all_people()] == sorted(dlib_kit.probes)
        assert client.ping().version == 1
        health = client.health()
        assert (health.healthy, health.model, health.people) == (True, "Dlib", len(dlib_kit.probes))
        assert health.inference_ms > 0
        stats = client.stats()
        assert stats.requests["health"] >= 1
        assert stats.templates == health.templates == 2 * len(dlib_kit.probes)


@dataclass(frozen=True)
class BadWire:
    """Bytes that break the wire; `half_close`: and then nothing more comes."""

    data: bytes
    code: str
    half_close: bool = False
    id: int = 0


def message(**fields: object) -> bytes:
    return encode_frame(pack(fields))


BAD_WIRE = {
    "a frame of length 0": BadWire(bytes(4), "bad_frame"),
    "one over the limit": BadWire((MAX_FRAME + 1).to_bytes(4, "big") + bytes(MAX_FRAME + 1), "too_large"),
    "one truncated": BadWire(message(id=1, op="ping")[:-3], "bad_frame", half_close=True),
    "half a length": BadWire(b"\0\0", "bad_frame", half_close=True),
    "a browser": BadWire(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "too_large"),
    "garbage": BadWire(bytes(range(255, 127, -1)) * 8, "too_large"),
    "garbage in a frame": BadWire(encode_frame(bytes(range(255, 127, -1))), "bad_message"),
    "a picture and no message": BadWire(encode_frame(b"\xff\xd8\xff\xe0" + bytes(500)), "bad_message"),
    "a list": BadWire(encode_frame(pack([1, "ping"])), "bad_message"),
    "nil": BadWire(encode_frame(b"\xc0"), "bad_message"),
    "two messages in a frame": BadWire(encode_frame(pack({"op": "ping"}) * 2), "bad_message"),
    "a map cut off": BadWire(encode_frame(pack({"op": "ping"})[:-2]), "bad_message"),
    "op a number": BadWire(message(op=5), "bad_message"),
    "id a string": BadWire(message(id="1", op="ping"), "bad_message"),
    "id a float": BadWire(message(id=1.0, op="ping"), "bad_message"),
    "image a string": BadWire(message(id=6, image="me.jpg"), "bad_message", id=6),
    "image nil": BadWire(message(id=6, image=None), "bad_message", id=6),
    "image a map": BadWire(message(id=6, image={"path": "/etc/passwd"}), "bad_message", id=6),
    "nested 10,000 deep": BadWire(encode_frame(b"\x81\xa1x" + b"\x91" * 10_000 + b"\xc0"), "bad_message"),
    "a map of 4 thousand million": BadWire(encode_frame(b"\xdf\xff\xff\xff\xff"), "bad_message"),
    "an array of as many": BadWire(encode_frame(b"\x81\xa1x\xdd\xff\xff\xff\xff"), "bad_message"),
    "4 GB of image": BadWire(encode_frame(b"\x81\xa5image\xc6\xff\xff\xff\xff"), "bad_message"),
    "4 GB of string": BadWire(encode_frame(b"\x81\xa2op\xdb\xff\xff\xff\xff"), "bad_message"),
    "half a million small arrays": BadWire(
        encode_frame(b"\x81\xa1x\xdd\0\x07\xff\xff" + b"\x90" * 0x7FFFF), "bad_message"
    ),
}


@pytest.mark.parametrize("bad", BAD_WIRE.values(), ids=BAD_WIRE)
def test_a_broken_wire_is_told_so_and_closed(server: ServerProcess, raw: RawClient, bad: BadWire) -> None:
    raw.send_bytes(bad.data)
    if bad.half_close:
        raw.half_close()
    answer = raw.receive()
    assert (answer["id"], answer["ok"], answer["error"]["code"]) == (bad.id, False, bad.code)
    assert answer["error"]["message"]
    assert raw.at_end()
    with RawClient(server.address) as next_one:
        assert next_one.ask(op="ping")["ok"]


REFUSED = {
    "no image": ({"op": "identify"}, "invalid_request"),
    "nothing at all": ({}, "invalid_request"),
    "an unknown op": ({"op": "divine"}, "unsupported_op"),
    "nobody's picture": ({"op": "enrol", "name": "Eve", "image": b"x"}, "invalid_image"),
    "an unknown key": ({"op": "ping", "colour": "red"}, "invalid_request"),
    "k too small": ({"image": b"x", "k": 0}, "invalid_request"),
    "an empty image": ({"image": b""}, "invalid_image"),
    "text": ({"image": b"I am text that somebody named me.jpg\n" * 20}, "invalid_image"),
    "SVG": ({"image": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>"}, "invalid_image"),
    "a claim of 60000x60000": ({"image": pictures.png_that_claims(60_000, 60_000)}, "invalid_image"),
    "a JPEG's first bytes": ({"image": b"\xff\xd8\xff\xe0\x00\x10JFIF"}, "invalid_image"),
}


@pytest.mark.parametrize(("fields", "code"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_served_keeps_the_connection(
    raw: RawClient, face: tuple[str, bytes], fields: dict[str, object], code: str
) -> None:
    answer = raw.ask(id=3, **fields)
    assert (answer["id"], answer["ok"], answer["error"]["code"]) == (3, False, code)
    served = raw.ask(id=4, op="detect", image=face[1])
    assert (served["id"], len(served["result"]["faces"])) == (4, 1)


@pytest.mark.parametrize("op", ["identify", "detect", "embed", "verify"])
def test_a_jpeg_cut_off_is_refused_by_every_operation(raw: RawClient, face: tuple[str, bytes], op: str) -> None:
    half = face[1][: len(face[1]) // 2]
    more = {"other": face[1]} if op == "verify" else {}
    assert raw.ask(id=1, op=op, image=half, **more)["error"]["code"] == "invalid_image"
    assert raw.ask(id=2, op="ping")["ok"]


def test_a_claim_of_60000_x_60000_costs_no_memory(raw: RawClient) -> None:
    before = raw.ask(op="stats")["result"]["memory_mb"]
    for _ in range(20):
        raw.ask(image=pictures.png_that_claims(60_000, 60_000))
    assert raw.ask(op="stats")["result"]["memory_mb"] < before + 50  # one of them is 10,800 MB


def test_one_pixel_is_a_picture_without_a_face(raw: RawClient) -> None:
    answer = raw.ask(image=pictures.saved(Image.new("RGB", (1, 1)), "PNG"))
    assert answer["ok"]
    assert answer["result"]["faces"] == []
    assert answer["result"]["image"] == {"width": 1, "height": 1}


def test_verify_needs_a_face_in_both(raw: RawClient, face: tuple[str, bytes]) -> None:
    empty = pictures.saved(Image.new("RGB", (200, 200), "grey"), "JPEG")
    refused = raw.ask(op="verify", image=face[1], other=empty)
    assert refused["error"]["code"] == "no_face"
    assert "in the second picture" in refused["error"]["message"]


FORMS = {
    "PNG": lambda face: pictures.saved(pictures.opened(face), "PNG"),
    "WebP": lambda face: pictures.saved(pictures.opened(face), "WEBP", quality=95),
    "BMP": lambda face: pictures.saved(pictures.opened(face), "BMP"),
    "progressive JPEG": lambda face: pictures.saved(pictures.opened(face), "JPEG", progressive=True, quality=95),
    "animated GIF": lambda face: pictures.animated(face, "GIF"),
    "animated WebP": lambda face: pictures.animated(face, "WEBP"),
    "16 bit": pictures.sixteen_bit,
    "grey": lambda face: pictures.saved(pictures.opened(face).convert("L"), "JPEG", quality=95),
    "CMYK": lambda face: pictures.saved(pictures.opened(face).convert("CMYK"), "JPEG", quality=95),
    "alpha": pictures.with_alpha,
    "palette": lambda face: pictures.saved(pictures.opened(face).quantize(256), "PNG"),
    "turned by EXIF": pictures.turned,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_picture_shows_the_same_person(raw: RawClient, face: tuple[str, bytes], form: str) -> None:
    name, data = face
    upright = raw.ask(op="detect", image=data)["result"]
    answer = raw.ask(image=FORMS[form](data), emotion=False)
    assert answer["ok"], answer
    result = answer["result"]
    assert result["image"] == upright["image"]
    (found,) = result["faces"]
    assert found["candidates"][0]["name"] == name
    # dlib's boxes grow in steps of a fifth: another coding of the pixels may resize one, but not move its middle far.
    assert np.allclose(middle(found["box"]), middle(upright["faces"][0]["box"]), atol=12)


def test_one_log_line_a_request_and_no_picture_in_it(
    server: ServerProcess, raw: RawClient, face: tuple[str, bytes]
) -> None:
    before = len(server.stderr)
    raw.ask(id=4711, image=face[1])
    raw.ask(id=4712, op="embed", image=face[1])
    raw.ask(id=4713, image=b"\xff\xd8 no picture")
    raw.ask(id=4714, op="nothing\nnew")
    lines = [line for line in server.stderr[before:].splitlines() if re.search(r"id=471\d", line)]
    expected = [
        r"id=4711 op=identify faces=1 ms=\d+\.\d$",
        r"id=4712 op=embed faces=1 ms=\d+\.\d$",
        r"id=4713 op=identify refused: invalid_image$",
        r"id=4714 op=- refused: unsupported_op$",
    ]
    assert len(lines) == len(expected)
    for line, pattern in zip(lines, expected, strict=True):
        assert re.search(pattern, line), line
    for line in server.stderr.splitlines():  # of all that was served until now
        assert is_log(line), line
        assert len(line) < 300
        assert "\\x" not in line
        assert line.isascii()


@pytest.fixture(scope="module")
def busy_server(best_kit: Kit) -> Iterator[ServerProcess]:
    with serving_process(*best_kit.args, *UNHURRIED, env=best_kit.env) as running:
        yield running


class TestManyClients:
    def test_64_clients_are_served_and_the_65th_takes_the_place_of_the_longest_silent(
        self, busy_server: ServerProcess, best_kit: Kit
    ) -> None:
        probes = list(best_kit.probes.items())
        clients = [RawClient(busy_server.address) for _ in range(64)]
        try:
            for one in clients:
                one.sock.settimeout(PATIENCE_S)
                assert one.ask(op="ping")["ok"]
            with RawClient(busy_server.address) as late:
                late.sock.settimeout(PATIENCE_S)
                assert late.ask(op="ping")["ok"]
            with clients.pop(0) as silent:
                told = silent.receive()
                assert (told["id"], told["error"]["code"]) == (0, "busy")
                assert told["error"]["retry_after_ms"] > 0
                assert silent.at_end()
            for number, one in enumerate(clients):
                one.send(id=number + 1, image=probes[number % len(probes)][1])
            for number, one in enumerate(clients):
                answer = one.receive()
                assert (answer["id"], answer["ok"]) == (number + 1, True)
                found, *_ = answer["result"]["faces"]
                assert found["candidates"][0]["name"] == probes[number % len(probes)][0]
            leaving = clients.pop()
            leaving.half_close()
            assert leaving.at_end()
            leaving.sock.close()
            with RawClient(busy_server.address) as next_one:
                assert next_one.ask(op="ping")["ok"]
        finally:
            for one in clients:
                one.sock.close()

    def test_16_clients_get_the_answers_that_one_gets(self, busy_server: ServerProcess, best_kit: Kit) -> None:
        crowd = pictures.side_by_side(list(best_kit.probes.values())[:4])
        asked = [*best_kit.probes.values(), crowd]
        with FaceClient(*busy_server.address, timeout=PATIENCE_S) as alone:
            expected = [alone.identify(picture, k=3) for picture in asked]
        together = threading.Barrier(16)

        def one_of_many(start: int) -> list[tuple[int, Identified]]:
            order = [(start + step) % len(asked) for step in range(5)]
            with FaceClient(*busy_server.address, timeout=PATIENCE_S) as client:
                together.wait(PATIENCE_S)
                return [(number, client.identify(asked[number], k=3)) for number in order]

        with ThreadPoolExecutor(16) as pool:
            answers = [answer for many in pool.map(one_of_many, range(16)) for answer in many]
        assert len(answers) == 16 * 5
        for number, answer in answers:
            assert len(answer.faces) == len(expected[number].faces)
            for got, alone_got in zip(answer.faces, expected[number].faces, strict=True):
                assert (got.name, got.decision, got.box) == (alone_got.name, alone_got.decision, alone_got.box)
                assert got.similarity == pytest.approx(alone_got.similarity, abs=1e-3)
                assert [c.name for c in got.candidates] == [c.name for c in alone_got.candidates]
                assert got.emotion is not None
                assert alone_got.emotion is not None
                assert got.emotion.scores == pytest.approx(alone_got.emotion.scores, abs=1e-3)


def test_facenet_recognises_every_sample_person(facenet_kit: Kit) -> None:
    with (
        serving_process(*facenet_kit.args, env=facenet_kit.env) as running,
        FaceClient(*running.address, timeout=PATIENCE_S) as client,
    ):
        assert client.health().model == "Facenet512"
        for name, answer in zip(facenet_kit.probes, client.identify_many(facenet_kit.probes.values()), strict=True):
            assert isinstance(answer, Identified)
            assert answer.faces[0].name == name


@dataclass
class Asking:
    """A client that asks without a pause until the server ends. `sent_at`: of the request without an answer yet."""

    outcomes: list[str] = field(default_factory=list)
    sent_at: float | None = None

    def run(self, server: ServerProcess, picture: bytes, answered: threading.Semaphore) -> None:
        try:
            with RawClient(server.address) as raw:
                raw.sock.settimeout(PATIENCE_S)
                while True:
                    raw.send(image=picture)
                    self.sent_at = time.monotonic()
                    answer = raw.receive()
                    self.sent_at = None
                    self.outcomes.append("served" if answer["ok"] else answer["error"]["code"])
                    answered.release()
        except (EOFError, ConnectionError):
            self.outcomes.append("closed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_ends_it_in_time_with_every_request_answered(best_kit: Kit, number: signal.Signals) -> None:
    picture = next(iter(best_kit.probes.values()))
    answered = threading.Semaphore(0)
    clients = [Asking() for _ in range(8)]
    with serving_process(*best_kit.args, *UNHURRIED, env=best_kit.env) as server:
        with RawClient(server.address) as idle:
            assert idle.ask(op="ping")["ok"]
            threads = [threading.Thread(target=one.run, args=(server, picture, answered)) for one in clients]
            for thread in threads:
                thread.start()
            for _ in range(24):
                assert answered.acquire(timeout=PATIENCE_S)
            signalled = time.monotonic()
            ended, seconds = server.stop(number)
            last_word = idle.receive()
            assert (last_word["id"], last_word["error"]["code"]) == (0, "busy")
            assert idle.at_end()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert seconds < STOP_S
    assert (ended.code, ended.lines) == (0, [])
    assert "stopped" in ended.log[-1]
    for one in clients:
        assert one.sent_at is None or one.sent_at >= signalled, "a request under way got no answer"
        assert set(one.outcomes) <= {"served", "busy", "closed"}
