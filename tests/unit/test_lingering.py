"""Lingering close: the last answer is read, nobody lingers for ever, and not too many do."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from facewire.protocol.stream import MessageStream
from facewire.server.tcp import lingering
from facewire.server.tcp.lingering import LingeringClose

PATIENCE_S = 20.0
MOST = 8


@pytest.fixture
def ends() -> Iterator[tuple[MessageStream, socket.socket]]:
    """Our end of a connection, and the peer's."""
    ours, peer = socket.socketpair()
    peer.settimeout(PATIENCE_S)
    with peer, MessageStream(ours) as stream:
        yield stream, peer


def read_all(peer: socket.socket) -> bytes:
    data = b""
    while more := peer.recv(65536):
        data += more
    return data


def test_a_peer_that_is_still_sending_reads_the_last_answer(
    ends: tuple[MessageStream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "_LINGER_S", PATIENCE_S)
    stream, peer = ends
    peer.sendall(b"x" * 10_000)
    stream.send(b"the last word")
    closing = threading.Thread(target=LingeringClose(MOST).close, args=(stream,))
    closing.start()
    peer.sendall(b"x" * 1_000_000)  # more than any buffer holds: it is read, and dropped
    assert read_all(peer).endswith(b"the last word")
    peer.close()
    closing.join(PATIENCE_S)
    assert stream.fileno() == -1


def test_who_does_not_close_is_closed(
    ends: tuple[MessageStream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "_LINGER_S", 0.05)
    stream, _ = ends
    LingeringClose(MOST).close(stream)
    assert stream.fileno() == -1


def test_stop_ends_those_that_linger(
    ends: tuple[MessageStream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "_LINGER_S", 1000.0)
    stream, peer = ends
    closing = LingeringClose(MOST)
    closing.close_soon(stream)
    assert stream.fileno() != -1  # it returns at once
    assert closing.stop(time.monotonic() + PATIENCE_S)
    assert stream.fileno() == -1
    assert read_all(peer) == b""


def test_over_so_many_one_is_closed_straight_away(
    ends: tuple[MessageStream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "_LINGER_S", 1000.0)
    stream, _ = ends
    LingeringClose(0).close(stream)
    assert stream.fileno() == -1
