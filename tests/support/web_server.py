"""A real facewire server for the web page: gallery and albums on disk, and colours in place of networks."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from facewire.client.web.main import application, listen, web_config
from facewire.client.web.settings import WebSettings
from facewire.protocol.address import Address
from facewire.server.access.gate import Gate
from facewire.server.albums.service import AlbumService
from facewire.server.albums.settings import AlbumLimits, AlbumSettings
from facewire.server.app import open_videos
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.listener import Listener
from tests.support.albums import PlainJudge
from tests.support.fake_service import PATIENCE_S
from tests.support.living_server import living_service


@contextlib.contextmanager
def facewire_server(
    room: Path,
    *,
    port: int = 0,
    token: str | None = None,
    gate: Gate | None = None,
    import_root: Path | None = None,
    albums: AlbumLimits | None = None,
    clip: Path | None = None,
    **limits: Any,
) -> Iterator[tuple[str, int]]:
    """Yields the address of a server with all its data in `room`, which may have been used before."""
    with living_service(room / "gallery.db") as (service, _), contextlib.ExitStack() as open_things:
        settings = AlbumSettings(room / "albums", import_root, albums or AlbumLimits(), clip=clip)
        kept = AlbumService(settings, service.analyser, PlainJudge(service.judge), service.curator.enrol)
        dispatcher = Dispatcher(service, token=token, gate=gate, albums=kept, videos=open_videos(service, open_things))
        listener = Listener(dispatcher, "127.0.0.1", port, limits=TcpLimits(**limits))
        listener.start()
        try:
            yield listener.address
        finally:
            stopped = listener.stop()
            kept.close()
            assert stopped, "the server could not end its threads"


@dataclass(frozen=True, slots=True)
class Page:
    """A running gateway over real HTTP; with `tls` (the certificate to trust), over HTTPS.

    `gone` is set before it stops listening: from then on browsers are refused.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    gone: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Sends a request, adding only Host. Returns status, headers (names in lower case) and body."""
        if self.tls is None:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE_S)
        else:
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=PATIENCE_S, context=self.tls)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def visitor(self) -> Visitor:
        """A browser that has opened the page."""
        _, headers, body = self.request("GET", "/login")
        token = body.decode().split('name="csrf-token" content="', 1)[1].split('"', 1)[0]
        return Visitor(self, headers["set-cookie"].split(";", 1)[0], token)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Sends requests like a browser's scripts."""

    page: Page
    cookie: str
    csrf: str

    def send(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        own = {"Cookie": self.cookie, "X-CSRF-Token": self.csrf, "Origin": self.page.url}
        return self.page.request(method, path, body, own | {name.replace("_", "-"): v for name, v in headers.items()})

    def op(self, op_: str, /, **keys: object) -> tuple[int, dict[str, Any]]:
        """Runs an operation. Returns the status, and the result or the error."""
        status, _, body = self.send(
            "POST", f"/api/op/{op_}", json.dumps(keys).encode(), content_type="application/json"
        )
        said = json.loads(body)
        return status, said["error"] if status >= 400 else said


@contextlib.contextmanager
def web_page(server: tuple[str, int], *, port: int = 0, **settings: Any) -> Iterator[Page]:
    """A gateway for that server, on a free port by default."""
    chosen = WebSettings(server=Address(*server), port=port, **settings)
    with listen(chosen) as listening:
        server_ = uvicorn.Server(web_config(chosen, application(chosen)))
        thread = threading.Thread(target=server_.run, kwargs={"sockets": [listening]}, name="facewire-web-test")
        thread.start()
        while not server_.started and thread.is_alive():
            time.sleep(0.01)
        host, port = listening.getsockname()[:2]
        trusted = None if chosen.tls_cert is None else ssl.create_default_context(cafile=chosen.tls_cert)
        page = Page(host, port, trusted)
        try:
            yield page
        finally:
            page.gone.set()
            server_.should_exit = True
            thread.join(PATIENCE_S)
