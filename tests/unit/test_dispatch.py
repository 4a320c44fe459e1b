"""Dispatch: errors become codes, bugs stay ours, and one line is logged a request."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from facewire.protocol.codec import RawSuccess, as_result, decode_answer
from facewire.protocol.errors import ErrorCode
from facewire.protocol.gallery_messages import Enrol, Erase, Merge, People, Remove, Rename, Show, Split
from facewire.protocol.messages import (
    Detect,
    Embed,
    Failure,
    Health,
    HealthReport,
    Hello,
    Identified,
    Identify,
    Ping,
    Pong,
    Progress,
    Request,
    RequestBody,
    Result,
    Stats,
    Verify,
    VerifyPerson,
)
from facewire.protocol.schema import REQUEST_OF
from facewire.protocol.videos import IdentifyVideo
from facewire.server.access.caller import Caller
from facewire.server.access.tokens import MASTER
from facewire.server.errors import Busy, NoFace, RequestError, TimedOut
from facewire.server.reply import Reply
from facewire.server.tcp.answers import CODE_OF
from facewire.server.tcp.dispatch import NO_TOKEN, WRONG_TOKEN, Dispatcher, TurnedAway
from tests.support.fake_service import BROKEN, BUG, FakeService
from tests.support.msgpacked import unpacked

SOON = 1e9  # a deadline on the monotonic clock that no test meets


def never() -> bool:
    return False


class Asked:
    """A connection that is told one answer."""

    def __init__(self, dispatcher: Dispatcher, gone: Callable[[], bool] = never) -> None:
        self.answers: list[bytes | None] = []
        self.progress: list[Progress] = []
        self.gone = gone
        self._dispatcher = dispatcher

    def send_progress(self, progress: Progress) -> None:
        self.progress.append(progress)

    def send_answer(self, reply: Reply, outcome: Result | Exception | None) -> None:
        self.answers.append(self._dispatcher.answers.encoded(reply, outcome))


def served(
    dispatcher: Dispatcher, request: Request, *, deadline: float = SOON, gone: Callable[[], bool] = never
) -> bytes | None:
    """The one answer, encoded."""
    asked = Asked(dispatcher, gone)
    dispatcher.serve(Reply(request, asked), deadline=deadline)
    (answer,) = asked.answers
    return answer


def fails(dispatcher: Dispatcher, body: RequestBody, deadline: float = SOON) -> Failure:
    payload = served(dispatcher, Request(7, body), deadline=deadline)
    assert payload is not None
    answer = decode_answer(payload)
    assert isinstance(answer, Failure)
    assert answer.id == 7
    return answer


def subclasses(kind: type) -> set[type]:
    below: list[type] = kind.__subclasses__()
    return set(below).union(*map(subclasses, below))


def test_every_domain_error_has_a_code() -> None:
    ours = {kind for kind in subclasses(RequestError) if kind.__module__.startswith("facewire.server.")}
    assert ours == set(CODE_OF)


def test_every_operation_has_a_handler() -> None:
    dispatcher = Dispatcher(FakeService())  # without albums: theirs are in test_albums_service.py
    examples: dict[object, RequestBody] = {
        body.__class__: body
        for body in (
            Identify(b"a"), Embed(b"a"), Verify(b"a", b"b"), VerifyPerson("Ada Lovelace", b"a"), Hello("x"),
            Enrol("Ann", b"a"), Show("Ada Lovelace"), Rename("Ada Lovelace", "Ada"),
            Merge(("Ada Lovelace",), "Grace Hopper"), Erase("Ada Lovelace"),
            Split("Ada Lovelace", (1,), "Ann"), Remove("Ada Lovelace"),
        )
    }  # fmt: skip
    jobs = {IdentifyVideo}  # answered by a job: in integration/test_videos.py
    for shape in (shape for shape in REQUEST_OF.values() if not shape.op.startswith("album.") and shape not in jobs):
        body = examples.get(shape) or (Detect(b"a") if shape is Detect else shape())
        payload = served(dispatcher, Request(1, body))
        assert payload is not None
        raw = decode_answer(payload)
        assert isinstance(raw, RawSuccess), raw
        as_result(shape, raw)


def test_a_domain_error_keeps_its_message() -> None:
    answer = fails(Dispatcher(FakeService()), Identify(BROKEN))
    assert (answer.code, answer.message) == (ErrorCode.INVALID_IMAGE, "these bytes are not a picture")


def test_busy_says_when_to_come_back() -> None:
    class Full(FakeService):
        def health(self, message: Health, /) -> HealthReport:
            raise Busy("full", retry_after_ms=123)

    assert fails(Dispatcher(Full()), Health()) == Failure(7, ErrorCode.BUSY, "full", 123)


def test_a_subclass_of_a_domain_error_has_its_parents_code() -> None:
    class NoFaceInTheDark(NoFace):
        pass

    class Dark(FakeService):
        def health(self, message: Health, /) -> HealthReport:
            raise NoFaceInTheDark("dark")

    assert fails(Dispatcher(Dark()), Health()).code is ErrorCode.NO_FACE


def test_a_bug_is_logged_with_its_id_and_told_without_detail(caplog: pytest.LogCaptureFixture) -> None:
    answer = fails(Dispatcher(FakeService()), Identify(BUG))
    assert answer.code is ErrorCode.INTERNAL
    assert "secret" not in answer.message
    (record,) = [record for record in caplog.records if record.name == "facewire.dispatch"]
    assert "id=7" in record.getMessage()
    assert "a secret of the server" in caplog.text  # the traceback


def test_an_answer_that_can_not_be_written_is_a_bug_too() -> None:
    class Odd(FakeService):
        def people(self, message: People, /) -> Any:
            return object

    assert fails(Dispatcher(Odd()), People()).code is ErrorCode.INTERNAL


def test_one_line_a_request_without_picture_bytes(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = Dispatcher(FakeService())
    with caplog.at_level(logging.INFO, "facewire.request"):
        served(dispatcher, Request(3, Identify(b"PICTURE")))
        served(dispatcher, Request(4, Ping()))
        served(dispatcher, Request(5, Identify(BROKEN)))
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" ms=")[0] for line in lines] == [
        "id=3 op=identify faces=1",
        "id=4 op=ping faces=-",
        "id=5 op=identify refused: invalid_image",
    ]
    assert "PICTURE" not in caplog.text


def test_late_work_is_not_begun() -> None:
    service = FakeService()
    answer = fails(Dispatcher(service), Identify(b"a"), deadline=time.monotonic() - 1)
    assert answer.code is ErrorCode.TIMEOUT
    assert service.seen == []


def test_work_for_nobody_is_dropped() -> None:
    service = FakeService()
    assert served(Dispatcher(service), Request(1, Identify(b"a")), gone=lambda: True) is None
    assert service.seen == []


def test_a_service_can_ask_whether_anybody_still_waits() -> None:
    class Slow(FakeService):
        def identify(self, message: Identify, /, *, abandoned: Callable[[], bool]) -> Identified:
            heard.append(abandoned())
            connection.clear()
            heard.append(abandoned())
            raise TimedOut("given up")

    connection = {"open"}
    heard: list[bool] = []
    payload = served(Dispatcher(Slow()), Request(1, Identify(b"a")), gone=lambda: not connection)
    assert heard == [False, True]
    assert payload is not None
    assert isinstance(failed := decode_answer(payload), Failure) and failed.code is ErrorCode.TIMEOUT


def test_stats_count_requests_and_errors() -> None:
    dispatcher = Dispatcher(FakeService())
    for body in (Ping(), Ping(), Identify(b"a"), Identify(BROKEN)):
        served(dispatcher, Request(1, body))
    payload = served(dispatcher, Request(1, Stats()))
    assert payload is not None
    raw = decode_answer(payload)
    assert isinstance(raw, RawSuccess)
    report = as_result(Stats, raw)
    assert report.requests == {"ping": 2, "identify": 2, "stats": 1}
    assert report.errors == {"invalid_image": 1}
    assert (report.faces, report.people, report.model) == (1, 4, "fake")
    assert report.memory_mb > 1


def test_the_token_is_asked_for_only_where_there_is_one() -> None:
    free, guarded = Dispatcher(FakeService()), Dispatcher(FakeService(), token="sesam öffne dich")
    assert (free.needs_hello, guarded.needs_hello) == (False, True)
    somebody = Caller(None, "::1")
    assert free.heard(Ping(), somebody) == somebody
    with pytest.raises(TurnedAway, match=re.escape(NO_TOKEN)):
        guarded.heard(Ping(), somebody)
    with pytest.raises(TurnedAway, match=WRONG_TOKEN):
        guarded.heard(Hello("sesam"), somebody)
    admitted = guarded.heard(Hello("sesam öffne dich"), somebody)
    assert (admitted.name, admitted.address) == (MASTER, "::1")
    assert guarded.heard(Ping(), admitted) == admitted


def test_a_failure_is_a_plain_map() -> None:
    payload = Dispatcher(FakeService()).answers.refusal(9, ErrorCode.EXISTS, "taken")
    assert unpacked(payload) == {"id": 9, "ok": False, "error": {"code": "exists", "message": "taken"}}


def test_a_request_has_one_answer_and_no_progress_after_it() -> None:
    asked = Asked(dispatcher := Dispatcher(FakeService()))
    reply = Reply(Request(9, Ping()), asked)
    reply.progress(1, 2, {"stage": "x"})
    assert not reply.gone()
    dispatcher.serve(reply, deadline=SOON)
    reply.failed(NoFace("too late"))
    reply.answer(Pong())
    reply.progress(2, 2, {})
    assert asked.progress == [Progress(9, 1, 2, {"stage": "x"})]
    assert len(asked.answers) == 1
    assert reply.gone()  # so no job keeps it
