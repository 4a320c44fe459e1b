"""Browsers that ask nothing, send slowly, read nothing or leave: they cost the page little, and others are answered."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from facewire.client.web.places import Limits
from tests.support.fake_service import PATIENCE_S
from tests.support.synthetic_engine import portrait
from tests.support.waiting import eventually
from tests.support.web_server import Page, Visitor, facewire_server, web_page

HASTY = Limits(waiting_s=0.5, stall_s=0.5, socket_s=0.5, linger_s=0.5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with facewire_server(tmp_path_factory.mktemp("served")) as address:
        yield address


@pytest.fixture
def page(server: tuple[str, int]) -> Iterator[Page]:
    with web_page(server) as page:
        yield page


@pytest.fixture
def hasty(server: tuple[str, int]) -> Iterator[Page]:
    """A page that waits half a second for anything."""
    with web_page(server, limits=HASTY) as page:
        yield page


@contextlib.contextmanager
def nothing_wrong_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No error and no traceback of a page that runs already: starting one takes away uvicorn's other handlers."""
    own = logging.getLogger("uvicorn")
    own.addHandler(caplog.handler)
    yield
    own.removeHandler(caplog.handler)
    wrong = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not wrong, [(record.getMessage(), record.exc_info) for record in wrong]


def head(visitor: Visitor, path: str, size: int, *more: str) -> bytes:
    """The head of an upload, as a browser sends it."""
    page = visitor.page
    lines = [
        f"POST {path} HTTP/1.1", f"Host: {page.host}:{page.port}", f"Cookie: {visitor.cookie}",
        f"X-CSRF-Token: {visitor.csrf}", f"Content-Length: {size}", *more, "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode()


def connected(page: Page, first: bytes = b"") -> socket.socket:
    sock = socket.create_connection((page.host, page.port), timeout=PATIENCE_S)
    sock.sendall(first)
    return sock


def answer_of(sock: socket.socket) -> bytes:
    """All that comes until the other side ends it."""
    heard = b""
    while piece := sock.recv(65536):
        heard += piece
    return heard


UPLOADS = {
    "a picture": ("/api/identify", "Content-Type: image/jpeg"),
    "a photo of an album": ("/api/album/add?album=Trip&name=a.jpg", "Content-Type: image/jpeg"),
    "a piece of a ZIP": ("/api/album/zip?album=Trip", "Content-Type: application/octet-stream"),
    "a search": ("/api/album/search", "Content-Type: multipart/form-data; boundary=b"),
    "an export": ("/api/album/export", "Content-Type: multipart/form-data; boundary=b"),
    "an operation": ("/api/op/people", "Content-Type: application/json"),
    "an import": ("/api/album/import", "Content-Type: application/json"),
    "a login": ("/login", "Content-Type: application/x-www-form-urlencoded"),
}


class TestWhoHoldsPlaces:
    def test_idle_connections_and_slow_uploads_keep_nobody_out(self, page: Page) -> None:
        with contextlib.ExitStack() as open_:
            idle = [open_.enter_context(connected(page)) for _ in range(260)]
            visitor = page.visitor()
            assert visitor.op("people")[0] == 200
            slow = [
                open_.enter_context(connected(page, head(visitor, "/api/identify", 1000) + b"x")) for _ in range(199)
            ]
            assert visitor.op("people")[0] == 200
            for sock in [*idle, *slow]:
                with contextlib.suppress(OSError):  # that one has given way
                    sock.sendall(b"x")
            assert visitor.op("people")[0] == 200
            assert json.loads(visitor.send("POST", "/api/identify", portrait(1))[2])["faces"]

    def test_the_slowest_upload_is_told_that_it_gave_way(self, server: tuple[str, int]) -> None:
        with web_page(server, limits=Limits(requests=2, share=1.0)) as page, contextlib.ExitStack() as open_:
            visitor = page.visitor()
            slow = [open_.enter_context(connected(page, head(visitor, "/api/identify", 9) + b"x")) for _ in range(2)]
            assert visitor.op("people")[0] == 200
            answer = answer_of(slow[0])
            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1\r\n" in answer
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "busy"
            with pytest.raises(OSError):  # it is closed, though it would go on for ever
                while True:
                    slow[0].sendall(bytes(1000))

    def test_where_all_are_being_served_one_more_is_told_so_until_somebody_leaves(self) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,  # takes requests, and never answers
            web_page(silent.getsockname()[:2], limits=Limits(requests=1, share=1.0)) as page,
        ):
            visitor = page.visitor()
            with connected(page, head(visitor, "/api/op/people", 2, "Content-Type: application/json") + b"{}"):
                silent.settimeout(PATIENCE_S)
                asked, _ = silent.accept()
                status, headers, body = page.request("GET", "/login")
                assert (status, json.loads(body)["error"]["code"], headers["retry-after"]) == (503, "busy", "1")
            assert eventually(lambda: page.request("GET", "/login")[0] == 200)
            asked.close()

    def test_an_address_may_have_its_share_alone(self, server: tuple[str, int]) -> None:
        limits = Limits(connections=8, share=0.5)
        with web_page(server, limits=limits, host="0.0.0.0") as page, contextlib.ExitStack() as open_:
            here = Page("127.0.0.1", page.port)
            other = open_.enter_context(
                socket.create_connection((here.host, here.port), timeout=PATIENCE_S, source_address=("127.0.0.2", 0))
            )
            mine = [open_.enter_context(connected(here)) for _ in range(8)]
            for sock in mine[:4]:
                assert sock.recv(1) == b""
            other.sendall(f"GET /login HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\n\r\n".encode())
            assert answer_of_one(other)[0] == 200


class TestSilence:
    @pytest.mark.parametrize("said", [b"G", b"GET /identify HTTP/1.1\r\nHost: x"])
    def test_a_request_that_does_not_come_whole(self, hasty: Page, said: bytes) -> None:
        with connected(hasty, said) as sock:
            assert answer_of(sock).startswith(b"HTTP/1.1 408")

    def test_a_request_that_does_not_come(self, hasty: Page) -> None:
        with connected(hasty) as sock:
            assert answer_of(sock) == b""

    @pytest.mark.parametrize("kind", UPLOADS)
    def test_a_body_that_stops_or_trickles(self, hasty: Page, kind: str) -> None:
        path, content_type = UPLOADS[kind]
        visitor = hasty.visitor()
        stop = threading.Event()
        with connected(hasty, head(visitor, path, 10_000, content_type)) as sock:

            def trickle() -> None:
                with contextlib.suppress(OSError):
                    while not stop.wait(0.05):
                        sock.sendall(b"\n")

            thread = threading.Thread(target=trickle)
            thread.start()
            try:
                answer = answer_of(sock)
            finally:
                stop.set()
                thread.join()
        assert answer.startswith(b"HTTP/1.1 408")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "timeout"
        assert b"nosniff" in answer

    def test_an_upload_at_a_good_pace_may_take_longer(self, server: tuple[str, int]) -> None:
        visitor_limits = Limits(stall_s=0.5, rate=1000)
        with web_page(server, limits=visitor_limits) as page:
            visitor, pause = page.visitor(), threading.Event()
            with connected(page, head(visitor, "/api/identify", 8 * 1000)) as sock:
                for _ in range(8):
                    sock.sendall(bytes(1000))
                    pause.wait(0.15)  # more than half a second in all
                assert answer_of_one(sock)[0] == 422  # it came whole: no picture

    def test_after_an_early_answer_nobody_may_send_for_ever(self, hasty: Page) -> None:
        with connected(hasty, head(hasty.visitor(), "/api/nothing", 10_000) + b"x") as sock:
            assert answer_of(sock).startswith(b"HTTP/1.1 404")

    def test_a_browser_that_takes_no_answer(self, hasty: Page) -> None:
        """Its window is closed: what was asked for fills all buffers on the way, and the connection ends."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(PATIENCE_S)
        sock.connect((hasty.host, hasty.port))
        ask = f"GET /static/app.css HTTP/1.1\r\nHost: {hasty.host}:{hasty.port}\r\n\r\n".encode()
        with sock, pytest.raises(OSError):  # reset, or a pipe that is gone
            while True:
                sock.sendall(ask * 100)

    def test_a_camera_that_sends_nothing(self, hasty: Page) -> None:
        with connect(f"ws://{hasty.host}:{hasty.port}/api/live", origin=Origin(hasty.url)) as socket_:
            with pytest.raises(ConnectionClosed) as ended:
                socket_.recv(timeout=PATIENCE_S)
            assert ended.value.rcvd is not None
            assert ended.value.rcvd.code == 1013


class TestAnswersArrive:
    def test_when_the_budget_of_all_uploads_is_reached(self, server: tuple[str, int]) -> None:
        mebibyte = 1024 * 1024
        with web_page(server, max_picture=200 * mebibyte) as page, contextlib.ExitStack() as open_:
            visitor = page.visitor()
            size, held = 150 * mebibyte, 140 * mebibyte
            for _ in range(2):  # 280 of 400
                sock = open_.enter_context(connected(page, head(visitor, "/api/identify", size)))
                sock.sendall(bytes(held))
            status, headers, body = visitor.send("POST", "/api/identify", bytes(size))
            assert (status, json.loads(body)["error"]["code"]) == (503, "busy")
            assert headers["retry-after"] == "1"

    def test_when_a_change_is_refused_whose_body_is_large(self, page: Page) -> None:
        stale = Visitor(page, page.visitor().cookie, "0" * 64)
        status, _, body = stale.send("POST", "/api/identify", bytes(20 * 1024 * 1024), connection="close")
        assert (status, json.loads(body)["error"]["code"]) == (403, "stale")


class TestServersThatGo:
    def test_in_the_middle_of_a_download(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), np.uint8)
        photo = cv2.imencode(".png", noise)[1].tobytes()  # 6.8 MB: pieces, and more than the buffers on the way
        with contextlib.ExitStack() as served:
            address = served.enter_context(facewire_server(tmp_path))
            with web_page(address) as page, nothing_wrong_is_logged(caplog):
                visitor = page.visitor()
                visitor.op("album.create", album="Trip")
                assert visitor.send("POST", "/api/album/add?album=Trip&name=a.png", photo)[0] == 200
                form = b'--b\r\nContent-Disposition: form-data; name="export"\r\n\r\n{"album": "Trip"}\r\n--b--\r\n'
                kind = "multipart/form-data; boundary=b"
                export = json.loads(visitor.send("POST", "/api/album/export", form, content_type=kind)[2])
                path = f"/api/album/download?export={export['export']}"
                with socket.socket() as sock:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                    sock.settimeout(PATIENCE_S)
                    sock.connect((page.host, page.port))
                    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {page.host}:{page.port}\r\n".encode())
                    sock.sendall(f"Cookie: {visitor.cookie}\r\n\r\n".encode())
                    heard = sock.recv(65536)
                    assert heard.startswith(b"HTTP/1.1 200")
                    served.close()
                    with contextlib.suppress(ConnectionError):
                        while piece := sock.recv(65536):
                            heard += piece
                    assert len(heard) < export["size_bytes"]
                assert page.request("GET", path, headers={"Cookie": visitor.cookie})[0] == 503
        assert "a download broke off" in caplog.text


class TestWhoLeaves:
    def test_in_the_middle_of_an_upload(self, page: Page, caplog: pytest.LogCaptureFixture) -> None:
        with nothing_wrong_is_logged(caplog):
            visitor = page.visitor()
            for path, content_type in UPLOADS.values():
                for reset in (False, True):
                    with connected(page, head(visitor, path, 10_000, content_type) + b"--b\r\n") as sock:
                        if reset:
                            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert visitor.op("people")[0] == 200

    def test_before_the_answer(self, page: Page, caplog: pytest.LogCaptureFixture) -> None:
        with nothing_wrong_is_logged(caplog):
            visitor, picture = page.visitor(), portrait(5)
            for _ in range(20):
                connected(page, head(visitor, "/api/identify", len(picture)) + picture).close()
            assert visitor.op("people")[0] == 200

    def test_from_the_camera(self, page: Page, caplog: pytest.LogCaptureFixture) -> None:
        with nothing_wrong_is_logged(caplog):
            for number in range(5):
                with connect(f"ws://{page.host}:{page.port}/api/live", origin=Origin(page.url)) as live:
                    for _ in range(3):
                        live.send(number.to_bytes(4, "big") + portrait(6))
                    live.socket.shutdown(socket.SHUT_RDWR)
            with connect(f"ws://{page.host}:{page.port}/api/live", origin=Origin(page.url)) as live:
                live.send("words")
                with pytest.raises(ConnectionClosed):
                    live.recv(timeout=PATIENCE_S)
            assert page.visitor().op("people")[0] == 200


def answer_of_one(sock: socket.socket) -> tuple[int, bytes]:
    """Status and body of one answer with a length, on a connection that stays."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        piece = sock.recv(65536)
        assert piece, heard
        heard += piece
    said, _, body = heard.partition(b"\r\n\r\n")
    length = int(said.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)
    return int(said.split()[1]), body


def test_logins_on_a_server_without_a_token_disturb_nobody(tmp_path: Path) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as page:
        visitor = page.visitor()
        ended = threading.Event()
        answers: list[int] = []

        def look() -> None:
            while not ended.is_set():
                answers.append(visitor.op("people")[0])

        looking = threading.Thread(target=look)
        looking.start()
        for number in range(8):
            other = page.visitor()
            body = f"csrf={other.csrf}&token=guess{number}".encode()
            sent = other.send("POST", "/login", body, content_type="application/x-www-form-urlencoded")
            assert (sent[0], sent[1]["location"]) == (303, "/")
        ended.set()
        looking.join()
        assert set(answers) == {200}
