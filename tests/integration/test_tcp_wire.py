"""Broken and odd input over a real socket: each gets its error, and the next request is served."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from facewire.protocol.framing import encode_frame
from facewire.protocol.version import VERSION
from tests.support.fake_service import BROKEN, BUG
from tests.support.servers import RawClient, Served, serving
from tests.unit.test_wire_vectors import vectors

MAX_FRAME = 2**20


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(max_frame=MAX_FRAME) as served:
        yield served


@pytest.fixture
def raw(served: Served) -> Iterator[RawClient]:
    with RawClient(served.address) as client:
        yield client


def still_serves(served: Served) -> bool:
    with RawClient(served.address) as other:
        return bool(other.ask(image=b"a")["ok"])


@pytest.mark.parametrize("vector", vectors("broken"))
def test_the_published_broken_vectors(served: Served, raw: RawClient, vector: dict[str, Any]) -> None:
    raw.send_bytes(bytes.fromhex(vector["hex"]))
    if "the stream ends" in vector["name"]:
        raw.half_close()
    answer = raw.receive()
    assert (answer["ok"], answer["id"], answer["error"]["code"]) == (False, vector["id"], vector["code"])
    if vector["closes"]:
        assert raw.at_end()
    else:
        assert raw.ask(op="ping", id=99) == {"id": 99, "ok": True, "result": {"version": 1, "server": VERSION}}
    assert still_serves(served)


@pytest.mark.parametrize("vector", vectors("request"))
def test_the_published_requests_are_answered(raw: RawClient, vector: dict[str, Any]) -> None:
    raw.send_bytes(bytes.fromhex(vector["hex"]))
    assert raw.receive()["ok"]


def test_the_thinnest_client_sends_a_picture_and_nothing_else(raw: RawClient) -> None:
    answer = raw.ask(image=b"jpeg")
    assert (answer["id"], answer["ok"]) == (0, True)
    assert answer["result"]["faces"][0]["decision"] == "match"


def test_an_oversized_frame_is_refused_while_its_bytes_still_come(served: Served, raw: RawClient) -> None:
    """The answer arrives although megabytes that nobody reads follow: the connection is not reset over them."""
    raw.send_bytes(struct.pack(">I", MAX_FRAME + 1) + bytes(MAX_FRAME + 1))
    assert raw.receive()["error"]["code"] == "too_large"
    assert raw.at_end()
    assert still_serves(served)


def test_a_frame_of_exactly_the_limit_is_read(raw: RawClient) -> None:
    envelope = len(b"\x81\xa5image\xc6") + 4
    raw.send(image=bytes(MAX_FRAME - envelope))
    assert raw.receive()["ok"]


def test_requests_before_a_broken_one_are_answered(raw: RawClient) -> None:
    for number in (1, 2, 3):
        raw.send(id=number, image=b"a%d" % number)
    raw.send_bytes(bytes(4))
    answers = [raw.receive() for _ in range(4)]
    assert {answer["id"]: answer["ok"] for answer in answers} == {1: True, 2: True, 3: True, 0: False}
    assert raw.at_end()


def test_a_picture_that_is_none_and_a_bug_of_ours_keep_the_connection(raw: RawClient) -> None:
    assert raw.ask(id=1, image=BROKEN)["error"]["code"] == "invalid_image"
    failure = raw.ask(id=2, image=BUG)
    assert failure["error"]["code"] == "internal"
    assert "secret" not in json.dumps(failure)
    assert raw.ask(id=3, image=b"fine")["ok"]


def test_an_answer_that_no_frame_can_hold_is_refused() -> None:
    with serving(max_frame=200) as served, RawClient(served.address) as raw:
        answer = raw.ask(id=1, image=b"a")
        assert (answer["id"], answer["error"]["code"]) == (1, "too_large")
        assert raw.ask(id=2, op="ping")["ok"]


def test_a_connection_that_says_nothing_and_leaves(served: Served, raw: RawClient) -> None:
    raw.half_close()
    assert raw.at_end()


def test_a_connection_reset_in_the_middle_of_a_frame(served: Served) -> None:
    with RawClient(served.address) as rude:
        rude.send_bytes(encode_frame(b"half of this")[:8])
        # A linger of 0 s makes close() send a reset instead of an end.
        rude.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert still_serves(served)


class TestToken:
    @pytest.fixture
    def guarded(self) -> Iterator[Served]:
        with serving(token="open sesame") as served:
            yield served

    @pytest.mark.parametrize(
        "fields",
        [
            {"op": "ping"},
            {"image": b"a"},
            {"op": "hello", "token": "open"},
            {"op": "hello"},
            {"op": "no such op"},
            {"op": "ping", "unknown": 1},
        ],
    )
    def test_anything_but_the_token_is_turned_away(self, guarded: Served, fields: dict[str, object]) -> None:
        with RawClient(guarded.address) as raw:
            answer = raw.ask(id=4, **fields)
            assert (answer["id"], answer["error"]["code"]) == (4, "unauthorized")
            assert raw.at_end()
        assert guarded.service.seen == []

    def test_with_the_token_everything_is_served(self, guarded: Served) -> None:
        with RawClient(guarded.address) as raw:
            raw.send(op="hello", token="open sesame", id=1)
            raw.send(image=b"a", id=2)
            assert [raw.receive()["ok"] for _ in range(2)] == [True, True]

    def test_a_wrong_token_later_on_is_turned_away_too(self, guarded: Served) -> None:
        with RawClient(guarded.address) as raw:
            assert raw.ask(op="hello", token="open sesame")["ok"]
            assert raw.ask(op="hello", token="wrong")["error"]["code"] == "unauthorized"
            assert raw.at_end()
