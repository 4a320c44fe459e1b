"""Every bound of the socket server, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.framing import DEFAULT_MAX_FRAME


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """Counts, bytes and seconds. Memory for requests is at most `max_connections * (max_in_flight + 1) * max_frame`;
    in practice pictures have some hundred KB, and `workers + queue` of them are held."""

    max_connections: int = 64  # threads are two a connection; a client over it is told `busy` and closed
    max_in_flight: int = 8  # requests of one connection; then it is not read until one is answered
    workers: int = 8  # pictures whose faces can meet in one batch, which is largest, and cheapest a face, at 8
    queue: int = 64  # requests waiting for a worker: some seconds of work; more would only time out
    max_frame: int = DEFAULT_MAX_FRAME
    idle_timeout_s: float = 60.0  # a connection that asks nothing gives its slot back
    frame_timeout_s: float = 30.0  # for one whole frame: 32 MiB at 9 Mbit/s, a photo on a poor line
    send_timeout_s: float = 20.0  # without the client taking one byte of its answer
    request_timeout_s: float = 30.0  # from its arrival to the start of its work; later nobody waits for it
    retry_after_ms: int = 500  # told with `busy`: a full queue moves on by some requests in that time
