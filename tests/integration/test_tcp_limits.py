"""Clients that are too many, too slow, or gone: they cost nobody else anything."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from facewire.protocol.framing import encode_frame
from facewire.server.errors import StartError
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.listener import Listener
from tests.support.fake_service import PATIENCE_S, FakeService
from tests.support.servers import RawClient, serving

SHORT_S = 0.5  # a timeout short enough to wait for, and long enough for a busy machine to do the rest meanwhile


def test_64_clients_at_once_with_16_slots() -> None:
    """16 are served, 48 are told `busy` although they have sent a picture already, and then there is room again."""
    results: list[str] = []
    refusals: list[tuple[int, int, bool]] = []
    together = threading.Barrier(64)

    with serving(max_connections=16, workers=16, retry_after_ms=77) as served:

        def client(number: int) -> None:
            together.wait(PATIENCE_S)
            with RawClient(served.address) as raw:
                raw.send(id=number, image=b"hold %d" % number + bytes(50_000))
                answer = raw.receive()
                if answer["ok"]:
                    results.append("served")
                else:
                    results.append(answer["error"]["code"])
                    refusals.append((answer["id"], answer["error"]["retry_after_ms"], raw.at_end()))
                if results.count("busy") == 48:
                    served.service.release.set()

        threads = [threading.Thread(target=client, args=(number,)) for number in range(1, 65)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == ["busy"] * 48 + ["served"] * 16
        assert refusals == [(0, 77, True)] * 48
        assert len(served.service.seen) == 16


def test_a_slot_is_free_again_when_its_client_has_left() -> None:
    with serving(max_connections=1) as served:
        for _ in range(20):
            with RawClient(served.address) as raw:
                assert raw.ask(op="ping")["ok"]
                raw.half_close()
                assert raw.at_end()


def test_an_idle_connection_is_closed_with_a_reason() -> None:
    with serving(idle_timeout_s=SHORT_S) as served, RawClient(served.address) as raw:
        assert raw.ask(op="ping")["ok"]
        answer = raw.receive()
        assert (answer["id"], answer["error"]["code"]) == (0, "timeout")
        assert raw.at_end()


def test_a_connection_that_waits_for_its_answer_is_not_idle() -> None:
    with (
        serving(idle_timeout_s=SHORT_S) as served,
        RawClient(served.address) as waiting,
        RawClient(served.address) as idle,
    ):
        waiting.send(id=1, image=b"hold")
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        for client in (idle, RawClient(served.address)):  # twice as long as the other may be silent
            assert client.receive()["error"]["code"] == "timeout"
            client.sock.close()
        served.service.release.set()
        assert waiting.receive()["id"] == 1
        assert waiting.ask(id=2, op="ping")["ok"]


def test_a_slow_loris_is_closed_however_many_bytes_trickle_in() -> None:
    with serving(frame_timeout_s=SHORT_S) as served, RawClient(served.address) as loris:
        closed = threading.Event()

        def trickle() -> None:
            for byte in encode_frame(bytes(1000)):
                if closed.wait(SHORT_S / 10):
                    return
                loris.send_bytes(bytes([byte]))

        thread = threading.Thread(target=trickle)
        thread.start()
        with RawClient(served.address) as other:
            assert other.ask(image=b"a")["ok"]
        answer = loris.receive()
        assert (answer["id"], answer["error"]["code"]) == (0, "timeout")
        closed.set()
        thread.join()
        assert loris.at_end()


def test_a_client_that_never_reads_is_closed_and_nobody_waits_for_it() -> None:
    with serving(send_timeout_s=SHORT_S, workers=1, max_in_flight=4) as served:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(PATIENCE_S)
        sock.connect(served.address)
        with sock, RawClient(served.address) as other:
            request = encode_frame(b"\x82\xa1k\x04\xa5image\xc4\x01a") * 200  # answers of 700 bytes each
            with pytest.raises((ConnectionError, TimeoutError)):
                while True:  # until the server gives up on us
                    sock.sendall(request)
                    assert other.ask(image=b"a")["ok"]
            assert other.ask(image=b"b")["ok"]


def test_work_for_a_lost_connection_is_dropped() -> None:
    with serving(workers=1) as served, RawClient(served.address) as other:
        with RawClient(served.address) as rude:
            rude.send(id=1, image=b"hold")
            rude.send(id=2, image=b"for nobody")
            assert rude.ask(id=3, op="ping")["ok"]  # both have been taken in
            assert served.service.begun.acquire(timeout=PATIENCE_S)
            rude.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
        while other.ask(op="stats")["result"]["connections"] > 1:  # until the reset has been noticed
            pass
        served.service.release.set()
        assert other.ask(image=b"next")["ok"]
        assert served.service.seen == [b"hold", b"next"]


def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    with serving() as served:
        host, port = served.address
        with pytest.raises(StartError, match=f"port {port} on {host} is in use; .*--port") as caught:
            Listener(Dispatcher(FakeService()), host, port)
        assert caught.value.exit_code == 3
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_a_host_that_is_not_ours(host: str) -> None:
    with pytest.raises(StartError, match="--host") as caught:
        Listener(Dispatcher(FakeService()), host, 0)
    assert caught.value.exit_code == 2
