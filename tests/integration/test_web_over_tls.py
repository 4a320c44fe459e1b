"""The page asks its server over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from facewire.client.web.settings import parse
from facewire.protocol.address import Address, parse_address
from tests.support.authorities import Authority
from tests.support.servers import serving
from tests.support.web_server import web_page


def test_the_page_speaks_tls_to_its_server(tmp_path: Path) -> None:
    files = Authority(tmp_path).sign("localhost", "127.0.0.1")
    with (
        serving(certificates=files.serve()) as served,
        web_page(served.address, server_ca=files.ca) as page,
    ):
        status, body = page.visitor().op("people")
        assert (status, body["total"]) == (200, 4)


def test_a_certificate_that_is_not_trusted_is_said_and_nothing_sent(tmp_path: Path) -> None:
    files = Authority(tmp_path).sign("localhost", "127.0.0.1")
    with (
        serving(certificates=files.serve()) as served,
        web_page(served.address, server_ca=Authority(tmp_path).file) as page,
    ):
        status, body = page.visitor().op("people")
        assert status == 503
        assert "certificate is not accepted" in body["message"]


def test_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--server", "facewires://photos.example:6000"]).server == Address("photos.example", 6000, tls=True)
    assert parse(["--server", "facewires://photos.example:6000"]).tls is not None
    assert parse(["--server", "10.0.0.5:6000"]).tls is None
    for wrong in (
        ["--server", "https://photos.example:1"],
        ["--server-ca", str(tmp_path / "no")],
        ["--server-cert", "x"],
    ):
        with pytest.raises(SystemExit):
            parse(wrong)
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("facewire://a", Address("a", 5050)),
        ("facewires://a:1", Address("a", 1, tls=True)),
        ("FACEWIRES://a:1/", Address("a", 1, tls=True)),
        ("[::1]:7", Address("::1", 7)),
        ("10.0.0.1:65535", Address("10.0.0.1", 65535)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == Address(address.host, address.port)


@pytest.mark.parametrize(
    "text", ["", ":1", "facewire://", "http://a:1", "a:0x1", "a:65536", "a:1/x", "user@a:1", "a:1?b", "facewire://[::1"]
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="must be HOST:PORT"):
        parse_address(text)
