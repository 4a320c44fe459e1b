"""Maps each request to the handler that answers it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from facewire.protocol.errors import UnsupportedOp
from facewire.protocol.messages import Hello, Ping, Pong, RequestBody, Result, Stats, StatsReport, Welcome
from facewire.protocol.version import VERSION
from facewire.server.errors import TimedOut
from facewire.server.reply import Reply
from facewire.server.tcp.answers import Answers
from facewire.server.tcp.metrics import Counts, Metrics
from facewire.server.tcp.patience import Patience
from facewire.server.tcp.tokens import TokenGuard

TOO_LATE = "the server was too busy to begin this in time"
NO_TOKEN = "this server asks for a token: say it first, with op 'hello' (our own clients: --token or FACEWIRE_TOKEN)"
WRONG_TOKEN = "the token is wrong"


Handlers = Mapping[type[RequestBody], Callable[..., Result]]
Followed = Mapping[type[RequestBody], Callable[..., None]]


class Service(Protocol):
    """The handlers of the service. They are called from several threads at once, and raise RequestError for refusals.

    Handlers in `computing` get an `abandoned` callable: it returns True once nobody waits for the answer, and takes
    progress reports. After that, their result or error is dropped, or answered as a timeout if it was one.
    """

    @property
    def computing(self) -> Handlers: ...
    @property
    def handlers(self) -> Handlers: ...
    def counts(self) -> Counts: ...


class Albums(Protocol):
    """The handlers of the albums. Those in `followed` start or join a long-running job, which answers later."""

    @property
    def handlers(self) -> Handlers: ...
    @property
    def followed(self) -> Followed: ...


class Kind(Enum):
    """How a request is served."""

    INSTANT = auto()  # by the thread that reads it, so even when all workers are busy
    LOOKED_UP = auto()  # by a worker, in negligible time
    COMPUTED = auto()  # by a worker; the handler is told whether the client still waits
    FOLLOWED = auto()  # a worker hands the reply to the job that will answer it


@dataclass(frozen=True, slots=True)
class Route:
    """A handler and how to run it."""

    kind: Kind
    handler: Callable[..., Any]


class Dispatcher:
    """Serves requests with `service` and `albums`. If there is a `token`, connections must send it first."""

    def __init__(
        self,
        service: Service,
        *,
        token: str | None = None,
        metrics: Metrics | None = None,
        albums: Albums | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.answers = Answers(self.metrics)
        self._counts = service.counts
        self._guard = TokenGuard(token) if token is not None else None
        own: Handlers = {Ping: lambda _: Pong(server=VERSION), Hello: lambda _: Welcome(), Stats: self._stats}
        tables: list[tuple[Kind, Handlers | Followed]] = [
            (Kind.INSTANT, own),
            (Kind.LOOKED_UP, service.handlers),
            (Kind.COMPUTED, service.computing),
        ]
        if albums is not None:
            tables += [(Kind.LOOKED_UP, albums.handlers), (Kind.FOLLOWED, albums.followed)]
        self._routes = {request: Route(kind, handler) for kind, table in tables for request, handler in table.items()}

    @property
    def needs_hello(self) -> bool:
        """Must a connection send the token first?"""
        return self._guard is not None

    def hears_token_in(self, address: str) -> float:
        """Seconds until a token from this address is checked; wrong tokens add a delay."""
        return 0.0 if self._guard is None else self._guard.closed_for(address)

    def turned_away(self, body: RequestBody, address: str) -> str | None:
        """Why the request `body` must end a connection from `address`, or None if it may continue."""
        if self._guard is None:
            return None
        if not isinstance(body, Hello):
            return NO_TOKEN
        return None if self._guard.is_right(body.token, address) else WRONG_TOKEN

    def route(self, body: RequestBody) -> Route:
        """The handler for this request, and how to run it."""
        return self._routes.get(type(body), _WITHOUT_ALBUMS)

    def serve(self, reply: Reply, *, deadline: float, step_s: float = math.inf) -> None:
        """Answers, or hands the reply to the handler of a long-running job. Answers `timeout` if work has not begun by
        `deadline` (time.monotonic), or if one of its steps has not begun within `step_s` seconds. Never raises."""
        reply.started = time.monotonic()
        body = reply.request.body
        self.metrics.request(body.op)
        if reply.gone():
            reply.drop()
            return
        route = self.route(body)
        try:
            if time.monotonic() > deadline:
                raise TimedOut(TOO_LATE)
            if route.kind is Kind.FOLLOWED:
                route.handler(body, reply=reply)
            elif route.kind is Kind.COMPUTED:
                reply.answer(route.handler(body, abandoned=Patience(reply, deadline, step_s)))
            else:
                reply.answer(route.handler(body))
        except Exception as error:  # noqa: BLE001 - a bug of ours must not affect other requests
            reply.failed(error)

    def expire(self, reply: Reply) -> None:
        """Answers a request that waited too long for its turn."""
        self.metrics.request(reply.request.body.op)
        reply.failed(TimedOut(TOO_LATE))

    def _stats(self, _: Stats) -> StatsReport:
        return self.metrics.report(self._counts())


def _keeps_no_albums(_: RequestBody) -> object:
    raise UnsupportedOp("this server keeps no albums")


_WITHOUT_ALBUMS = Route(Kind.LOOKED_UP, _keeps_no_albums)
