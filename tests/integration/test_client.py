"""FaceClient against a real server, and against servers that break every promise."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from facewire.client import (
    BadAnswer,
    CannotConnect,
    ConnectionLost,
    FaceClient,
    InvalidImage,
    ServerBusy,
    ServerFailed,
    ServerRefused,
    ServerTimeout,
    TooLarge,
    TooLate,
    Unauthorized,
    UnknownPerson,
    embedding_values,
)
from facewire.protocol.framing import FrameDecoder, encode_frame
from facewire.protocol.messages import Identified, Identify
from facewire.protocol.schema import to_plain
from tests.support.fake_service import BROKEN, BUG, NAMES, PATIENCE_S, identified
from tests.support.msgpacked import pack, unpacked
from tests.support.servers import Served, misbehaving, our_threads, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[FaceClient]:
    with FaceClient(*served.address) as client:
        yield client


def answer(number: int, **fields: object) -> bytes:
    return encode_frame(pack({"id": number, **fields}))


class TestOperations:
    def test_identify(self, client: FaceClient) -> None:
        assert client.identify(b"a") == identified(Identify(b"a"))
        assert client.identify(b"a", k=3, emotion=False) == identified(Identify(b"a", k=3, emotion=False))

    def test_identify_file(self, client: FaceClient, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(b"a")
        assert client.identify_file(tmp_path / "a.jpg") == client.identify_file(str(tmp_path / "a.jpg"))

    def test_detect(self, client: FaceClient) -> None:
        assert len(client.detect(b"a").faces[0].landmarks) == 5

    def test_embed(self, client: FaceClient) -> None:
        embedded = client.embed(b"a")
        assert len(embedding_values(embedded.faces[0])) == embedded.dimension == 8

    def test_verify(self, client: FaceClient) -> None:
        assert client.verify(b"a", b"a").same
        assert not client.verify(b"a", b"b").same

    def test_people(self, client: FaceClient) -> None:
        page = client.people(1, 2)
        assert [person.name for person in page.people] == sorted(NAMES)[1:3]
        assert page.total == len(NAMES)
        assert [person.name for person in client.all_people()] == sorted(NAMES)

    def test_ping_health_and_stats(self, client: FaceClient) -> None:
        assert client.ping().version == 1
        assert client.health().healthy
        assert client.stats().requests["health"] >= 1


class TestErrors:
    def test_each_code_has_its_error_and_the_connection_lives_on(self, client: FaceClient) -> None:
        with pytest.raises(InvalidImage, match="not a picture"):
            client.identify(BROKEN)
        with pytest.raises(ServerFailed) as caught:
            client.identify(BUG)
        assert caught.value.code == "internal"
        assert client.ping()

    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            address = gone.getsockname()
        with pytest.raises(CannotConnect, match=r"no server at 127\.0\.0\.1:"):
            FaceClient(*address).ping()

    def test_a_picture_over_the_clients_own_limit_is_not_sent(self, served: Served) -> None:
        with FaceClient(*served.address, max_frame=1000) as client:
            with pytest.raises(TooLarge):
                client.identify(bytes(2000))
            assert client.ping()

    def test_the_servers_limit_closes_the_connection_and_the_next_request_opens_another(self) -> None:
        with serving(max_frame=2000) as served, FaceClient(*served.address) as client:
            with pytest.raises(TooLarge, match="over the limit of 2000"):
                client.identify(bytes(3_000_000))
            assert client.ping()

    def test_no_answer_in_time(self) -> None:
        with serving() as served, FaceClient(*served.address, timeout=0.5) as client:
            with pytest.raises(ServerTimeout):
                client.identify(b"hold")
            served.service.release.set()
            assert client.identify(b"a") == identified(Identify(b"a"))  # and not the late answer

    def test_the_server_dies_with_a_request_under_way(self) -> None:
        def dies(sock: socket.socket) -> None:
            assert sock.recv(10)

        with misbehaving(dies) as address, FaceClient(*address) as client, pytest.raises(ConnectionLost):
            client.ping()

    @pytest.mark.parametrize(
        ("data", "error"),
        [
            (b"\xff\xff\xff\xff", ConnectionLost),
            (b"\x00\x00\x00\x00", ConnectionLost),
            (encode_frame(b"\xc1"), ConnectionLost),
            (encode_frame(b"half")[:6], ConnectionLost),
            (answer(1, ok="yes"), ConnectionLost),
            (answer(1, ok=True, result={"version": "one"}), BadAnswer),
        ],
    )
    def test_a_server_that_talks_nonsense(self, data: bytes, error: type[Exception]) -> None:
        def nonsense(sock: socket.socket) -> None:
            sock.recv(100)
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(100)

        with misbehaving(nonsense) as address, FaceClient(*address) as client, pytest.raises(error):
            client.ping()

    def test_answers_that_nobody_asked_for_are_passed_over(self) -> None:
        def chatty(sock: socket.socket) -> None:
            sock.recv(100)
            progress = answer(1, progress={"done": 1, "total": 2})
            sock.sendall(answer(999, ok=True, result={}) + progress + answer(1, ok=True, result={"version": 1}))
            sock.recv(100)

        with misbehaving(chatty) as address, FaceClient(*address) as client:
            assert client.ping().version == 1

    def test_an_idle_connection_that_the_server_closed_is_opened_again(self) -> None:
        with serving(idle_timeout_s=0.3) as served, FaceClient(*served.address) as client:
            (reader,) = [thread for thread in our_threads() if thread.name.startswith("facewire-client")]
            reader.join(PATIENCE_S)  # it ends when the server closes
            assert client.ping()

    def test_what_crosses_with_the_end_of_an_idle_connection_is_asked_again(self) -> None:
        """The server closes just as something is asked, and says that it has not begun it: even a change goes again."""
        asked: list[str] = []

        def closes_at_first(sock: socket.socket) -> None:
            decoder = FrameDecoder()
            decoder.feed(sock.recv(1000))
            payload = decoder.next_frame()
            assert payload is not None
            request = unpacked(payload)
            asked.append(request["op"])
            if len(asked) == 1:
                sock.sendall(answer(1, ok=True, result={"version": 1}))
                asked.append(unpacked(_frame(sock))["op"])
                sock.sendall(answer(0, ok=False, error={"code": "busy", "message": "silent longest"}))
            else:
                sock.sendall(answer(1, ok=False, error={"code": "unknown_person", "message": "nobody"}))
                sock.recv(100)

        with misbehaving(closes_at_first) as address, FaceClient(*address) as client:
            assert client.ping()
            with pytest.raises(UnknownPerson):
                client.rename("Ann", "Anna")
        assert asked == ["ping", "rename", "rename"]

    def test_a_request_that_may_have_begun_is_not_asked_again(self) -> None:
        asked: list[str] = []

        def dies_at_the_second(sock: socket.socket) -> None:
            asked.append(unpacked(_frame(sock))["op"])
            sock.sendall(answer(1, ok=True, result={"version": 1}))
            asked.append(unpacked(_frame(sock))["op"])

        with misbehaving(dies_at_the_second) as address, FaceClient(*address) as client:
            assert client.ping()
            with pytest.raises(ConnectionLost):
                client.rename("Ann", "Anna")
        assert asked == ["ping", "rename"]

    @pytest.mark.parametrize(
        ("data", "speaks"),
        [
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
            (b"<!DOCTYPE HTML>\n<html>", "HTTP"),
            (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        ],
    )
    def test_a_port_of_something_else_is_called_by_its_name(self, data: bytes, speaks: str) -> None:
        def other(sock: socket.socket) -> None:
            sock.recv(100)
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            sock.recv(100)

        with misbehaving(other) as address, FaceClient(*address) as client:
            with pytest.raises(ConnectionLost) as caught:
                client.ping()
            hint = "ask it at facewires://, or with --tls" if speaks == "TLS" else "check the host and the port"
            assert str(caught.value) == f"{address[0]}:{address[1]} speaks {speaks}, not facewire's protocol: {hint}"

    def test_silence_is_told_as_such(self) -> None:
        def strict(sock: socket.socket) -> None:
            sock.recv(100)
            sock.sendall(answer(0, ok=False, error={"code": "timeout", "message": "nothing asked for 60 s"}))

        with misbehaving(strict) as address, FaceClient(*address) as client, pytest.raises(TooLate, match="60 s"):
            client.ping()


class TestToken:
    def test_right_wrong_and_none(self) -> None:
        with serving(token="sesame") as served:
            with FaceClient(*served.address, token="sesame") as client:
                assert client.ping()
            with pytest.raises(Unauthorized, match="the token is wrong"):
                FaceClient(*served.address, token="simsalabim").connect()
            with FaceClient(*served.address) as client, pytest.raises(Unauthorized, match="requires a token"):
                client.ping()
            with FaceClient(*served.address) as client, pytest.raises(Unauthorized, match="requires a token"):
                client.identify(bytes(1_000_000))


class TestPipelining:
    def test_many_pictures_in_their_order(self, client: FaceClient) -> None:
        images = [b"picture %d" % number for number in range(100)]
        assert list(client.identify_many(images)) == [identified(Identify(image)) for image in images]

    def test_they_are_under_way_together(self) -> None:
        with serving(workers=4) as served, FaceClient(*served.address) as client:
            results: list[Identified | ServerRefused] = []
            images = [b"hold %d" % number for number in range(4)]
            thread = threading.Thread(target=lambda: results.extend(client.identify_many(images, window=4)))
            thread.start()
            for _ in images:
                assert served.service.begun.acquire(timeout=PATIENCE_S)
            served.service.release.set()
            thread.join()
            assert results == [identified(Identify(image)) for image in images]

    def test_pictures_are_taken_only_as_the_window_moves(self, client: FaceClient) -> None:
        taken: list[int] = []

        def images() -> Iterator[bytes]:
            for number in range(100):
                taken.append(number)
                yield b"a"

        answers = client.identify_many(images(), window=3)
        next(answers)
        assert len(taken) == 3
        assert isinstance(answers, Generator)
        answers.close()

    def test_a_refused_picture_gives_its_error_in_its_place(self, client: FaceClient) -> None:
        first, second, third = client.identify_many([b"a", BROKEN, b"b"])
        assert isinstance(first, Identified)
        assert isinstance(second, InvalidImage)
        assert isinstance(third, Identified)

    def test_one_oversized_picture_costs_the_others_nothing(self) -> None:
        with serving(max_frame=2000) as served, FaceClient(*served.address, retries=2) as client:
            outcomes = list(client.identify_many([b"a", b"b", bytes(3000), b"c", b"d"]))
            assert [isinstance(outcome, Identified) for outcome in outcomes] == [True, True, False, True, True]
            assert isinstance(outcomes[2], TooLarge)

    def test_what_was_answered_before_the_connection_broke_is_given_first(self) -> None:
        def one_answer(sock: socket.socket) -> None:
            result = unpacked(_encoded(b"a"))
            # Both requests first: broken off between them, the client would rightly connect anew for the second.
            requests = FrameDecoder()
            for _ in range(2):
                while requests.next_frame() is None:
                    requests.feed(sock.recv(1000))
            sock.sendall(answer(1, ok=True, result=result))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1000):
                pass

        with misbehaving(one_answer) as address, FaceClient(*address) as client:
            answers = client.identify_many([b"a", b"b"], window=2)
            assert next(answers) == identified(Identify(b"a"))
            with pytest.raises(ConnectionLost):
                next(answers)

    def test_threads_share_a_client(self, client: FaceClient) -> None:
        wrong: list[bytes] = []

        def ask(name: bytes) -> None:
            for number in range(20):
                image = name + b"%d" % number
                if client.identify(image) != identified(Identify(image)):
                    wrong.append(image)

        threads = [threading.Thread(target=ask, args=(b"thread %d " % n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def _frame(sock: socket.socket) -> bytes:
    decoder = FrameDecoder()
    while (payload := decoder.next_frame()) is None:
        decoder.feed(sock.recv(1000))
    return payload


def _encoded(image: bytes) -> bytes:
    return pack(to_plain(identified(Identify(image))))


class TestBusy:
    def test_without_retries_it_is_an_error(self) -> None:
        with serving(workers=1, queue=0, retry_after_ms=5) as served, FaceClient(*served.address) as client:
            with _held(served, client), pytest.raises(ServerBusy) as caught:
                client.identify(b"a")
            assert caught.value.retry_after_ms == 5

    def test_with_retries_it_is_asked_again(self) -> None:
        outcome: list[Identified] = []
        with (
            serving(workers=1, queue=0, retry_after_ms=5) as served,
            FaceClient(*served.address, retries=2000) as client,
            _held(served, client),
        ):
            thread = threading.Thread(target=lambda: outcome.append(client.identify(b"a")))
            thread.start()
            with FaceClient(*served.address) as other:
                while "busy" not in other.stats().errors:  # until it was refused for the first time
                    pass
            served.service.release.set()
            thread.join()
        assert outcome == [identified(Identify(b"a"))]

    def test_no_connection_left(self) -> None:
        with (
            serving(max_connections=1, place_wait_s=0.1) as served,
            FaceClient(*served.address) as first,
            _held(served, first),
            FaceClient(*served.address) as second,
            pytest.raises(ServerBusy, match="all 1 connections"),
        ):
            second.ping()


@contextlib.contextmanager
def _held(served: Served, client: FaceClient) -> Iterator[None]:
    """The server's only worker has begun a picture that it holds."""
    thread = threading.Thread(target=client.identify, args=(b"hold",))
    thread.start()
    assert served.service.begun.acquire(timeout=PATIENCE_S)
    try:
        yield
    finally:
        served.service.release.set()
        thread.join()


class TestClosing:
    def test_a_closed_client_asks_nothing_and_leaves_no_thread(self, served: Served) -> None:
        before = our_threads()
        client = FaceClient(*served.address)
        assert client.ping()
        client.close()
        client.close()
        assert {thread for thread in our_threads() - before if thread.name.startswith("facewire-client")} == set()
        with pytest.raises(ConnectionLost, match="closed"):
            client.ping()

    def test_closing_ends_what_other_threads_wait_for(self) -> None:
        with serving() as served:
            client = FaceClient(*served.address)
            failed = threading.Event()

            def ask() -> None:
                with pytest.raises(ConnectionLost):
                    client.identify(b"hold")
                failed.set()

            thread = threading.Thread(target=ask)
            thread.start()
            assert served.service.begun.acquire(timeout=PATIENCE_S)
            client.close()
            thread.join(PATIENCE_S)
            assert failed.is_set()
