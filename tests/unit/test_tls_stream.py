"""Frames over TLS between two streams in one process: small buffers, both directions, deadlines, and the end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from facewire.protocol.stream import MessageStream, SendTimeout, StreamTimeout
from facewire.protocol.tls import NotTls, TlsChannel, TlsFailed, client_context, server_context
from tests.support.authorities import Authority, Files

PATIENCE_S = 20.0
SMALL_BUFFER = 4096


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Authority(tmp_path_factory.mktemp("tls")).sign("localhost")


def small_pair() -> tuple[socket.socket, socket.socket]:
    pair = socket.socketpair()
    for sock in pair:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    return pair


@pytest.fixture
def secured(files: Files) -> Iterator[tuple[MessageStream, MessageStream]]:
    """A server's stream and a client's, which have shaken hands."""
    near, far = small_pair()
    with MessageStream(near, send_timeout=0.2) as server, MessageStream(far, send_timeout=PATIENCE_S) as client:
        context = server_context(files.cert, files.key, None)
        other = threading.Thread(target=server.secure, args=(partial(TlsChannel, context=context), PATIENCE_S))
        other.start()
        trusting = client_context(files.ca, None, None)
        client.secure(partial(TlsChannel, context=trusting, server_name="localhost"), PATIENCE_S)
        other.join()
        yield server, client


def test_large_frames_in_both_directions_at_once(secured: tuple[MessageStream, MessageStream]) -> None:
    server, client = secured
    up, down = [bytes((7,)) * size for size in (1, 16_384, 16_385, 700_001)], [b"\x08" * 500_000, b"\x09" * 3]
    heard: dict[str, list[bytes | None]] = {"server": [], "client": []}

    def receive(who: str, stream: MessageStream, count: int) -> None:
        heard[who] += [stream.receive(PATIENCE_S, PATIENCE_S) for _ in range(count)]

    def send(stream: MessageStream, payloads: list[bytes]) -> None:
        for payload in payloads:
            stream.send(payload)

    threads = [
        threading.Thread(target=receive, args=("server", server, len(up))),
        threading.Thread(target=receive, args=("client", client, len(down))),
        threading.Thread(target=send, args=(client, up)),
        threading.Thread(target=send, args=(server, down)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {"server": up, "client": down}


def test_a_peer_that_takes_nothing_times_out(secured: tuple[MessageStream, MessageStream]) -> None:
    server, _ = secured
    with pytest.raises(SendTimeout):
        server.send(bytes(2**20))


def test_what_was_decrypted_with_the_frame_before_has_arrived(secured: tuple[MessageStream, MessageStream]) -> None:
    server, client = secured
    assert not server.has_arrived()
    client.send(b"one")
    client.send(b"two")
    assert server.receive(PATIENCE_S, PATIENCE_S) == b"one"
    # The stream's own decoder may hold the second one already: either way it comes without a wait.
    assert server.receive(0, PATIENCE_S) == b"two"
    assert not server.has_arrived()


def test_each_direction_ends_by_itself(secured: tuple[MessageStream, MessageStream]) -> None:
    server, client = secured
    client.send(b"the last question")
    client.end_sending()
    assert server.receive(PATIENCE_S, PATIENCE_S) == b"the last question"
    assert server.receive(PATIENCE_S, PATIENCE_S) is None
    server.send(b"the last answer")
    server.end_sending()
    assert client.receive(PATIENCE_S, PATIENCE_S) == b"the last answer"
    assert client.receive(PATIENCE_S, PATIENCE_S) is None


def test_bytes_that_were_changed_on_the_way_break_the_stream(files: Files) -> None:
    near, far = small_pair()
    with MessageStream(near) as server, far:
        channel = TlsChannel(near, server_context(files.cert, files.key, None))
        far.sendall(b"\x16\x03\x01\x00\x05hello")
        with pytest.raises(TlsFailed):
            server.secure(lambda _: channel, PATIENCE_S)


@pytest.mark.parametrize("begins", [b"\x00\x00\x00\x05", b"GET ", b"SSH-"])
def test_what_is_no_tls_is_recognised_by_its_first_byte(files: Files, begins: bytes) -> None:
    near, far = small_pair()
    with MessageStream(near) as server, far:
        far.sendall(begins)
        with pytest.raises(NotTls) as caught:
            server.secure(partial(TlsChannel, context=server_context(files.cert, files.key, None)), PATIENCE_S)
        assert caught.value.begins == begins
        server.send(b"still plain")
        assert far.recv(100) == b"\x00\x00\x00\x0bstill plain"


def test_a_handshake_that_is_not_made_times_out(files: Files) -> None:
    near, far = small_pair()
    context = server_context(files.cert, files.key, None)
    with MessageStream(near) as server, far, pytest.raises(StreamTimeout, match="no TLS handshake"):
        server.secure(partial(TlsChannel, context=context), 0.05)


def test_an_end_in_the_handshake_is_no_success(files: Files, tmp_path: Path) -> None:
    near, far = small_pair()
    far.close()
    with MessageStream(near) as server, pytest.raises(TlsFailed, match="ended before TLS began"):
        server.secure(partial(TlsChannel, context=server_context(files.cert, files.key, None)), PATIENCE_S)
