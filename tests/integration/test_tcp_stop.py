"""The graceful stop: what is under way is finished, the rest refused, every thread gone."""

from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.listener import Listener
from tests.support.fake_service import PATIENCE_S, FakeService
from tests.support.servers import RawClient, our_threads, serving

OPEN_FILES = Path("/proc/self/fd")


def says_that_it_stops(raw: RawClient) -> bool:
    """So that the client knows that nothing of what it sends now was begun."""
    word = raw.receive()
    return (word["id"], word["error"]["code"], word["error"]["message"]) == (0, "busy", "the server is stopping")


def test_work_under_way_is_finished_what_waits_is_refused() -> None:
    with serving(workers=1) as served, RawClient(served.address) as raw:
        raw.send(id=1, image=b"hold")
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        raw.send(id=2, image=b"waits")
        assert raw.ask(id=3, op="ping")["ok"]  # so id 2 has been queued
        stopping = threading.Thread(target=served.listener.stop)
        stopping.start()
        refused = raw.receive()
        assert (refused["id"], refused["error"]["code"]) == (2, "busy")
        assert "retry_after_ms" in refused["error"]
        served.service.release.set()
        finished = raw.receive()
        assert (finished["id"], finished["ok"]) == (1, True)
        assert says_that_it_stops(raw)
        assert raw.at_end()
        stopping.join()
        assert served.service.seen == [b"hold"]


def test_stopping_under_load_takes_no_longer_than_its_grace() -> None:
    outcomes: set[str] = set()
    answered = threading.Semaphore(0)

    with serving(workers=2, queue=4, max_connections=8) as served:

        def client() -> None:
            try:
                with RawClient(served.address) as raw:
                    while True:
                        answer = raw.ask(image=b"a" * 1000)
                        outcomes.add("served" if answer["ok"] else answer["error"]["code"])
                        answered.release()
            except (EOFError, ConnectionError):
                outcomes.add("closed")

        clients = [threading.Thread(target=client) for _ in range(8)]
        for thread in clients:
            thread.start()
        for _ in range(50):
            assert answered.acquire(timeout=PATIENCE_S)
        assert served.listener.stop()
        for thread in clients:
            thread.join(PATIENCE_S)
        assert outcomes <= {"served", "busy", "closed"}
        assert {"served", "closed"} <= outcomes
        assert our_threads() == set()


def test_idle_connections_and_half_frames_do_not_hold_it_up() -> None:
    with serving() as served, RawClient(served.address) as idle, RawClient(served.address) as half:
        assert idle.ask(op="ping")["ok"]
        half.send_bytes(b"\x00\x00\x01")
        stopping = threading.Thread(target=served.listener.stop)
        stopping.start()
        assert says_that_it_stops(idle)
        assert idle.at_end()
        assert half.receive()["error"]["code"] == "busy"
        assert half.at_end()
        half.sock.close()
        idle.sock.close()
        stopping.join(PATIENCE_S)
        assert our_threads() == set()


def test_work_that_does_not_end_is_left_behind_and_told_so(caplog: pytest.LogCaptureFixture) -> None:
    service = FakeService()
    listener = Listener(Dispatcher(service), "127.0.0.1", 0, limits=TcpLimits(workers=1))
    listener.start()
    with RawClient(listener.address) as raw:
        raw.send(image=b"hold")
        assert service.begun.acquire(timeout=PATIENCE_S)
        assert not listener.stop(grace_s=0.2)
        assert raw.at_end()
    assert "still in progress" in caplog.text
    service.release.set()
    for thread in our_threads():
        thread.join(PATIENCE_S)
    assert our_threads() == set()


def test_a_second_stop_is_harmless_and_nobody_can_connect_any_more() -> None:
    with serving() as served:
        assert served.listener.stop()
        assert served.listener.stop()
        with pytest.raises(ConnectionRefusedError):
            RawClient(served.address)


def test_a_listener_that_never_started_gives_its_port_back() -> None:
    first = Listener(Dispatcher(FakeService()), "127.0.0.1", 0)
    assert first.stop()
    second = Listener(Dispatcher(FakeService()), *first.address)
    assert second.stop()
    assert our_threads() == set()


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="only Linux lists a process's descriptors")
def test_no_descriptor_stays_open() -> None:
    gc.collect()  # what other tests left to be collected is not ours
    before = len(list(OPEN_FILES.iterdir()))
    with serving(max_connections=2) as served:
        clients = [RawClient(served.address) for _ in range(6)]  # served, and refused
        for raw in clients:
            raw.send(image=b"a")
            raw.receive()
        for raw in clients:
            raw.sock.close()
    assert len(list(OPEN_FILES.iterdir())) == before
