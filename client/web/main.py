"""`python web_app.py ...`: builds, runs and stops the page."""

from __future__ import annotations

import asyncio
import errno
import functools
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp

from facewire.client.web import vendor
from facewire.client.web.api.problems import PREFIX
from facewire.client.web.app import create_app
from facewire.client.web.connections import HttpConnection
from facewire.client.web.deepface import app as deepface_app
from facewire.client.web.live import MAX_FRAME
from facewire.client.web.places import Limits, Places
from facewire.client.web.settings import WebSettings, parse
from facewire.protocol.command_names import as_called
from facewire.protocol.memory import give_back

NO_LIBRARIES = "the page lacks lit-html, which is copied from npm: run python client/web/vendor.py, or make setup"
_STOP_GRACE_S = 3  # for requests under way; browsers resume interrupted downloads


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until Ctrl-C or SIGTERM; returns the exit code."""
    settings = parse(sys.argv[1:] if argv is None else argv)
    give_back()
    if not (settings.deepface_api or settings.api_only or vendor.is_here()):
        print(as_called(f"web_app.py: {NO_LIBRARIES}"), file=sys.stderr)
        return 2
    try:
        check_certificate(settings)
        listening = listen(settings)
    except BadCertificate as error:
        print(as_called(f"web_app.py: {error}"), file=sys.stderr)
        return 2
    except (OSError, UnicodeError) as error:
        print(as_called(f"web_app.py: {why_not(settings, error)}"), file=sys.stderr)
        return 3
    # It would log every malformed form; the sender gets an error, and nobody else can act on it
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    with listening:
        scheme = "http" if settings.tls_cert is None else "https"
        host, port = listening.getsockname()[:2]
        what, path = _served(settings)
        print(f"{what} is at {scheme}://{_shown(host)}:{port}{path}", flush=True)
        print(f"it asks the server at {settings.server}; Ctrl-C stops it", flush=True)
        # uvicorn handles these signals itself, then raises them again for the previous handlers
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        uvicorn.Server(web_config(settings, application(settings))).run(sockets=[listening])
    return 0


def application(settings: WebSettings) -> ASGIApp:
    """The page, or DeepFace's API."""
    return deepface_app.create_app(settings) if settings.deepface_api else create_app(settings)


def _served(settings: WebSettings) -> tuple[str, str]:
    """What is served, and where a person looks first."""
    if settings.deepface_api:
        return "DeepFace's API", "/"
    return ("the API", f"{PREFIX}/docs") if settings.api_only else ("the page", "/")


def web_config(settings: WebSettings, app: ASGIApp) -> uvicorn.Config:
    """uvicorn's configuration."""
    return _Config(
        app,
        limits=settings.limits,
        log_level="warning",
        access_log=False,  # URLs contain people's names
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        timeout_graceful_shutdown=_STOP_GRACE_S,
        ws_max_size=MAX_FRAME + 16,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


class _Config(uvicorn.Config):
    def __init__(self, app: ASGIApp, *, limits: Limits, **more: Any) -> None:
        super().__init__(app, http=cast(Any, functools.partial(HttpConnection, Places(limits))), **more)
        self._handshake_s = limits.waiting_s

    def get_loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop]:
        return functools.partial(_Loop, self._handshake_s)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop with a timeout for TLS handshakes, which happen before a connection can hold a place."""

    def __init__(self, handshake_s: float) -> None:
        super().__init__()
        self._handshake_s = handshake_s

    async def create_server(self, *args: Any, ssl: Any = None, **more: Any) -> Any:
        if ssl is not None:
            more["ssl_handshake_timeout"] = self._handshake_s
        return await super().create_server(*args, ssl=ssl, **more)


def listen(settings: WebSettings) -> socket.socket:
    """A listening socket for the settings. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=128)


def why_not(settings: WebSettings, error: Exception) -> str:
    """Explains why `listen` failed."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"port {settings.port} on {settings.host} is in use; stop what uses it, or choose another with --port"
    reason = getattr(error, "strerror", None) or error
    return f"can't listen on {settings.host}:{settings.port}: {reason}"


class BadCertificate(Exception):
    """The two files of --tls-cert and --tls-key can't be used."""


def check_certificate(settings: WebSettings) -> None:
    """Loads certificate and key like uvicorn. Raises BadCertificate."""
    if settings.tls_cert is None:
        return
    try:
        # Without `password`, OpenSSL would ask for a passphrase on the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, password="")
    except OSError as error:  # ssl.SSLError is one
        reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or "no certificate, or no key"
        raise BadCertificate(
            f"{settings.tls_cert} and {settings.tls_key} can't be used: {reason.lower().replace('_', ' ')}"
            " (needed: PEM files, the key of this certificate, without a passphrase)"
        ) from error


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if ":" in host else host
