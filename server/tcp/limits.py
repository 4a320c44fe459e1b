"""Every bound of the socket server, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.protocol.framing import DEFAULT_MAX_FRAME


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Counts, bytes and seconds. Memory for requests: `max_buffered` for frames that are arriving, as much again for
    those that wait for a worker, and `workers * max_frame` for those that are worked on; small frames
    (`protocol.framing.SMALL`) of every connection besides."""

    max_connections: int = 64  # threads are two a connection; a full server lets the one go that is silent longest
    max_per_address: int | None = None  # of these; None: all, for behind a gateway every client has one address
    max_strangers: int = 64  # connections that have not asked yet, or not said the token: they hold no place above
    max_in_flight: int = 8  # requests of one connection; then it is not read until one is answered
    workers: int = 8  # pictures whose faces can meet in one batch, which is largest, and cheapest a face, at 8
    queue: int = 256  # requests waiting for a worker, if they can be served in `max_wait_s`
    max_wait_s: float = 3.0  # a person still waits so long; who would wait longer is told `busy` at once instead
    max_frame: int = DEFAULT_MAX_FRAME
    max_hello: int = 4096  # bytes of a frame before the token was said: `hello` has some dozens
    max_buffered: int = 256 * 2**20  # eight of the largest frames; what is more waits in the peers' own buffers
    hello_timeout_s: float = 5.0  # from connecting to the token: a few round trips on any line
    place_wait_s: float = 3.0  # that a first request may wait for a place: somebody's answer, or a frame that stalls
    idle_timeout_s: float = 60.0  # a connection that asks nothing gives its slot back
    frame_timeout_s: float = 30.0  # for one whole frame: 32 MiB at 9 Mbit/s, a photo on a poor line
    slowest_frame: int = 32 * 1024  # bytes a second that a frame must come at, or hold its place for nothing
    send_timeout_s: float = 20.0  # without the client taking one byte of its answer
    request_timeout_s: float = 20.0  # until its work begins, and between its steps: less than our clients' own 30 s
    retry_after_ms: int = 500  # told with `busy` where no queue says more: the time some requests take
