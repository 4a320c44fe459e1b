"""Whatever a browser, a script or a stranger sends, the answer is one of 4xx in words: never 5xx, never a traceback.

The routes are read off the application itself, so a new one is tried without a word here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import random
import re
import socket
import threading
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from facewire.client.web.answers import STATUS
from facewire.client.web.app import create_app
from facewire.client.web.operations import _CHANGING, _LOOKING
from facewire.client.web.readable import Readable
from facewire.client.web.settings import WebSettings
from facewire.protocol.codec import encode_answer
from facewire.protocol.errors import ErrorCode
from facewire.protocol.framing import encode_frame
from facewire.protocol.messages import Pong, Success
from tests.support.fake_service import PATIENCE_S
from tests.support.web_server import Page, Visitor, facewire_server, web_page

LONE = r"\ud800"
DEEP = b"[" * 5000 + b"]" * 5000
QUERY_VALUES = (
    "", "%00", "%ED%A0%80", "%FF", "%", "%zz", "-1", "1e9", "NaN", "inf", "%C2%B2", "9" * 4999, "x" * 20_000, "../x",
    "a%0D%0AX-Evil%3A%201", "%F0%9F%98%80",
)  # fmt: skip
QUERY_KEYS = ("name", "album", "photo", "face", "size", "template", "offset", "export", "k", "x", "y", "accept", "last")
HEADERS = (
    ("Origin", "http://["), ("Origin", "http://[::1"), ("Origin", "http://a:b:c"), ("Origin", "\xff"), ("Origin", ""),
    ("Origin", "//["), ("Host", "["), ("Host", "[::1"), ("Host", "127.0.0.1:\xb2"), ("Host", ""), ("Host", "a b"),
    ("Content-Length", "-1"), ("Content-Length", "x"), ("Content-Length", "9" * 5000), ("Content-Length", "\xb2"),
    ("Content-Length", "1, 2"), ("Transfer-Encoding", "x"), ("Transfer-Encoding", "chunked, chunked"),
    ("Content-Type", ""), ("Content-Type", "\xff/\xb2;boundary"), ("Content-Type", "multipart/form-data; boundary="),
    ("Cookie", "=;=;\xff"), ("Cookie", "facewire=" + "\xff" * 40), ("Cookie", '"\\400"'),
    ("X-CSRF-Token", "\xff"), ("Range", "bytes=a-"), ("Range", "bytes=" + "9" * 5000 + "-"), ("Range", "bytes=9-1"),
    ("Range", "bytes=" + ",".join(["0-1"] * 500)), ("If-Modified-Since", "\xff"), ("If-None-Match", '"'),
    ("If-Modified-Since", "Mon, 99 Foo 99999 99:99:99 GMT"), ("If-Range", "\xff"), ("Expect", "x"),
    ("Upgrade", "websocket"), ("Connection", "Upgrade, close"), ("X" * 200, "y" * 60_000),
)  # fmt: skip
FORM = "multipart/form-data; boundary=b"


def part(disposition: bytes, content: bytes) -> bytes:
    """A form of one part."""
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n--b--\r\n"


def search(content: bytes) -> bytes:
    return part(b'form-data; name="search"', content)


BODIES: tuple[tuple[str, bytes], ...] = (
    ("application/json", b""), ("application/json", b"{"), ("application/json", b"\x00"), ("application/json", DEEP),
    ("application/json", b"\xff\xfe\x00\xd8"), ("application/json", b'{"name": "' + LONE.encode() + b'"}'),
    ("application/json", b'{"' + LONE.encode() + b'": 1}'), ("application/json", b'{"album": "\\u0000"}'),
    ("application/json", b'{"album": "x", "offset": 1e999}'), ("application/json", b'{"album": "x", "offset": NaN}'),
    ("application/json", b'{"album": "x", "offset": ' + b"9" * 40 + b"}"), ("application/json", b'{"a": ' * 900),
    ("application/json", b'{"album": ' + b"9" * 5000 + b"}"), ("application/json", b"[" * 200 + b"]" * 200),
    ("application/json", b'{"album": "x", "wanted": [[]], "folder": 1, "name": null, "to": {}, "templates": [1.5]}'),
    (FORM, b""), (FORM, b"--b"), (FORM, b"--b\r\n\r\n\r\n--b--\r\n"), (FORM, part(b"x", b"")),
    (f"{FORM}; charset=undefined", search(b"{}")), (f"{FORM}; charset=\x01", search(b"{}")),
    (f"{FORM}; charset=idna", part(b'form-data; name="\xff"', b"\xff")),
    (f"{FORM}; charset=unicode_escape", search(b'{"album": "' + LONE.encode() + b'"}')),
    (FORM, search(b'{"album": "' + LONE.encode() + b'"}')), (FORM, search(DEEP)),
    (FORM, part(b'form-data; name="search"; filename="x"', b"{}")),
    (FORM, part(b'form-data; name="export"', b'{"album": "x", "people": {"picture": 99}}')),
    (FORM, b'--b\r\nContent-Disposition: form-data; name="q"\r\n\r\n\r\n' * 2000),
    ("multipart/form-data", b"x"), ("application/x-www-form-urlencoded", b"csrf=%ff&token=%00&&&=&%ED%A0%80"),
    ("application/x-www-form-urlencoded", b"\xff\x00" * 100), ("image/jpeg", b"\xff\xd8\xff"), ("image/jpeg", b""),
)  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with facewire_server(tmp_path_factory.mktemp("served")) as address, web_page(address) as page:
        yield page


@pytest.fixture(scope="module")
def tracebacks() -> Iterator[list[logging.LogRecord]]:
    """What uvicorn and asyncio say of errors."""
    records: list[logging.LogRecord] = []

    class Keeps(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info or record.levelno >= logging.ERROR:
                records.append(record)

    handler = Keeps()
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).addHandler(handler)
    yield records
    for name in ("uvicorn", "asyncio"):
        logging.getLogger(name).removeHandler(handler)


def routes(prefix: str, app: Starlette) -> Iterator[tuple[str, BaseRoute]]:
    """Every route of an application and of those in it, each with what stands before its path."""
    for route in app.routes:
        inner = route.app if isinstance(route, Mount) else None
        inner = inner.app if isinstance(inner, Readable) else inner
        if isinstance(route, Mount) and isinstance(inner, Starlette):
            yield from routes(prefix + route.path, inner)
        else:
            yield prefix, route


def addresses() -> list[tuple[str, str]]:
    """Method and path of every route, operations one by one."""
    found: list[tuple[str, str]] = []
    for prefix, route in routes("", create_app(WebSettings())):
        if isinstance(route, Route):
            paths = [prefix + route.path]
            if "{op}" in route.path:
                paths = [
                    prefix + route.path.replace("{op}", op) for op in (*_LOOKING, *_CHANGING, "%00", "%ff", "x" * 5000)
                ]
            found += [(method, path) for path in paths for method in sorted(route.methods or ())]
        elif isinstance(route, Mount):
            found += [
                ("GET", f"{prefix}{route.path}{rest}")
                for rest in ("/app.css", "/%00", "/%ff", "/" + "x" * 5000, "/..%2f")
            ]
        else:
            assert isinstance(route, WebSocketRoute)
            found += [("GET", route.path), ("POST", route.path)]
    assert len(found) > 90
    return found


def spoken(page: Page, raw: bytes) -> bytes:
    """What comes back for these bytes; the page closes, as the request asks it to."""
    heard = b""
    with socket.create_connection((page.host, page.port), timeout=PATIENCE_S) as sock:
        sock.sendall(raw)
        with contextlib.suppress(ConnectionError):
            while piece := sock.recv(65536):
                heard += piece
    return heard


def request(visitor: Visitor, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """Bytes of a request of that visitor, in which `headers` replace those of the same name."""
    page = visitor.page
    own = {"Host": f"{page.host}:{page.port}", "Cookie": visitor.cookie, "X-CSRF-Token": visitor.csrf,
           "Origin": page.url, "Connection": "close"}  # fmt: skip
    if body:
        own["Content-Length"] = str(len(body))
    said = [*own.items() - {(name, own.get(name, "")) for name, _ in headers}, *headers]
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in said)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def check(page: Page, raw: bytes, tracebacks: list[logging.LogRecord]) -> None:
    answer = spoken(page, raw)
    status = re.match(rb"HTTP/1\.1 (\d{3})", answer)
    assert status, (raw[:300], answer[:100])
    code = int(status[1])
    assert code < 500, (raw[:300], answer[-300:])
    assert not tracebacks, (raw[:300], tracebacks[0].getMessage(), tracebacks[0].exc_info)
    head, _, body = answer.partition(b"\r\n\r\n")
    if code >= 400 and b"application/json" in head.lower() and not raw.startswith(b"HEAD"):
        error = json.loads(body)["error"]
        assert error["code"]
        assert error["message"]


@pytest.mark.parametrize("value", QUERY_VALUES, ids=range(len(QUERY_VALUES)))
def test_queries(page: Page, tracebacks: list[logging.LogRecord], value: str) -> None:
    visitor = page.visitor()
    for method, path in addresses():
        query = "&".join(f"{key}={value}" for key in QUERY_KEYS)
        check(page, request(visitor, method, f"{path}?{query}", [], b"x" if method == "POST" else b""), tracebacks)


@pytest.mark.parametrize("header", HEADERS, ids=lambda one: f"{one[0][:20]}: {one[1][:20]!a}")
def test_headers(page: Page, tracebacks: list[logging.LogRecord], header: tuple[str, str]) -> None:
    visitor = page.visitor()
    for method, path in [*random.Random(0).sample(addresses(), 12), ("GET", "/api/live"), ("GET", "/static/app.css")]:
        check(page, request(visitor, method, path, [header], b"{}" if method == "POST" else b""), tracebacks)


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_bodies(page: Page, tracebacks: list[logging.LogRecord], number: int) -> None:
    visitor = page.visitor()
    kind, body = BODIES[number]
    for method, path in addresses():
        if method == "POST":
            target = f"{path}?album=x&name=x" if path.startswith("/api") else path
            check(page, request(visitor, method, target, [("Content-Type", kind)], body), tracebacks)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /api/identify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 30_000, b"GET /" + b"a" * 100_000,
    ],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_http(page: Page, tracebacks: list[logging.LogRecord], raw: bytes) -> None:
    assert re.match(rb"HTTP/1\.1 4\d\d", spoken(page, raw))
    assert not tracebacks


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"5\r\nab", b"-1\r\n", b"f" * 40 + b"\r\n"])
def test_a_body_whose_chunks_are_broken(page: Page, tracebacks: list[logging.LogRecord], chunk: bytes) -> None:
    visitor = page.visitor()
    for path in ("/api/identify", "/api/nothing", "/api/op/people", "/login"):
        kinds = [("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")]
        spoken(
            page,
            request(visitor, "POST", path, kinds, b"").replace(b"Connection: close\r\n", b"") + chunk + b"\r\nxx\r\n",
        )
    assert visitor.op("people")[0] == 200
    assert not tracebacks


def test_handshakes_of_a_websocket(page: Page, tracebacks: list[logging.LogRecord]) -> None:
    ask = [("Connection", "Upgrade, close"), ("Upgrade", "websocket")]
    key = ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
    for more in ([], [key], [("Sec-WebSocket-Key", "\xff")], [key, ("Sec-WebSocket-Version", "x")],
                 [key, ("Sec-WebSocket-Version", "13"), ("X", "y" * 20_000)],
                 [key, ("Sec-WebSocket-Version", "13"), *[("X", "y")] * 300],
                 [key, ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Extensions", "\xff;;;=")]):  # fmt: skip
        for path in ("/api/live", "/identify", "/static/app.css", "/nothing"):
            for method in ("GET", "POST"):
                answer = spoken(page, request(page.visitor(), method, path, [*ask, *more], b""))
                assert re.match(rb"HTTP/1\.1 [2-4]\d\d", answer), (path, more, answer)
    assert not tracebacks


def test_every_code_of_the_wire_has_a_status() -> None:
    assert set(STATUS) == set(ErrorCode)
    assert 502 not in STATUS.values()  # that is for a server that broke the protocol


def test_only_a_server_that_breaks_the_protocol_is_a_bad_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as babbling:

        def babble() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one, _ = babbling.accept()
                    with one:
                        while one.recv(1000):
                            one.sendall(encode_frame(encode_answer(Success(1, Pong(1)))))

        thread = threading.Thread(target=babble)
        thread.start()
        try:
            with web_page(babbling.getsockname()[:2]) as page:
                status, error = page.visitor().op("people")
                assert (status, error["code"]) == (502, "bad_answer")
        finally:
            babbling.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE_S)


def test_nobody_is_enrolled_by_a_name_that_is_no_text(page: Page, tracebacks: list[logging.LogRecord]) -> None:
    raw = request(page.visitor(), "POST", "/api/enrol?name=%ED%A0%80", [], b"x")
    check(page, raw, tracebacks)
    assert b"the URL contains text that is not UTF-8" in spoken(page, raw)
