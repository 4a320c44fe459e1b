"""Every bound of the socket server, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.protocol.framing import DEFAULT_MAX_FRAME
from facewire.protocol.settings import MEBIBYTE, MEBIBYTES, SECONDS, setting


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Counts, bytes and seconds. Memory for requests: `max_buffered` for incoming frames, as much again for those
    waiting for a worker, and `workers * max_frame` for those being processed; plus the small frames
    (`protocol.framing.SMALL`) of every connection."""

    max_connections: int | None = setting(
        None,
        help="clients at a time; one more disconnects the client that has been silent longest (default: 64, or fewer"
        " where the system allows fewer open files)",
    )
    default_connections: int = 64  # each takes two threads
    max_per_address: int | None = setting(
        None, help="of these, clients from one address; behind a gateway or the page, all share one (default: no limit)"
    )
    max_strangers: int = 64  # connections without a request or the token yet; not counted above
    max_in_flight: int = 8  # requests of one connection; at the limit it is not read until one is answered
    workers: int = setting(  # also the largest batch of faces; 8 is the cheapest per face
        8, help="pictures decoded and searched for faces at a time"
    )
    queue: int = 256  # requests waiting for a worker, as far as they can be served within `max_wait_s`
    max_wait_s: float = setting(  # about as long as a person is willing to wait
        3.0, range=SECONDS, help="a request expected to wait longer is answered `busy` at once, with when to retry"
    )
    max_frame: int = setting(DEFAULT_MAX_FRAME, unit=MEBIBYTES, help="largest request in MiB")
    max_hello: int = 4096  # bytes of a frame before the token was sent; `hello` takes a few dozen
    max_buffered: int = setting(  # eight of the largest frames; more wait in the peers' own buffers
        256 * MEBIBYTE, unit=MEBIBYTES,
        help="memory in MiB for requests that are arriving, and as much for those that wait",
    )  # fmt: skip
    hello_timeout_s: float = 5.0  # from connecting to the token: a few round trips on any line
    place_wait_s: float = 3.0  # for a first request to get a place: outlasts an answer, or a stalled frame
    idle_timeout_s: float = setting(60.0, range=SECONDS, help="seconds after which a silent client is disconnected")
    frame_timeout_s: float = 30.0  # for a whole frame: 32 MiB at 9 Mbit/s, or a photo on a poor line
    slowest_frame: int = 32 * 1024  # bytes a second; a slower frame is not worth its place
    send_timeout_s: float = 20.0  # without the client taking one byte of its answer
    request_timeout_s: float = setting(  # less than our clients' own 30 s
        20.0, range=SECONDS, help="seconds a request may wait for its turn, and long work for its next step"
    )
    retry_after_ms: int = 500  # sent with `busy` if the queue gives no better estimate: the time of a few requests
