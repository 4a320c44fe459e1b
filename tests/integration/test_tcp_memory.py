"""Who waits holds nothing of what went before: an idle connection, on either side, and an idle worker."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from facewire.client import FaceClient
from facewire.protocol.gallery_messages import PersonShown, Show
from facewire.protocol.settings import MEBIBYTE
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.listener import Listener
from tests.support.fake_service import FakeService
from tests.support.servers import RawClient
from tests.support.waiting import eventually

CLIENTS = 3
LARGE = 4 * MEBIBYTE


class Forgetful(FakeService):
    """Keeps no picture, and shows a large one."""

    def _look(self, image: bytes) -> None:
        """Keeps nothing."""

    def show(self, message: Show, /) -> PersonShown:
        shown = super().show(message)
        return replace(shown, templates=(replace(shown.templates[0], crop=bytes(LARGE)),))


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener(Dispatcher(Forgetful()), "127.0.0.1", 0)
    listener.start()
    yield listener
    assert listener.stop()


@contextmanager
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def is_let_go(held: int) -> bool:
    """Is all that was taken since `held` bytes were given back, at once or soon?"""
    return eventually(lambda: tracemalloc.get_traced_memory()[0] < held + LARGE // 2, patience_s=20)


def test_nothing_of_a_request_is_held_once_it_is_answered(listener: Listener) -> None:
    """Neither by its connection, which stays open, nor by the worker that served it."""
    with ExitStack() as stack, traced():
        clients = [stack.enter_context(RawClient(listener.address)) for _ in range(CLIENTS)]
        picture = bytes(LARGE)
        held, _ = tracemalloc.get_traced_memory()
        for client in clients:
            assert client.ask(id=1, op="identify", image=picture)["ok"]
        assert is_let_go(held)
        for client in clients:
            assert client.ask(id=2, op="ping")["ok"]


def test_nothing_of_an_answer_is_held_once_it_is_read(listener: Listener) -> None:
    """Neither by the server's outbox nor by the client that read it."""
    with FaceClient(*listener.address) as client:
        client.ping()
        with traced():
            held, _ = tracemalloc.get_traced_memory()
            shown = client.show("Ada Lovelace", crops=True)
            assert len(shown.templates[0].crop or b"") == LARGE
            del shown
            assert is_let_go(held)
        client.ping()
