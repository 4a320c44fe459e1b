"""A request -> the service's method -> an answer, ready to send. Here errors become codes, and requests are logged."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from facewire.protocol.codec import encode_answer
from facewire.protocol.errors import ErrorCode, RequestRefused, UnsupportedOp
from facewire.protocol.gallery_messages import (
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
from facewire.protocol.messages import (
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
from facewire.protocol.version import VERSION
from facewire.server.asker import Asker
from facewire.server.errors import (
    AlreadyExists,
    BadRequest,
    Busy,
    Conflict,
    InvalidImage,
    InvalidName,
    ModelMismatch,
    NoFace,
    OverLimit,
    Rejected,
    RequestError,
    SeveralFaces,
    StorageFailed,
    TimedOut,
    UnknownAlbum,
    UnknownPerson,
    UnknownTemplate,
)
from facewire.server.tcp.following import Channel, Follow, OpenFollows
from facewire.server.tcp.metrics import Counts, Metrics
from facewire.server.tcp.patience import Patience
from facewire.server.tcp.tokens import TokenGuard

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
    UnknownAlbum: ErrorCode.UNKNOWN_ALBUM,
    BadRequest: ErrorCode.INVALID_REQUEST,
    OverLimit: ErrorCode.TOO_LARGE,
    ModelMismatch: ErrorCode.MODEL_MISMATCH,
    TimedOut: ErrorCode.TIMEOUT,
    Busy: ErrorCode.BUSY,
}

Abandoned = Asker
TOO_LATE = "the server was too busy to begin this in time"
Handlers = Mapping[type[RequestBody], Callable[..., Result]]
Followed = Mapping[type[RequestBody], Callable[..., None]]


class Service(Protocol):
    """What is served. Methods are called from several threads at once; they raise RequestError for what they refuse.

    `abandoned` says whether anybody still waits for the answer, and is told how long work proceeds: once it is true,
    what is raised or returned is dropped, or answered as a timeout if that is what it was.
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


class Albums(Protocol):
    """The albums, as messages: `handlers` answer, `followed` tell a `follower` when there is an answer."""

    @property
    def handlers(self) -> Handlers: ...
    @property
    def followed(self) -> Followed: ...


NO_TOKEN = "this server asks for a token: say it first, with op 'hello' (our own clients: --token or FACEWIRE_TOKEN)"
WRONG_TOKEN = "the token is wrong"


def _ignore(_: bytes) -> None:
    return


class Dispatcher:
    """Serves requests with `service`; with a `token`, only those of connections that say it first."""

    def __init__(
        self,
        service: Service,
        *,
        token: str | None = None,
        metrics: Metrics | None = None,
        albums: Albums | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        self._service = service
        self._guard = TokenGuard(token) if token is not None else None
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
            **(albums.handlers if albums is not None else {}),
        }
        self._followed: Followed = albums.followed if albums is not None else {}
        self._follows = OpenFollows()
        self._instant: Mapping[type[RequestBody], Callable[..., Result]] = {
            Ping: lambda _: Pong(server=VERSION),
            Hello: lambda _: Welcome(),
            Stats: self._stats,
        }

    @property
    def needs_hello(self) -> bool:
        """Must a connection say the token before anything else?"""
        return self._guard is not None

    def hears_token_in(self, address: str) -> float:
        """Seconds until a token from there is looked at: wrong ones cost time."""
        return 0.0 if self._guard is None else self._guard.closed_for(address)

    def turned_away(self, body: RequestBody, address: str) -> str | None:
        """Why a connection from `address` may not go on after saying this; None if it may."""
        if self._guard is None:
            return None
        if not isinstance(body, Hello):
            return NO_TOKEN
        return None if self._guard.is_right(body.token, address) else WRONG_TOKEN

    def is_instant(self, body: RequestBody) -> bool:
        """Is this answered without work, and so even when every worker is busy?"""
        return type(body) in self._instant

    def is_followed(self, body: RequestBody) -> bool:
        """Is this long work, whose answer comes when it is done, and nobody waits in a thread for it?"""
        return type(body) in self._followed

    def follow(self, request: Request, *, deadline: float, gone: Callable[[], bool], channel: Channel) -> None:
        """Begins long work, or joins it; `channel` is told of its progress and gets its one answer. Never raises."""
        self.metrics.request(request.body.op)
        follow = Follow(request, gone, channel, self._answered, self.failed)
        if gone():
            channel.answer(None)
        elif time.monotonic() > deadline:
            follow.failed(TimedOut(TOO_LATE))
        elif self._follows.add(follow):
            try:
                self._followed[type(request.body)](request.body, follower=follow)
            except Exception as error:  # noqa: BLE001 - as in `serve`
                follow.failed(error)

    def let_go(self) -> None:
        """The server stops: nobody waits for long work any more, which goes on after the next start."""
        self._follows.end(
            Busy("the server is stopping; what is left is done after its next start", retry_after_ms=5000)
        )

    def serve(
        self,
        request: Request,
        *,
        deadline: float,
        gone: Callable[[], bool],
        step_s: float = math.inf,
        tell: Callable[[bytes], None] = _ignore,
    ) -> bytes | None:
        """The encoded answer; None when `gone` says that its connection has been lost, and nothing was computed.

        Work not begun by `deadline` (time.monotonic) is answered `timeout`, and so is long work of which a step does
        not begin within `step_s`; `tell` gets its progress, encoded. Never raises.
        """
        op = request.body.op
        self.metrics.request(op)
        if gone():
            _requests.info("id=%d op=%s dropped: its connection is gone", request.id, op)
            return None
        started = time.monotonic()
        patience = Patience(request.id, deadline, step_s, gone, tell)
        try:
            if started > deadline:
                raise TimedOut(TOO_LATE)
            result = self._call(request.body, patience)
            answer = encode_answer(Success(request.id, result))
        except Exception as error:  # noqa: BLE001 - the one place where a bug of ours may not take other requests along
            return self.failed(request, error)
        finally:
            patience.close()
        self._log(request, result, started)
        return answer

    def expired(self, request: Request) -> bytes:
        """The encoded failure of one that waited too long for its turn."""
        self.metrics.request(request.body.op)
        return self.failed(request, TimedOut(TOO_LATE))

    def failed(self, request: Request, error: Exception) -> bytes:
        """The encoded failure for what a handler raised; a bug of ours is logged."""
        op = request.body.op
        if isinstance(error, RequestError):
            return self.refusal(request.id, code_of(error), str(error), op, getattr(error, "retry_after_ms", None))
        if isinstance(error, RequestRefused):
            return self.refusal(request.id, error.code, str(error), op)
        _bugs.error("id=%d op=%s failed", request.id, op, exc_info=error)
        return self.refusal(request.id, ErrorCode.INTERNAL, "the server failed; its log says more", op)

    def _answered(self, request: Request, result: Result, started: float) -> bytes:
        self._log(request, result, started)
        return encode_answer(Success(request.id, result))

    def _log(self, request: Request, result: Result, started: float) -> None:
        elapsed_ms = (time.monotonic() - started) * 1000
        _requests.info("id=%d op=%s faces=%s ms=%.1f", request.id, request.body.op, _faces_in(result), elapsed_ms)

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
        handler = self._looking_up.get(kind) or self._instant.get(kind)
        if handler is None:
            raise UnsupportedOp("this server keeps no albums")
        return handler(body)

    def _stats(self, _: Stats) -> StatsReport:
        return self.metrics.report(self._service.counts())


def code_of(error: RequestError) -> ErrorCode:
    """The code that an answer carries for this error."""
    return next((CODE_OF[kind] for kind in type(error).__mro__ if kind in CODE_OF), ErrorCode.INTERNAL)


def _faces_in(result: Result) -> int | str:
    return len(result.faces) if isinstance(result, (Identified, Detected, Embedded)) else "-"
