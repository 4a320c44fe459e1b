"""Maps each request to the handler that answers it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, Protocol

from facewire.protocol.errors import UnsupportedOp
from facewire.protocol.messages import Hello, Ping, Pong, RequestBody, Result, Stats, StatsReport, Welcome
from facewire.protocol.version import VERSION
from facewire.server.access.audit import AuditLog
from facewire.server.access.caller import Caller, current_caller, serving
from facewire.server.access.gate import Gate, Permit
from facewire.server.access.sight import asked_within, within_sight, without_hints
from facewire.server.errors import TimedOut
from facewire.server.reply import Reply
from facewire.server.tcp.answers import Answers
from facewire.server.tcp.metrics import Counts, Metrics
from facewire.server.tcp.patience import Patience
from facewire.server.tcp.tokens import TokenGuard

TOO_LATE = "the server was too busy to start this in time"
NO_TOKEN = "this server requires a token: send it first, with op 'hello' (our own clients: --token or FACEWIRE_TOKEN)"
REVOKED = "the token was revoked, or has expired"
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


class Long(Protocol):
    """Handlers of requests whose job answers later."""

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


class TurnedAway(Exception):
    """The connection has no token, or not any more; it is told so and ends."""


class Dispatcher:
    """Serves requests with `service`, `albums` and `videos`. If the `gate` knows tokens, connections must send one
    first; `token` stands for a gate that knows this one."""

    def __init__(
        self,
        service: Service,
        *,
        token: str | None = None,
        gate: Gate | None = None,
        metrics: Metrics | None = None,
        albums: Albums | None = None,
        videos: Long | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        self.metrics = metrics or Metrics()
        self.answers = Answers(self.metrics, audit)
        self._counts = service.counts
        self._gate = gate or Gate(token)
        self._guard = TokenGuard(self._gate.find) if self._gate.asks_for_token else None
        own: Handlers = {Ping: lambda _: Pong(server=VERSION), Hello: _welcome, Stats: self._stats}
        tables: list[tuple[Kind, Handlers | Followed]] = [
            (Kind.INSTANT, own),
            (Kind.LOOKED_UP, service.handlers),
            (Kind.COMPUTED, service.computing),
        ]
        if albums is not None:
            tables += [(Kind.LOOKED_UP, albums.handlers), (Kind.FOLLOWED, albums.followed)]
        if videos is not None:
            tables.append((Kind.FOLLOWED, videos.followed))
        self._routes = {request: Route(kind, handler) for kind, table in tables for request, handler in table.items()}

    @property
    def needs_hello(self) -> bool:
        """Must a connection send the token first?"""
        return self._guard is not None

    def hears_token_in(self, address: str) -> float:
        """Seconds until a token from this address is checked; wrong tokens add a delay."""
        return 0.0 if self._guard is None else self._guard.closed_for(address)

    def heard(self, body: RequestBody, caller: Caller) -> Caller:
        """Who sends this request: `caller`, or who a right `hello` makes of them. Raises TurnedAway."""
        if self._guard is None:
            return caller
        if isinstance(body, Hello):
            token = self._guard.admit(body.token, caller.address)
            if token is None:
                raise TurnedAway(WRONG_TOKEN)
        elif caller.token is None:
            raise TurnedAway(NO_TOKEN)
        else:
            token = self._gate.current(caller.token)
            if token is None:
                raise TurnedAway(REVOKED)
        return Caller(token, caller.address)

    def permit(self, body: RequestBody, caller: Caller, size: int) -> Permit:
        """May `caller` send this request of `size` bytes? Raises RequestError."""
        return self._gate.permit(body, caller, size)

    def count_unreadable(self, caller: Caller, size: int) -> None:
        """Counts a request that could not be read, of `size` bytes. Raises Busy."""
        self._gate.count_unreadable(caller, size)

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
        if route.kind is not Kind.INSTANT:
            self.metrics.measures.took("queue", reply.started - reply.arrived)
        try:
            if time.monotonic() > deadline:
                raise TimedOut(TOO_LATE)
            with serving(reply.caller):
                if route.kind is Kind.FOLLOWED:
                    asked, reply.seen = asked_within(body, reply.caller.token)
                    route.handler(asked, reply=reply)
                    return
                handle = route.handler
                if route.kind is Kind.COMPUTED:
                    handle = partial(handle, abandoned=Patience(reply, deadline, step_s))
                reply.answer(within_sight(body, reply.caller.token, handle))
        except Exception as error:  # noqa: BLE001 - a bug of ours must not affect other requests
            reply.failed(without_hints(error, reply.caller.token))

    def expire(self, reply: Reply) -> None:
        """Answers a request that waited too long for its turn."""
        self.metrics.request(reply.request.body.op)
        reply.failed(TimedOut(TOO_LATE))

    def _stats(self, _: Stats) -> StatsReport:
        return self.metrics.report(self._counts())


def _welcome(_: Hello) -> Welcome:
    token = current_caller().token
    if token is None:
        return Welcome()
    people, albums = (None if seen is None else tuple(sorted(seen)) for seen in (token.people, token.albums))
    return Welcome(token=token.name, rights=tuple(sorted(token.rights)), people=people, albums=albums)


def _not_known(body: RequestBody) -> object:
    reason = "keeps no albums, so it " if body.op.startswith("album.") else ""
    raise UnsupportedOp(f"this server {reason}does not know {body.op}")


_WITHOUT_ALBUMS = Route(Kind.LOOKED_UP, _not_known)
