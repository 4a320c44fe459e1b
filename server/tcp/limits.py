"""Every bound of the socket server, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.protocol.framing import DEFAULT_MAX_FRAME
from facewire.protocol.settings import MEBIBYTES, SECONDS, setting

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Counts, bytes and seconds. Memory for requests: `max_buffered` for frames that are arriving, as much again for
    those that wait for a worker, and `workers * max_frame` for those that are worked on; small frames
    (`protocol.framing.SMALL`) of every connection besides."""

    max_connections: int = setting(  # threads are two a connection
        64, help="clients at a time; for one more, the client that has been silent longest is disconnected"
    )
    max_per_address: int | None = setting(
        None, help="of these, clients of one address; behind a gateway or the page all have one (default: no limit)"
    )
    max_strangers: int = 64  # connections that have not asked yet, or not said the token: they hold no place above
    max_in_flight: int = 8  # requests of one connection; then it is not read until one is answered
    workers: int = setting(  # pictures whose faces can meet in one batch, which is largest, and cheapest a face, at 8
        8, help="pictures decoded and searched for faces at a time"
    )
    queue: int = 256  # requests waiting for a worker, if they can be served in `max_wait_s`
    max_wait_s: float = setting(  # as long as a person still waits
        3.0, range=SECONDS, help="a request expected to wait longer is told `busy` at once, and when to ask again"
    )
    max_frame: int = setting(DEFAULT_MAX_FRAME, unit=MEBIBYTES, help="largest request in MiB")
    max_hello: int = 4096  # bytes of a frame before the token was said: `hello` has some dozens
    max_buffered: int = setting(  # eight of the largest frames; what is more waits in the peers' own buffers
        256 * MEBIBYTE, unit=MEBIBYTES,
        help="memory in MiB for requests that are arriving, and as much for those that wait",
    )  # fmt: skip
    hello_timeout_s: float = 5.0  # from connecting to the token: a few round trips on any line
    place_wait_s: float = 3.0  # that a first request may wait for a place: somebody's answer, or a frame that stalls
    idle_timeout_s: float = setting(60.0, range=SECONDS, help="seconds after which a silent client is disconnected")
    frame_timeout_s: float = 30.0  # for one whole frame: 32 MiB at 9 Mbit/s, a photo on a poor line
    slowest_frame: int = 32 * 1024  # bytes a second that a frame must come at, or hold its place for nothing
    send_timeout_s: float = 20.0  # without the client taking one byte of its answer
    request_timeout_s: float = setting(  # less than our clients' own 30 s
        20.0, range=SECONDS, help="seconds a request may wait for its turn, and long work for its next step"
    )
    retry_after_ms: int = 500  # told with `busy` where no queue says more: the time some requests take
