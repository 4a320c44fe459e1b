"""Those who have not said the token: what they can hold, for how long, and that nobody else notices."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from facewire.protocol.framing import encode_frame
from tests.support.servers import RawClient, Served, serving

TOKEN = "open sesame"
SHORT_S = 0.5
MAX_FRAME = 32 * 2**20


def admitted(served: Served) -> RawClient:
    client = RawClient(served.address)
    assert client.ask(id=1, op="hello", token=TOKEN)["ok"]
    return client


def from_address(served: Served, address: str) -> RawClient:
    """A client that comes from another of this machine's addresses."""
    return RawClient(served.address, source=(address, 0))


def test_silent_strangers_keep_nobody_out() -> None:
    with serving(token=TOKEN, max_strangers=8, max_connections=2) as served:
        silent = [RawClient(served.address) for _ in range(40)]
        with admitted(served) as client:
            assert client.ask(id=2, image=b"a")["ok"]
        assert served.dispatcher.metrics.report(served.service.counts()).connections <= 8 + 2
        for stranger in silent:
            stranger.sock.close()


def test_strangers_hold_none_of_the_places_of_those_with_a_token() -> None:
    with serving(token=TOKEN, max_strangers=8, max_connections=2, place_wait_s=0.1) as served:
        silent = [RawClient(served.address) for _ in range(8)]
        with admitted(served) as one, admitted(served) as two:
            for client in (one, two):
                client.send(id=2, image=b"hold")
                assert served.service.begun.acquire(timeout=20)
            with RawClient(served.address) as third:
                answer = third.ask(id=5, op="hello", token=TOKEN)
                assert (answer["id"], answer["error"]["code"]) == (0, "busy")
                assert answer["error"]["retry_after_ms"] > 0
                assert third.at_end()
            served.service.release.set()
            assert one.receive()["ok"]
            assert two.receive()["ok"]
        for stranger in silent:
            stranger.sock.close()


def test_an_address_with_many_strangers_pushes_out_its_own() -> None:
    with serving(token=TOKEN, max_strangers=4) as served, from_address(served, "127.0.0.2") as patient:
        crowd = [RawClient(served.address) for _ in range(20)]
        assert patient.ask(id=1, op="hello", token=TOKEN)["ok"]
        for stranger in crowd:
            stranger.sock.close()


@pytest.mark.parametrize("start", [b"", b"\x00\x00", b"\x00\x00\x10\x00half a hello"])
def test_the_token_must_come_soon(start: bytes) -> None:
    with serving(token=TOKEN, hello_timeout_s=SHORT_S) as served, RawClient(served.address) as slow:
        slow.send_bytes(start)
        answer = slow.receive()
        assert (answer["id"], answer["error"]["code"]) == (0, "timeout")
        assert "token" in answer["error"]["message"]
        assert slow.at_end()


def test_before_the_token_a_frame_is_small_and_after_it_is_not() -> None:
    with serving(token=TOKEN) as served:
        with RawClient(served.address) as stranger:
            stranger.send(id=1, image=bytes(5000))
            answer = stranger.receive()
            assert (answer["id"], answer["error"]["code"]) == (0, "unauthorized")
            assert "requires a token" in answer["error"]["message"]
            assert stranger.at_end()
        with admitted(served) as client:
            assert client.ask(id=2, image=bytes(2_000_000))["ok"]


def test_what_was_wrong_is_said() -> None:
    with serving(token=TOKEN) as served:
        with RawClient(served.address) as client:
            assert "requires a token" in client.ask(id=1, op="ping")["error"]["message"]
        with RawClient(served.address) as client:
            assert client.ask(id=1, op="hello", token="sesame")["error"]["message"] == "the token is wrong"


def test_wrong_tokens_cost_their_address_time_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    with serving(token=TOKEN) as served:
        begun = time.monotonic()
        for _ in range(5):
            with RawClient(served.address) as guesser:
                assert guesser.ask(id=1, op="hello", token="sesame")["error"]["message"] == "the token is wrong"
        assert time.monotonic() - begun >= 1.0  # three cost nothing
        assert "a wrong token from 127.0.0.1 (5 in a row)" in caplog.text
        with RawClient(served.address) as guesser, from_address(served, "127.0.0.2") as other:
            guesser.send(id=1, op="hello", token="sesame")
            assert other.ask(id=1, op="hello", token=TOKEN)["ok"]
            guesser.sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                guesser.receive()


def test_the_right_token_gets_in_beside_a_guesser() -> None:
    with serving(token=TOKEN) as served:
        for _ in range(4):
            with RawClient(served.address) as guesser:
                assert not guesser.ask(id=1, op="hello", token="sesame")["ok"]
        with admitted(served) as client:
            assert client.ask(id=2, image=b"a")["ok"]


def test_unfinished_frames_hold_no_more_than_their_budget_and_give_it_back() -> None:
    """Sixteen announce 32 MiB and send most of it: they get the memory of two, and pictures are served meanwhile."""
    budget = 2 * MAX_FRAME
    with serving(max_buffered=budget, max_connections=32) as served:
        buffers = served.listener.buffers
        head = struct.pack(">I", MAX_FRAME)
        attackers = [RawClient(served.address) for _ in range(16)]
        threads = [threading.Thread(target=_pour, args=(client.sock, head)) for client in attackers]
        for thread in threads:
            thread.start()
        most = 0
        with RawClient(served.address) as honest:
            for number in range(20):
                assert honest.ask(id=number, image=bytes(1_000_000))["ok"]
                most = max(most, buffers.held)
        assert 0 < most <= budget
        for client in attackers:
            client.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        while buffers.held:  # until every one of them has been seen to end
            time.sleep(0.001)
        for client in attackers:
            client.sock.close()


def _pour(sock: socket.socket, head: bytes) -> None:
    try:
        sock.sendall(head)
        for _ in range(31):
            sock.sendall(bytes(2**20))
    except OSError:
        return


def test_a_frame_that_trickles_is_cut_off_long_before_its_whole_time() -> None:
    with serving(slowest_frame=10**9, frame_timeout_s=60) as served, RawClient(served.address) as slow:
        begun = time.monotonic()
        slow.send_bytes(encode_frame(bytes(300_000))[:1000])
        answer = slow.receive()
        assert (answer["id"], answer["error"]["code"]) == (0, "timeout")
        assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("data", "speaks"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP"),
        (b"POST /api HTTP/1.1\r\n\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_another_protocol_is_called_by_its_name(
    data: bytes, speaks: str, token: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(token=token) as served, RawClient(served.address) as other:
        other.send_bytes(data)
        answer = other.receive()
        assert (answer["error"]["code"], answer["error"]["message"]) == (
            "too_large",
            f"this is {speaks}, not facewire's protocol",
        )
        assert other.at_end()
        assert f"127.0.0.1 speaks {speaks} to this port" in caplog.text
