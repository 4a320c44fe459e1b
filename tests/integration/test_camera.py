"""client_app.py camera before real streams, files, brokers and receivers, with a real server behind it."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import importlib.util
import json
import re
import signal
import socket
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.integration.conftest import ENROLLED, Kit
from tests.support.cameras import (
    SECRET,
    CameraRun,
    Receiver,
    broker,
    camera,
    free_port,
    has_rtsp_server,
    mosquitto,
    need,
    receiving,
    rtsp_server,
)
from tests.support.server_process import ROOT, ServerProcess, serving_process
from tests.support.servers import misbehaving
from tests.support.waiting import eventually
from tests.support.walking import Walk, film

Address = tuple[str, int]


@pytest.fixture(scope="module")
def server(best_kit: Kit) -> Iterator[ServerProcess]:
    for package in ("av", "paho"):
        need(f"the package {package} (requirements-camera.txt)", importlib.util.find_spec(package) is not None)
    with serving_process(*best_kit.args, "--no-albums", env=best_kit.env) as process:
        yield process


@pytest.fixture(scope="module")
def address(server: ServerProcess) -> Address:
    return server.address


@pytest.fixture(scope="module")
def people(sample: Path) -> dict[str, tuple[Path, ...]]:
    """The pictures of each sample person that are not enrolled."""
    return {person.name: tuple(sorted(person.iterdir())[ENROLLED:]) for person in (sample / "people").iterdir()}


@pytest.fixture(scope="module")
def door(people: dict[str, tuple[Path, ...]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a camera sees that somebody stands before, as a JPEG of a size that RTP takes."""
    canvas = np.full((360, 640, 3), 110, np.uint8)
    face = cv2.imread(str(people["Akira_Monase"][0]))
    assert face is not None
    canvas[60:310, 200:450] = face
    path = tmp_path_factory.mktemp("door") / "door.jpg"
    cv2.imwrite(str(path), canvas, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return path


@pytest.fixture(scope="module")
def visit(people: dict[str, tuple[Path, ...]], address: Address, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of one person."""
    return film(tmp_path_factory.mktemp("visit") / "visit.mp4", [Walk(people["Noor_Halvani"], 0.2, 3.5)], 4.0)


def told(run: CameraRun) -> list[tuple[str, str | None]]:
    return [(event["event"], event.get("name")) for event in run.events]


def test_everybody_is_named_once_and_no_stranger_is_named(
    people: dict[str, tuple[Path, ...]], sample: Path, address: Address, tmp_path: Path
) -> None:
    """One after the other, out of focus for a moment, two side by side; a stranger meets the first one at the door."""
    walks = [
        Walk(people["Akira_Monase"], 0.5, 5),
        Walk((sample / "probes" / "stranger.jpg",), 4, 6, top=130, reverse=True),
        Walk(people["Noor_Halvani"], 9, 5, blurred=(1, 1.6)),
        Walk(people["Robin_Oakmere"], 14.5, 5, top=10),
        Walk(people["Kim_Solberry"], 15, 5, top=150, reverse=True),
    ]
    walkers = {"Akira Monase", "Noor Halvani", "Robin Oakmere", "Kim Solberry"}
    path = film(tmp_path / "walk.mp4", walks, 21)
    with camera(address, str(path), "--name", "hall", "--save", str(tmp_path / "faces")) as run:
        assert run.ended() == 0, run.said
    named = [event for event in run.events if event["event"] == "named"]
    strangers = [event for event in run.events if event["event"] == "stranger"]
    left = [event for event in run.events if event["event"] == "left"]
    assert sorted(event["name"] for event in named) == sorted(walkers)
    assert len(strangers) == 1 and 4 < strangers[0]["at"] < 10
    assert [event["event"] for event in run.events].count("appeared") == len(left) == 5
    assert {event.get("name") for event in left} == {*walkers, None}
    assert {event["camera"] for event in run.events} == {"hall"}
    assert all("emotion" in event for event in named)
    for track in {event["track"] for event in run.events}:
        steps = [event["event"] for event in run.events if event["track"] == track]
        assert steps in (["appeared", "named", "left"], ["appeared", "stranger", "left"])
    saved = sorted((tmp_path / "faces").glob("*-named-*.jpg"))
    assert len(saved) == 4
    assert all(cv2.imread(str(picture)) is not None for picture in saved)


def test_a_stream_that_is_killed_or_hangs_is_watched_again(address: Address, door: Path) -> None:
    need("GStreamer's RTSP server", has_rtsp_server())
    port = free_port()
    url = f"rtsp://viewer:hush@127.0.0.1:{port}/door"
    words = ("--silence", "5", "--gone", "0.5", "--cooldown", "0.1", "--rate", "10")
    with camera(address, url, *words) as run:
        with rtsp_server(port, door):
            assert run.waits_for("named"), run.said
        assert run.waits_for("camera_lost") and run.waits_for("left")
        with rtsp_server(port, door) as rtsp:
            assert run.waits_for("camera_back"), run.said
            assert run.waits_for("named", 2)
            rtsp.send_signal(signal.SIGSTOP)
            assert run.waits_for("camera_lost", 2), run.said
            rtsp.send_signal(signal.SIGCONT)
            assert run.waits_for("camera_back", 2) and run.waits_for("named", 3), run.said
        assert len(run.readers()) <= 1
        run.process.send_signal(signal.SIGINT)
        run.ended()
    assert {name for event, name in told(run) if event == "named"} == {"Akira Monase"}
    assert "hush" not in "".join(run.said) + json.dumps(run.events)
    assert "Traceback" not in "".join(run.said)


def test_a_webhook_that_fails_at_first_gets_every_event_signed(address: Address, visit: Path, tmp_path: Path) -> None:
    receiver = Receiver([503, 500])
    outbox = str(tmp_path / "outbox.db")
    with (
        receiving(receiver) as url,
        camera(address, str(visit), "--webhook", url, "--outbox", outbox, FACEWIRE_WEBHOOK_SECRET=SECRET) as run,
    ):
        assert run.ended() == 0, run.said
    first = len(receiver.taken)
    # What had no time left goes out after the next start, before what is new.
    with (
        receiving(receiver) as url,
        camera(
            address,
            str(visit),
            "--webhook",
            url,
            "--outbox",
            outbox,
            "--record-nothing",
            FACEWIRE_WEBHOOK_SECRET=SECRET,
        ) as again,
    ):
        assert eventually(lambda: len(receiver.taken) >= 6), (first, again.said)
        assert again.ended() == 0
    bodies = [json.loads(body) for _, body in receiver.taken]
    assert [body["event"] for body in bodies] == ["appeared", "named", "left"] * 2
    assert len({body["id"] for body in bodies}) == 6
    assert ["crop" in body for body in bodies] == [True] * 3 + [False] * 3
    assert receiver.refused == 2
    is_ours = documented_check()
    for headers, body in receiver.taken:
        assert is_ours(headers, body, SECRET.encode())
        assert not is_ours(headers, body + b" ", SECRET.encode())
        assert not is_ours(headers, body, b"another secret")
        signed = hmac.new(SECRET.encode(), headers["X-Facewire-Timestamp"].encode() + b"." + body, hashlib.sha256)
        assert headers["X-Facewire-Signature"] == f"sha256={signed.hexdigest()}"


def documented_check() -> Callable[[dict[str, str], bytes, bytes], bool]:
    """The receiver's function in docs/cameras.md, as it stands there."""
    page = (ROOT / "docs" / "cameras.md").read_text(encoding="utf-8")
    block = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {}
    exec(block[1], names)
    check: Callable[[dict[str, str], bytes, bytes], bool] = names["is_ours"]
    return check


def test_a_webhook_that_hangs_and_a_broker_that_is_away_hold_up_nobody(
    address: Address, visit: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}/"
        away = f"mqtt://127.0.0.1:{free_port()}"
        with camera(
            address, str(visit), "--webhook", url, "--outbox", str(tmp_path / "o.db"), "--mqtt", away,
            FACEWIRE_WEBHOOK_SECRET=SECRET,
        ) as run:  # fmt: skip
            assert run.ended() == 0, run.said
    assert told(run) == [("appeared", None), ("named", "Noor Halvani"), ("left", "Noor Halvani")]
    assert any("MQTT broker" in line for line in run.said)


class Listening:
    """A client of the broker's that keeps the last message of each topic, and all events."""

    def __init__(self, port: int) -> None:
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.last: dict[str, bytes] = {}
        self.events: list[dict[str, Any]] = []
        self.client = Client(CallbackAPIVersion.VERSION2)
        self.client.on_message = self._take
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _take(self, client: Any, data: Any, message: Any) -> None:
        self.last[message.topic] = message.payload
        if message.topic.endswith("/event"):
            self.events.append(json.loads(message.payload))

    def of_camera(self, topic: str) -> bytes:
        """The last message of one of its topics."""
        return next((self.last[name] for name in list(self.last) if re.match(rf"facewire/[\w-]+/{topic}$", name)), b"")

    def somebody_is_there(self) -> bool:
        return self.of_camera("availability") == b"online" and b'["Akira Monase"]' in self.of_camera("state")

    def nobody_is_there(self) -> bool:
        return self.of_camera("availability") == b"offline" and b'"people": []' in self.of_camera("state")

    def check_discovery(self) -> None:
        """Five entities of one device."""
        assert eventually(lambda: len([topic for topic in list(self.last) if topic.startswith("homeassistant/")]) == 5)
        configs = {
            topic: json.loads(self.last[topic]) for topic in list(self.last) if topic.startswith("homeassistant/")
        }
        assert {topic.split("/")[1] for topic in configs} == {"sensor", "binary_sensor", "event", "image"}
        assert {config["device"]["name"] for config in configs.values()} == {"Front door"}
        assert all(config["availability_topic"].endswith("/availability") for config in configs.values())


@contextmanager
def listening_to(port: int) -> Iterator[Listening]:
    listening = Listening(port)
    try:
        yield listening
    finally:
        listening.client.disconnect()
        listening.client.loop_stop()


def test_home_assistant_learns_of_the_camera_and_who_is_there(address: Address, door: Path, tmp_path: Path) -> None:
    """The broker comes late and is replaced by one that knows nothing; then the camera is lost."""
    need("mosquitto", mosquitto() is not None)
    need("GStreamer's RTSP server", has_rtsp_server())
    port, broker_port = free_port(), free_port()
    words = ("--name", "Front door", "--mqtt", f"mqtt://127.0.0.1:{broker_port}", "--gone", "0.5", "--silence", "3")
    with rtsp_server(port, door) as rtsp, camera(address, f"rtsp://127.0.0.1:{port}/door", *words) as run:
        assert run.waits_for("named"), run.said
        for _ in range(2):
            with broker(broker_port, tmp_path), listening_to(broker_port) as heard:
                assert eventually(heard.somebody_is_there), (heard.last, run.said)
                heard.check_discovery()
        with broker(broker_port, tmp_path), listening_to(broker_port) as heard:
            assert eventually(heard.somebody_is_there), (heard.last, run.said)
            rtsp.kill()
            assert eventually(heard.nobody_is_there), heard.last
            assert eventually(lambda: {"left", "camera_lost"} <= {event["event_type"] for event in heard.events})


def test_what_is_seen_can_be_watched_in_a_browser(address: Address, door: Path) -> None:
    need("GStreamer's RTSP server", has_rtsp_server())
    port, drawn = free_port(), free_port()
    with (
        rtsp_server(port, door),
        camera(address, f"rtsp://127.0.0.1:{port}/door", "--draw", f"http://127.0.0.1:{drawn}", "--quiet") as run,
    ):
        assert eventually(lambda: connects(drawn)), run.said
        stranger = http.client.HTTPConnection("127.0.0.1", drawn, timeout=30)
        stranger.request("GET", "/", headers={"Host": "elsewhere.example"})
        assert stranger.getresponse().status == 403
        stranger.close()
        viewer = http.client.HTTPConnection("127.0.0.1", drawn, timeout=30)
        viewer.request("GET", "/")
        answer = viewer.getresponse()
        assert (answer.getheader("Content-Type") or "").startswith("multipart/x-mixed-replace")
        length = next(int(line.split(b":")[1]) for line in iter(answer.readline, b"") if b"Content-Length" in line)
        answer.readline()
        picture = cv2.imdecode(np.frombuffer(answer.read(length), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None and picture.shape == (360, 640, 3)
        viewer.close()
        answer.close()


def connects(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def silent_video(room: Path) -> Path:
    path = room / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    return path


def test_what_is_no_video_is_refused_in_one_line(address: Address, tmp_path: Path) -> None:
    cases = {
        str(silent_video(tmp_path)): "it has no video, only audio",
        "README.md": "not a video",
        "nowhere.mp4": "no such video file",
        "ftp://127.0.0.1/x": "ftp:// is not supported",
        "concat:a|b": "only rtsp",
    }
    for source, expected in cases.items():
        with camera(address, source) as run:
            assert run.ended() in (2, 3)
        assert expected in run.said[-1], run.said
        assert run.events == []
        assert len(run.said) == 1


def test_a_url_that_answers_a_web_page_is_refused(address: Address) -> None:
    body = b"<!DOCTYPE html><html><body>not a camera</body></html>" * 20

    def answer(sock: socket.socket) -> None:
        sock.recv(65536)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)

    with misbehaving(answer) as (host, port), camera(address, f"http://{host}:{port}/?key=hush") as run:
        assert run.ended() == 3
    assert "not a video (a web page?)" in run.said[-1]
    assert "hush" not in "".join(run.said)
