"""A request -> the service's method -> an answer, ready to send. Here errors become codes, and requests are logged."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from protocol.codec import encode_answer
from protocol.errors import ErrorCode, RequestRefused
from protocol.gallery_messages import (
    Changed,
    Enrol,
    Enrolled,
    Erase,
    Erased,
    History,
    HistoryListed,
    Merge,
    People,
    PeopleListed,
    PersonShown,
    Remove,
    Rename,
    Show,
    Split,
    Undo,
    Undone,
)
from protocol.messages import (
    Detect,
    Detected,
    Embed,
    Embedded,
    Failure,
    Health,
    HealthReport,
    Hello,
    Identified,
    Identify,
    Ping,
    Pong,
    Request,
    RequestBody,
    Result,
    Stats,
    StatsReport,
    Success,
    Verified,
    Verify,
    Welcome,
)
from server.errors import (
    AlreadyExists,
    Busy,
    Conflict,
    InvalidImage,
    InvalidName,
    ModelMismatch,
    NoFace,
    Rejected,
    RequestError,
    SeveralFaces,
    StorageFailed,
    TimedOut,
    UnknownPerson,
    UnknownTemplate,
)
from server.tcp.metrics import Counts, Metrics

_requests = logging.getLogger("facewire.request")
_bugs = logging.getLogger("facewire.dispatch")

# Held complete by tests/unit/test_dispatch.py.
CODE_OF: Mapping[type[RequestError], ErrorCode] = {
    InvalidImage: ErrorCode.INVALID_IMAGE,
    NoFace: ErrorCode.NO_FACE,
    SeveralFaces: ErrorCode.SEVERAL_FACES,
    Rejected: ErrorCode.REJECTED,
    UnknownPerson: ErrorCode.UNKNOWN_PERSON,
    UnknownTemplate: ErrorCode.UNKNOWN_TEMPLATE,
    AlreadyExists: ErrorCode.EXISTS,
    InvalidName: ErrorCode.INVALID_REQUEST,
    Conflict: ErrorCode.CONFLICT,
    StorageFailed: ErrorCode.STORAGE,
    ModelMismatch: ErrorCode.MODEL_MISMATCH,
    TimedOut: ErrorCode.TIMEOUT,
    Busy: ErrorCode.BUSY,
}

Abandoned = Callable[[], bool]


class Service(Protocol):
    """What is served. Methods are called from several threads at once; they raise RequestError for what they refuse.

    `abandoned` says whether anybody still waits for the answer: once it is true, what is raised or returned is
    dropped, or answered as a timeout if that is what it was.
    """

    def identify(self, message: Identify, /, *, abandoned: Abandoned) -> Identified: ...
    def detect(self, message: Detect, /, *, abandoned: Abandoned) -> Detected: ...
    def embed(self, message: Embed, /, *, abandoned: Abandoned) -> Embedded: ...
    def verify(self, message: Verify, /, *, abandoned: Abandoned) -> Verified: ...
    def enrol(self, message: Enrol, /, *, abandoned: Abandoned) -> Enrolled: ...
    def people(self, message: People, /) -> PeopleListed: ...
    def show(self, message: Show, /) -> PersonShown: ...
    def rename(self, message: Rename, /) -> Changed: ...
    def merge(self, message: Merge, /) -> Changed: ...
    def split(self, message: Split, /) -> Changed: ...
    def remove(self, message: Remove, /) -> Changed: ...
    def erase(self, message: Erase, /) -> Erased: ...
    def undo(self, message: Undo, /) -> Undone: ...
    def history(self, message: History, /) -> HistoryListed: ...
    def health(self, message: Health, /) -> HealthReport: ...
    def counts(self) -> Counts: ...


class Dispatcher:
    """Serves requests with `service`; with a `token`, only those of connections that say it first."""

    def __init__(self, service: Service, *, token: str | None = None, metrics: Metrics | None = None) -> None:
        self.metrics = metrics or Metrics()
        self._service = service
        self._token = token
        self._computing: Mapping[type[RequestBody], Callable[..., Result]] = {
            Identify: service.identify,
            Detect: service.detect,
            Embed: service.embed,
            Verify: service.verify,
            Enrol: service.enrol,
        }
        self._looking_up: Mapping[type[RequestBody], Callable[..., Result]] = {
            People: service.people,
            Show: service.show,
            Rename: service.rename,
            Merge: service.merge,
            Split: service.split,
            Remove: service.remove,
            Erase: service.erase,
            Undo: service.undo,
            History: service.history,
            Health: service.health,
        }
        self._instant: Mapping[type[RequestBody], Callable[..., Result]] = {
            Ping: lambda _: Pong(),
            Hello: lambda _: Welcome(),
            Stats: self._stats,
        }

    @property
    def needs_hello(self) -> bool:
        """Must a connection say the token before anything else?"""
        return self._token is not None

    def admits(self, body: RequestBody) -> bool:
        """May a connection say this first?"""
        if self._token is None:
            return True
        # compare_digest takes as long for a nearly right token as for a wrong one
        return isinstance(body, Hello) and hmac.compare_digest(body.token.encode(), self._token.encode())

    def is_instant(self, body: RequestBody) -> bool:
        """Is this answered without work, and so even when every worker is busy?"""
        return type(body) in self._instant

    def serve(self, request: Request, *, deadline: float, gone: Callable[[], bool]) -> bytes | None:
        """The encoded answer; None when `gone` says that its connection has been lost, and nothing was computed.

        Work not begun by `deadline` (time.monotonic) is answered `timeout`. Never raises.
        """
        op = request.body.op
        self.metrics.request(op)
        if gone():
            _requests.info("id=%d op=%s dropped: its connection is gone", request.id, op)
            return None
        started = time.monotonic()
        try:
            if started > deadline:
                raise TimedOut("the server was too busy to begin this in time")
            result = self._call(request.body, lambda: gone() or time.monotonic() > deadline)
            answer = encode_answer(Success(request.id, result))
        except RequestError as error:
            return self.refusal(request.id, code_of(error), str(error), op, getattr(error, "retry_after_ms", None))
        except RequestRefused as error:
            return self.refusal(request.id, error.code, str(error), op)
        except Exception:  # noqa: BLE001 - the one place where a bug of ours may not take other requests along
            _bugs.exception("id=%d op=%s failed", request.id, op)
            return self.refusal(request.id, ErrorCode.INTERNAL, "the server failed; its log says more", op)
        elapsed_ms = (time.monotonic() - started) * 1000
        _requests.info("id=%d op=%s faces=%s ms=%.1f", request.id, op, _faces_in(result), elapsed_ms)
        return answer

    def refusal(
        self, request_id: int, code: ErrorCode, message: str, op: str = "-", retry_after_ms: int | None = None
    ) -> bytes:
        """The encoded failure, counted and logged; `op` is for the log."""
        self.metrics.error(code)
        _requests.info("id=%d op=%s refused: %s", request_id, op, code)
        return encode_answer(Failure(request_id, code, message, retry_after_ms))

    def _call(self, body: RequestBody, abandoned: Abandoned) -> Result:
        kind = type(body)
        if kind in self._computing:
            return self._computing[kind](body, abandoned=abandoned)
        return (self._looking_up.get(kind) or self._instant[kind])(body)

    def _stats(self, _: Stats) -> StatsReport:
        return self.metrics.report(self._service.counts())


def code_of(error: RequestError) -> ErrorCode:
    """The code that an answer carries for this error."""
    return next((CODE_OF[kind] for kind in type(error).__mro__ if kind in CODE_OF), ErrorCode.INTERNAL)


def _faces_in(result: Result) -> int | str:
    return len(result.faces) if isinstance(result, (Identified, Detected, Embedded)) else "-"
