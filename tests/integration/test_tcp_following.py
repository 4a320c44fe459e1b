"""Requests that follow long work: progress never piles up, workers stay free, and there is one answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from facewire.protocol.albums.adding import AlbumProcess
from facewire.protocol.albums.collection import AlbumInfo
from facewire.server.errors import UnknownAlbum
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.listener import Listener
from tests.support.fake_service import FakeService
from tests.support.servers import RawClient, our_threads

INFO = AlbumInfo("A", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, False, None)


@contextmanager
def following(process: Callable[..., None], **limits: int) -> Iterator[Listener]:
    """A server whose `album.process` is `process(message, reply=...)`."""
    before = our_threads()
    albums: Any = SimpleNamespace(handlers={}, followed={AlbumProcess: process})
    listener = Listener(Dispatcher(FakeService(), albums=albums), "127.0.0.1", 0, limits=TcpLimits(**limits))
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()
    assert our_threads() - before == set()


def test_news_that_nobody_reads_does_not_pile_up() -> None:
    told = threading.Event()

    def process(message: AlbumProcess, *, reply: Any) -> None:
        for done in range(50_000):
            reply.progress(done, 50_000, {"stage": "x" * 1000})
        reply.answer(INFO)
        told.set()

    with following(process) as listener, RawClient(listener.address) as client:
        client.send(id=1, op="album.process", album="A")
        assert told.wait(60)  # the 50 MB were not waited for, and not kept
        client.send(id=2, op="ping")
        answers = [client.receive()]
        while len([answer for answer in answers if "progress" not in answer]) < 2:
            answers.append(client.receive())
    news = [answer["progress"]["done"] for answer in answers if "progress" in answer]
    assert news == sorted(news)
    assert len(news) < 50_000
    assert [answer["id"] for answer in answers if "progress" not in answer] == [1, 2]
    assert answers[-2]["ok"]


def test_followers_hold_no_worker() -> None:
    replies: list[Any] = []
    arrived = threading.Semaphore(0)

    def process(message: AlbumProcess, *, reply: Any) -> None:
        replies.append(reply)
        arrived.release()

    with following(process, workers=1, max_in_flight=8) as listener, RawClient(listener.address) as client:
        for number in range(1, 6):
            client.send(id=number, op="album.process", album="A")
        for _ in range(5):
            assert arrived.acquire(timeout=20)
        assert client.ask(id=9, op="people")["ok"]
        for reply in replies:
            reply.answer(INFO)
            reply.answer(INFO)
            reply.failed(UnknownAlbum("too late"))
            reply.progress(1, 2, {})
        assert sorted(client.receive()["id"] for _ in range(5)) == [1, 2, 3, 4, 5]
        assert client.ask(id=10, op="ping")["id"] == 10


def test_errors_before_and_after() -> None:
    def process(message: AlbumProcess, *, reply: Any) -> None:
        if message.album == "bug":
            raise ZeroDivisionError("a secret")
        if message.again:
            reply.failed(UnknownAlbum("gone meanwhile"))
        else:
            raise UnknownAlbum("never there")

    with following(process) as listener, RawClient(listener.address) as client:
        assert client.ask(id=1, op="album.process", album="A")["error"]["message"] == "never there"
        assert client.ask(id=2, op="album.process", album="A", again=True)["error"]["code"] == "unknown_album"
        assert client.ask(id=3, op="album.process", album="bug")["error"]["code"] == "internal"


def test_a_server_without_albums_says_so() -> None:
    listener = Listener(Dispatcher(FakeService()), "127.0.0.1", 0)
    listener.start()
    try:
        with RawClient(listener.address) as client:
            for op in ("album.list", "album.import"):
                answer = client.ask(id=1, op=op, **({} if op == "album.list" else {"album": "A", "folder": "x"}))
                assert answer["error"]["code"] == "unsupported_op"
    finally:
        listener.stop()


def test_the_end_of_the_server_is_an_answer() -> None:
    arrived = threading.Event()

    def process(message: AlbumProcess, *, reply: Any) -> None:
        arrived.set()

    with following(process) as listener, RawClient(listener.address) as client:
        client.send(id=1, op="album.process", album="A")
        assert arrived.wait(20)
        assert listener.stop()
        answer = client.receive()
        assert (answer["id"], answer["error"]["code"]) == (1, "busy")
        last_word = client.receive()
        assert (last_word["id"], last_word["error"]["code"]) == (0, "busy")
        assert client.at_end()
