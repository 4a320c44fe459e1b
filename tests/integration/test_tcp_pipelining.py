"""Several requests on one connection at once."""

from __future__ import annotations

import pytest

from facewire.protocol.messages import Identify
from facewire.protocol.schema import to_plain
from tests.support.fake_service import PATIENCE_S, identified
from tests.support.servers import RawClient, serving


def test_answers_come_in_any_order_with_their_ids() -> None:
    with serving(workers=2) as served, RawClient(served.address) as raw:
        raw.send(id=1, image=b"hold")
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        assert raw.ask(id=2, image=b"quick")["id"] == 2
        assert raw.ask(id=3, op="ping")["id"] == 3
        served.service.release.set()
        assert raw.receive()["id"] == 1


def test_requests_of_one_connection_run_at_the_same_time() -> None:
    with serving(workers=3) as served, RawClient(served.address) as raw:
        for number in (1, 2, 3):
            raw.send(id=number, image=b"hold%d" % number)
        for _ in range(3):
            assert served.service.begun.acquire(timeout=PATIENCE_S)  # all three before any has ended
        served.service.release.set()
        assert {raw.receive()["id"] for _ in range(3)} == {1, 2, 3}


def test_many_pipelined_requests_each_get_their_own_answer() -> None:
    with serving() as served, RawClient(served.address) as raw:
        images = {number: b"picture %d" % number for number in range(1, 101)}
        for number, image in images.items():
            raw.send(id=number, image=image, k=3)
        answers = [raw.receive() for _ in images]
        expected = {n: to_plain(identified(Identify(image, k=3))) for n, image in images.items()}
        assert {answer["id"]: answer["result"] for answer in answers} == expected


def test_a_half_closed_connection_still_gets_its_answers() -> None:
    with serving() as served, RawClient(served.address) as raw:
        raw.send(id=1, image=b"hold")
        raw.send(id=2, image=b"quick")
        raw.half_close()
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        assert raw.receive()["id"] == 2
        served.service.release.set()
        assert raw.receive()["id"] == 1
        assert raw.at_end()


def test_a_connection_with_all_its_slots_taken_is_read_no_further() -> None:
    with (
        serving(workers=1, queue=10, max_in_flight=2) as served,
        RawClient(served.address) as raw,
        RawClient(served.address) as other,
    ):
        raw.send(id=1, image=b"hold 1")
        raw.send(id=2, image=b"hold 2")
        raw.send(id=3, op="ping")  # answered at once, were it read
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        for _ in range(20):  # while others go on
            assert other.ask(op="ping")["ok"]
        raw.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            raw.receive()
        raw.sock.settimeout(PATIENCE_S)
        served.service.release.set()
        assert sorted(raw.receive()["id"] for _ in range(3)) == [1, 2, 3]


def test_one_too_many_is_told_busy_at_once() -> None:
    with serving(workers=1, queue=1, retry_after_ms=123) as served, RawClient(served.address) as raw:
        raw.send(id=1, image=b"hold")
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        raw.send(id=2, image=b"waits")
        answer = raw.ask(id=3, image=b"one too many")
        assert (answer["id"], answer["error"]["code"], answer["error"]["retry_after_ms"]) == (3, "busy", 123)
        served.service.release.set()
        assert {raw.receive()["id"] for _ in range(2)} == {1, 2}
        assert raw.ask(id=4, image=b"later")["ok"]


def test_work_not_begun_in_time_is_answered_timeout_and_never_begun() -> None:
    with serving(workers=1, request_timeout_s=0.5) as served, RawClient(served.address) as raw:
        raw.send(id=1, image=b"hold")
        assert served.service.begun.acquire(timeout=PATIENCE_S)
        raw.send(id=2, image=b"late")
        raw.send(id=3, op="ping")
        assert raw.receive()["id"] == 3  # so id 2 has been queued
        served.service.release.wait(0.6)  # its deadline passes
        served.service.release.set()
        answers = {answer["id"]: answer for answer in (raw.receive(), raw.receive())}
        assert answers[1]["ok"]
        assert answers[2]["error"]["code"] == "timeout"
        assert served.service.seen == [b"hold"]
