"""Real servers on free ports of 127.0.0.1, and raw clients."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from facewire.protocol.framing import FrameDecoder, encode_frame
from facewire.server.access.audit import AuditLog
from facewire.server.access.gate import Gate
from facewire.server.tcp.certificates import Certificates
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.listener import Listener
from tests.support.fake_service import PATIENCE_S, FakeService
from tests.support.msgpacked import pack, unpacked


@dataclass(frozen=True, slots=True)
class Served:
    """A running server and its service."""

    service: FakeService
    listener: Listener
    dispatcher: Dispatcher

    @property
    def address(self) -> tuple[str, int]:
        return self.listener.address


@contextlib.contextmanager
def serving(
    *,
    token: str | None = None,
    gate: Gate | None = None,
    certificates: Certificates | None = None,
    audit: AuditLog | None = None,
    **limits: Any,
) -> Iterator[Served]:
    """A server with these limits. At the end it is stopped, and all its threads must have ended."""
    before = our_threads()
    service = FakeService()
    dispatcher = Dispatcher(service, token=token, gate=gate, audit=audit)
    listener = Listener(dispatcher, "127.0.0.1", 0, limits=TcpLimits(**limits), certificates=certificates)
    listener.start()
    try:
        yield Served(service, listener, dispatcher)
    finally:
        service.release.set()
        assert listener.stop(), "the server could not end its threads"
    assert our_threads() - before == set()


def our_threads() -> set[threading.Thread]:
    """The live threads of facewire."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("facewire")}


@contextlib.contextmanager
def misbehaving(script: Callable[[socket.socket], None]) -> Iterator[tuple[str, int]]:
    """A server that runs `script` on one connection after the other, then closes it; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    sock, _ = listening.accept()
                except OSError:
                    return  # the test has ended
                with sock, contextlib.suppress(ConnectionError):
                    sock.settimeout(PATIENCE_S)
                    script(sock)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


class RawClient:
    """A client written from the README alone: a socket, struct and msgpack."""

    def __init__(self, address: tuple[str, int], *, source: tuple[str, int] | None = None) -> None:
        """`source`: local address and port (0: any) to connect from."""
        self.sock = socket.create_connection(address, timeout=PATIENCE_S, source_address=source)
        self._decoder = FrameDecoder()

    def send(self, **fields: object) -> None:
        self.send_bytes(encode_frame(pack(fields)))

    def send_bytes(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> dict[str, Any]:
        """The next answer. Raises EOFError if the server has closed."""
        while (payload := self._decoder.next_frame()) is None:
            data = self.sock.recv(65536)
            if not data:
                self._decoder.finish()
                raise EOFError
            self._decoder.feed(data)
        return unpacked(payload)

    def ask(self, **fields: object) -> dict[str, Any]:
        self.send(**fields)
        return self.receive()

    def at_end(self) -> bool:
        """Has the server closed the connection, with nothing left to read?"""
        try:
            self.receive()
        except EOFError:
            return True
        return False

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.sock.close()
