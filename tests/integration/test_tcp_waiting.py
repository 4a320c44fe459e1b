"""No request waits longer than it is told: in the workers' queue, for the networks, or between two steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from facewire.client import FaceClient
from facewire.protocol.messages import Identified, Identify, ImageSize
from facewire.server.asker import Asker
from facewire.server.tcp import patience
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.listener import Listener
from facewire.server.vision.batching import Batcher
from tests.support.fake_service import PATIENCE_S, FakeService
from tests.support.servers import RawClient, serving


@dataclass
class GatedNetwork:
    """A network that computes a batch each time that it is let, and a service that shows it a picture's faces: as many
    as the picture's bytes say."""

    let: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    batches: list[list[bytes]] = field(default_factory=list)
    waiting: Callable[[], int] = lambda: 0

    def compute(self, faces: list[bytes]) -> list[bytes]:
        self.batches.append(faces)
        self.entered.release()
        assert self.let.acquire(timeout=PATIENCE_S)
        return faces


class GatedService(FakeService):
    def __init__(self, batcher: Batcher[bytes, bytes]) -> None:
        super().__init__()
        self._batcher = batcher

    def identify(self, message: Identify, /, *, abandoned: Callable[[], bool]) -> Identified:
        assert isinstance(abandoned, Asker)
        self._batcher.run([message.image] * int(message.image), abandoned)
        return Identified((), ImageSize(1, 1), "fake", {})


@contextmanager
def gated(**limits: float) -> Iterator[tuple[Listener, GatedNetwork]]:
    network = GatedNetwork()
    batcher = Batcher(network.compute, largest=8, clock=time.monotonic)
    network.waiting = lambda: batcher.waiting
    settings: Any = limits
    listener = Listener(Dispatcher(GatedService(batcher)), "127.0.0.1", 0, limits=TcpLimits(**settings))
    listener.start()
    try:
        yield listener, network
    finally:
        for _ in range(1000):
            network.let.release()
        assert listener.stop()
        batcher.close()


def outcome(answer: dict[str, Any]) -> str:
    return "ok" if answer["ok"] else str(answer["error"]["code"])


def test_everybody_is_answered_though_the_network_never_comes_back() -> None:
    """40 from 5 connections, 4 workers: computing, waiting for the network, and waiting for a worker."""
    with gated(workers=4, request_timeout_s=1.0, max_wait_s=100) as (listener, network):
        clients = [RawClient(listener.address) for _ in range(5)]
        for client in clients:
            for number in range(1, 9):
                client.send(id=number, image=b"1")
        assert network.entered.acquire(timeout=PATIENCE_S)
        answers = [client.receive() for client in clients for _ in range(8)]
        assert {outcome(answer) for answer in answers} <= {"timeout", "busy"}  # busy: it could not be done in time
        for client in clients:
            assert client.ask(id=99, op="ping")["ok"]
            client.sock.close()
        assert len(network.batches) == 1


def test_work_past_its_deadline_is_never_begun() -> None:
    with (
        gated(workers=2, request_timeout_s=0.5, max_wait_s=100) as (listener, network),
        RawClient(listener.address) as client,
    ):
        client.send(id=1, image=b"8")
        assert network.entered.acquire(timeout=PATIENCE_S)
        client.send(id=2, image=b"2")
        client.send(id=3, image=b"3")
        answers = {answer["id"]: answer for answer in (client.receive() for _ in range(3))}
        assert {outcome(answer) for answer in answers.values()} <= {"timeout", "busy"}  # busy: it had no chance
        network.let.release()
        network.let.release()
        assert client.ask(id=4, image=b"4")["ok"]
        assert [faces[0] for faces in network.batches] == [b"8", b"4"]


def test_a_crowd_that_proceeds_outlives_the_timeout_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "NEWS_S", 0.0)
    with gated(request_timeout_s=1.0) as (listener, network), RawClient(listener.address) as client:
        begun = time.monotonic()
        client.send(id=1, image=b"40")
        for _ in range(5):
            assert network.entered.acquire(timeout=PATIENCE_S)
            while time.monotonic() - begun < 0.3 * len(network.batches):  # 1.5 s in all, longer than one may wait
                time.sleep(0.01)
            network.let.release()
        news = []
        while "progress" in (answer := client.receive()):
            news.append(answer["progress"])
        assert answer["ok"]
        assert news[-1] == {"done": 32, "total": 40}
        assert [one["done"] for one in news] == sorted(one["done"] for one in news)


def test_our_client_waits_as_long_as_there_are_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "NEWS_S", 0.0)
    with gated() as (listener, network), FaceClient(*listener.address, timeout=2.0) as client:
        done: list[Identified] = []
        thread = threading.Thread(target=lambda: done.append(client.identify(b"40")))
        thread.start()
        begun = time.monotonic()
        for number in range(1, 6):
            assert network.entered.acquire(timeout=PATIENCE_S)
            while time.monotonic() - begun < 0.5 * number:
                time.sleep(0.01)
            network.let.release()
        thread.join(PATIENCE_S)
        assert len(done) == 1


def test_a_picture_of_one_batch_has_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thinnest client reads one frame, and that is its answer."""
    monkeypatch.setattr(patience, "NEWS_S", 0.0)
    with gated() as (listener, network), RawClient(listener.address) as client:
        network.let.release()
        assert client.ask(id=1, image=b"8")["ok"]


def test_others_are_served_between_a_crowds_batches() -> None:
    with gated() as (listener, network), RawClient(listener.address) as crowd, RawClient(listener.address) as other:
        crowd.send(id=1, image=b"80")
        assert network.entered.acquire(timeout=PATIENCE_S)
        other.send(id=2, image=b"2")
        while network.waiting() != 72 + 2:  # until both wait for the next batch
            time.sleep(0.001)
        while not any(b"2" in batch for batch in network.batches):
            network.let.release()
            assert network.entered.acquire(timeout=PATIENCE_S)
        network.let.release()
        assert other.receive()["ok"]
        assert len(network.batches) < 10


def test_too_many_are_told_at_once_when_to_come_back() -> None:
    with serving(workers=1, max_wait_s=0.05, retry_after_ms=1) as served:
        clients = [RawClient(served.address) for _ in range(30)]
        clients[0].send(id=1, image=b"hold")
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        for client in clients[1:]:
            client.send(id=1, image=b"a")
            assert client.ask(id=2, op="ping")["id"] in (1, 2)  # so the other has been taken in, or refused
        refusals = served.dispatcher.metrics.report(served.service.counts()).errors
        assert refusals["busy"] >= 20
        served.service.release.set()
        for client in clients:
            client.sock.close()


def test_one_who_sends_many_requests_does_not_keep_others_waiting() -> None:
    with serving(workers=1) as served, RawClient(served.address) as greedy, RawClient(served.address) as modest:
        greedy.send(id=0, image=b"hold")
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        for number in range(1, 7):
            greedy.send(id=number, image=b"greedy %d" % number)
        assert greedy.ask(id=9, op="ping")["id"] == 9  # so they have been queued
        modest.send(id=1, image=b"modest")
        assert modest.ask(id=2, op="ping")["id"] == 2  # so it has been queued
        served.service.release.set()
        assert modest.receive()["ok"]
        assert served.service.seen.index(b"modest") <= 2
