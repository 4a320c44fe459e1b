"""A full server prefers those who ask."""

from __future__ import annotations

import pytest

from facewire.client import FaceClient
from facewire.protocol.framing import encode_frame
from facewire.server.errors import StartError
from facewire.server.tcp.descriptors import make_room_for
from facewire.server.tcp.limits import TcpLimits
from tests.support.fake_service import PATIENCE_S
from tests.support.servers import RawClient, serving


def test_the_one_that_is_silent_longest_gives_way_and_is_told() -> None:
    with serving(max_connections=3) as served:
        clients = [RawClient(served.address) for _ in range(3)]
        for client in clients:
            assert client.ask(op="ping")["ok"]
        assert clients[0].ask(op="ping")["ok"]  # so the second is silent longest
        with RawClient(served.address) as new:
            assert new.ask(op="ping")["ok"]
            answer = clients[1].receive()
            assert (answer["id"], answer["error"]["code"]) == (0, "busy")
            assert "silent longest" in answer["error"]["message"]
            assert clients[1].at_end()
            assert clients[0].ask(op="ping")["ok"]
            assert clients[2].ask(op="ping")["ok"]
        for client in clients:
            client.sock.close()


def test_idle_connections_shut_nobody_out() -> None:
    with serving(max_connections=8) as served:
        idle = [RawClient(served.address) for _ in range(100)]
        with RawClient(served.address) as client:
            assert client.ask(image=b"a")["ok"]
        for one in idle:
            one.sock.close()


def test_one_with_work_under_way_is_never_thrown_out() -> None:
    with serving(max_connections=2, workers=2, place_wait_s=0.1) as served:
        busy = [RawClient(served.address) for _ in range(2)]
        for client in busy:
            client.send(id=1, image=b"hold")
            assert served.service.begun.acquire(timeout=PATIENCE_S)
        for _ in range(10):
            with RawClient(served.address) as new:
                answer = new.ask(id=1, op="ping")
                assert (answer["id"], answer["error"]["code"]) == (0, "busy")
                assert answer["error"]["retry_after_ms"] > 0
                assert new.at_end()
        served.service.release.set()
        for client in busy:
            assert client.receive()["ok"]
            assert client.ask(id=2, op="ping")["ok"]
            client.sock.close()


def test_a_picture_that_is_arriving_is_no_silence() -> None:
    frame = encode_frame(b"\x81\xa5image\xc6\x00\x06\x1a\x80" + bytes(400_000))
    with serving(max_connections=1, place_wait_s=0.1) as served, RawClient(served.address) as slow:
        assert slow.ask(op="ping")["ok"]
        slow.send_bytes(frame[:200_000])
        while served.listener.buffers.held == 0:  # until its beginning has been read
            pass
        with RawClient(served.address) as new:
            assert new.ask(op="ping")["error"]["code"] == "busy"
        slow.send_bytes(frame[200_000:])
        assert slow.receive()["ok"]


def test_unfinished_frames_shut_nobody_out() -> None:
    """Not as first requests, nor from connections that have asked before: the newcomer waits until one grows old."""
    with serving(max_connections=4, max_strangers=8) as served:
        members = [RawClient(served.address) for _ in range(4)]
        for client in members:
            assert client.ask(op="ping")["ok"]
        strangers = [RawClient(served.address) for _ in range(20)]
        for client in members + strangers:
            client.send_bytes(b"\x01\x00\x00\x00half a frame")
        with RawClient(served.address) as honest:
            answer = honest.ask(image=b"a")
            assert answer["ok"], answer
        for client in members + strangers:
            client.sock.close()


def test_a_newcomer_waits_a_moment_for_somebodys_answer() -> None:
    with serving(max_connections=1, place_wait_s=PATIENCE_S) as served, RawClient(served.address) as first:
        first.send(id=1, image=b"hold")
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        with RawClient(served.address) as second:
            second.send(id=1, image=b"a")
            served.service.release.set()
            assert second.receive()["ok"]


def test_who_holds_more_than_half_of_the_places_gives_way_first() -> None:
    with serving(max_connections=4) as served, RawClient(served.address, source=("127.0.0.2", 0)) as modest:
        assert modest.ask(op="ping")["ok"]  # silent longest from now on
        crowd = [RawClient(served.address) for _ in range(30)]
        for client in crowd[-3:]:
            assert client.ask(op="ping")["ok"]
        assert modest.ask(op="ping")["ok"]
        for client in crowd:
            client.sock.close()


def test_an_address_may_be_given_a_number_of_its_own() -> None:
    with serving(max_connections=10, max_per_address=2, workers=4, place_wait_s=0.1) as served:
        held = [RawClient(served.address) for _ in range(2)]
        for client in held:
            client.send(id=1, image=b"hold")
            assert served.service.begun.acquire(timeout=PATIENCE_S)
        with RawClient(served.address) as third:
            assert third.ask(op="ping")["error"]["code"] == "busy"
        with RawClient(served.address, source=("127.0.0.2", 0)) as other:
            assert other.ask(op="ping")["ok"]
        served.service.release.set()
        for client in held:
            assert client.receive()["ok"]
            client.sock.close()


def test_our_own_client_does_not_notice() -> None:
    with serving(max_connections=1) as served, FaceClient(*served.address) as one, FaceClient(*served.address) as two:
        for _ in range(10):
            assert one.ping()
            assert two.identify(b"a")


def test_more_connections_than_files_may_be_open_is_one_line_at_the_start() -> None:
    with pytest.raises(StartError, match=r"--max-connections 100000000 needs \d+ open files .* allows \d+") as caught:
        make_room_for(TcpLimits(max_connections=100_000_000))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
