"""FaceClient with several addresses, beside the fleet's proof: what it asks again, and what not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from facewire.client import CannotConnect, ConnectionLost, FaceClient, Unauthorized
from facewire.protocol.address import Address, parse_addresses
from facewire.protocol.framing import FrameDecoder
from tests.support.fake_service import NAMES, PATIENCE_S
from tests.support.msgpacked import unpacked
from tests.support.servers import RawClient, misbehaving, serving
from tests.support.waiting import eventually


def gone() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return f"127.0.0.1:{sock.getsockname()[1]}"


def at(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


@contextlib.contextmanager
def dying(heard: list[str]) -> Iterator[str]:
    """The address of a server that dies of the first request that it hears on each connection."""

    def script(sock: socket.socket) -> None:
        decoder = FrameDecoder()
        while (payload := decoder.next_frame()) is None:
            data = sock.recv(65536)
            if not data:
                return
            decoder.feed(data)
        heard.append(str(unpacked(payload)["op"]))

    with misbehaving(script) as address:
        yield at(address)


def asks(addresses: list[str], question: Callable[[FaceClient], object]) -> None:
    with FaceClient(addresses, timeout=PATIENCE_S) as client:
        question(client)


@pytest.mark.parametrize("text", ["facewire://a:1,facewire://b:2", "a:1, b:2", ["a:1", "b:2", "a:1"]])
def test_addresses_in_one_text_or_in_a_sequence(text: str | list[str]) -> None:
    assert parse_addresses(text) == (Address("a", 1), Address("b", 2))


@pytest.mark.parametrize("text", ["", "a:1,", [], "facewires://a:1,facewire://b:2", "http://a:1,b:2"])
def test_addresses_that_are_none(text: str | list[str]) -> None:
    with pytest.raises(ValueError, match=r"must|names no server"):
        parse_addresses(text)


def test_it_finds_the_one_that_is_there() -> None:
    with serving() as served:
        asks([gone(), at(served.address), gone()], lambda client: client.ping())


def test_where_none_is_there_it_names_them_all() -> None:
    first, second = gone(), gone()
    with pytest.raises(CannotConnect) as caught:
        asks([first, second], lambda client: client.ping())
    assert first in str(caught.value)
    assert second in str(caught.value)


def test_a_wrong_token_is_not_tried_everywhere() -> None:
    with serving(token="right") as served, pytest.raises(Unauthorized):
        FaceClient([at(served.address), at(served.address).replace("127.0.0.1", "localhost")], token="wrong").connect()


def test_what_is_repeatable_is_asked_again_elsewhere() -> None:
    heard: list[str] = []
    with dying(heard) as bad, serving() as served:
        for _ in range(8):  # each client takes them in an order of its own
            asks([bad, at(served.address)], lambda client: client.detect(b"a"))
    assert set(heard) <= {"detect"}


def test_a_change_whose_answer_was_lost_is_not_asked_again() -> None:
    heard: list[str] = []
    with dying(heard) as bad, dying(heard) as worse, pytest.raises(ConnectionLost):
        asks([bad, worse], lambda client: client.rename(sorted(NAMES)[0], "Somebody"))
    assert heard == ["rename"]


def test_it_gives_up_on_servers_that_all_die() -> None:
    heard: list[str] = []
    with dying(heard) as bad, dying(heard) as worse, pytest.raises(ConnectionLost):
        asks([bad, worse], lambda client: client.detect(b"a"))
    assert len(heard) == 7


def test_idle_clients_of_a_stopping_server_change_things_elsewhere() -> None:
    with serving() as stopping, serving() as other, contextlib.ExitStack() as stack:
        addresses = [at(stopping.address), at(other.address)]
        clients = [stack.enter_context(FaceClient(addresses, timeout=PATIENCE_S)) for _ in range(8)]
        for client in clients:
            assert client.ping()
        assert stopping.listener.stop()
        pictures = [b"picture %d" % number for number in range(len(clients))]
        for client, picture in zip(clients, pictures, strict=True):
            client.enrol("Somebody", picture)
        assert other.service.seen == pictures
        assert stopping.service.seen == []


def test_a_change_that_waits_at_a_stopping_server_is_made_elsewhere() -> None:
    with serving(workers=1) as stopping, RawClient(stopping.address) as raw, serving() as other:
        raw.send(image=b"hold")
        assert stopping.service.begun.acquire(timeout=PATIENCE_S)
        changes = [
            threading.Thread(
                target=asks,
                args=([at(stopping.address), at(other.address)], lambda client: client.enrol("Somebody", b"a")),
            )
            for _ in range(8)
        ]
        for change in changes:
            change.start()
        assert eventually(lambda: stopping.listener.load().waiting + len(other.service.seen) == len(changes))
        ends = threading.Thread(target=stopping.listener.stop)
        ends.start()
        for change in changes:
            change.join()
        assert other.service.seen == [b"a"] * len(changes)
        stopping.service.release.set()
        ends.join()
        assert stopping.service.seen == [b"hold"]
