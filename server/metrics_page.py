"""Serves the metrics over HTTP, in threads of their own that end with it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from facewire.server.errors import StartError

_AT_ONCE = 4  # readers; Prometheus is one
_PATIENCE_S = 5.0  # without the reader sending or taking a byte
LONGEST_S = 15.0  # for one reader altogether: a byte now and then must not hold a place; Prometheus gives up after 10 s


@contextmanager
def serving_metrics(
    application: Callable[..., Any], host: str, port: int, *, longest_s: float = LONGEST_S
) -> Iterator[tuple[str, int]]:
    """Serves a WSGI application while the block runs; `port` 0 takes a free one, `longest_s` is a reader's time. Yields
    the address. Raises StartError."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        server = _Server(family, address, longest_s)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StartError(
            f"can't serve metrics on {host}:{port}: {reason}; see --metrics-host, --metrics-port"
        ) from error
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="facewire-metrics", daemon=True)
    thread.start()
    try:
        yield server.server_name, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Reader(WSGIRequestHandler):
    timeout = _PATIENCE_S

    def log_message(self, *args: object) -> None:
        """A line for every scrape would say nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    """Readers are daemons that time out: a slow one delays neither the others nor the end."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, family: socket.AddressFamily, address: Any, longest_s: float) -> None:
        self.address_family = family
        self._longest_s = longest_s
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._lock = threading.Lock()  # guards the next, and keeps its sockets open
        self._until: dict[socket.socket, float] = {}  # until when each reader is served (time.monotonic)
        super().__init__(address, _Reader)

    def server_bind(self) -> None:
        """As WSGIServer's, without asking a name server what this machine is called."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        name, self.server_port, *_ = self.server_address
        self.server_name = str(name)
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, or not at all if there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._lock:
            self._until[request] = time.monotonic() + self._longest_s
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system can't start a thread
            self._free.release()
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves one reader."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def shutdown_request(self, request: Any) -> None:
        """Closes a reader's connection."""
        with self._lock:
            self._until.pop(request, None)
            super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called ten times a second: ends readers that take too long."""
        now = time.monotonic()
        with self._lock:
            for request, until in self._until.items():
                if now > until:
                    with contextlib.suppress(OSError):  # the reader has ended it
                        request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that went away, or took too long: nobody is told."""
