"""The page over TLS: a browser's whole way with a certificate made here, and what is said about a wrong one."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from facewire.client.web.main import main
from facewire.client.web.places import Limits
from tests.integration.test_web import log_in
from tests.support.fake_service import PATIENCE_S
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page, Visitor, facewire_server, web_page


@dataclass(frozen=True, slots=True)
class Certificate:
    cert: Path
    key: Path

    @property
    def flags(self) -> list[str]:
        return ["--tls-cert", str(self.cert), "--tls-key", str(self.key)]


def certificate(folder: Path, name: str) -> Certificate:
    """One that says it is this machine, signed by itself."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here, which makes the certificate")
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", made.key, "-out", made.cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def own(room: Path) -> Certificate:
    return certificate(room, "own")


@pytest.fixture(scope="module")
def secured(room: Path, own: Certificate) -> Iterator[Page]:
    with (
        facewire_server(room, token="open sesame") as address,
        web_page(address, tls_cert=own.cert, tls_key=own.key) as page,
    ):
        yield page


@pytest.fixture
def inside(secured: Page) -> Visitor:
    """Somebody who has logged in."""
    _, headers, _ = log_in(secured.visitor(), "open sesame")
    cookie = headers["set-cookie"].split(";", 1)[0]
    html = secured.request("GET", "/identify", headers={"Cookie": cookie})[2].decode()
    return Visitor(secured, cookie, html.split('name="csrf-token" content="', 1)[1].split('"', 1)[0])


def test_a_handshake_that_is_not_made_ends(tmp_path: Path, own: Certificate) -> None:
    limits = Limits(waiting_s=0.5)
    with (
        facewire_server(tmp_path) as address,
        web_page(address, tls_cert=own.cert, tls_key=own.key, limits=limits) as page,
        socket.create_connection((page.host, page.port), timeout=PATIENCE_S) as silent,
    ):
        assert silent.recv(1) == b""


def test_an_upload_that_is_refused_early_is_answered(secured: Page, inside: Visitor) -> None:
    stale = Visitor(secured, inside.cookie, "0" * 64)
    assert stale.send("POST", "/api/identify", bytes(20 * 1024 * 1024), connection="close")[0] == 403


def test_every_cookie_is_for_tls_alone(secured: Page) -> None:
    assert secured.url.startswith("https://")
    first = secured.request("GET", "/login")[1]["set-cookie"]
    logged_in = log_in(secured.visitor(), "open sesame")[1]["set-cookie"]
    for cookie in (first, logged_in):
        assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))


def test_pictures_and_the_camera_go_over_it(secured: Page, inside: Visitor) -> None:
    assert inside.send("POST", "/api/enrol?name=Ada", portrait(7))[0] == 200
    assert inside.op("people")[1]["total"] == 1
    address = f"wss://{secured.host}:{secured.port}/api/live"
    sent = {"Cookie": inside.cookie}
    with connect(address, ssl=secured.tls, origin=Origin(secured.url), additional_headers=sent) as socket_:
        socket_.send(bytes(4) + portrait(7))
        assert json.loads(socket_.recv(timeout=PATIENCE_S))["answer"]["faces"][0]["name"] == "Ada"


def test_the_same_name_without_tls_is_another_site(secured: Page, inside: Visitor) -> None:
    plain = secured.url.replace("https:", "http:")
    status, _, body = inside.send("POST", "/api/op/people", b"{}", Origin=plain, content_type="application/json")
    assert (status, json.loads(body)["error"]["code"]) == (403, "forbidden")
    with (
        pytest.raises(InvalidStatus),
        connect(f"wss://{secured.host}:{secured.port}/api/live", ssl=secured.tls, origin=Origin(plain)),
    ):
        pass


def test_plain_http_is_cut_off_and_tells_nothing(secured: Page) -> None:
    with socket.create_connection((secured.host, secured.port), timeout=PATIENCE_S) as sock:
        sock.sendall(f"GET /login HTTP/1.1\r\nHost: {secured.host}:{secured.port}\r\n\r\n".encode())
        heard = b""
        try:
            while piece := sock.recv(4096):
                heard += piece
        except ConnectionResetError:
            pass
    assert b"HTTP" not in heard  # at most an alert of TLS
    assert secured.request("GET", "/login")[0] == 200  # nobody else has noticed


class TestWrongFiles:
    def refused(self, flags: list[str], capsys: pytest.CaptureFixture[str]) -> str:
        assert main(["--port", "0", *flags]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        return said

    def test_the_key_of_another_certificate(
        self, room: Path, own: Certificate, capsys: pytest.CaptureFixture[str]
    ) -> None:
        other = certificate(room, "other")
        assert "mismatch" in self.refused(Certificate(own.cert, other.key).flags, capsys)

    def test_a_key_with_a_passphrase_is_not_waited_for(
        self, room: Path, own: Certificate, capsys: pytest.CaptureFixture[str]
    ) -> None:
        locked = room / "locked.key"
        command = ["openssl", "rsa", "-in", str(own.key), "-aes256", "-passout", "pass:secret", "-out", str(locked)]
        subprocess.run(command, check=True, capture_output=True)
        assert "without a passphrase" in self.refused(Certificate(own.cert, locked).flags, capsys)

    def test_no_certificate_at_all(self, tmp_path: Path, own: Certificate, capsys: pytest.CaptureFixture[str]) -> None:
        empty = tmp_path / "empty.pem"
        empty.touch()
        assert str(empty) in self.refused(Certificate(empty, own.key).flags, capsys)
