"""Checks the token. After a few wrong ones, tokens from that address are checked with growing delay.

They are delayed, not refused, so clients that share an address with a guesser, as the page's visitors do, still get in.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from facewire.server.access.tokens import Token, digest_of

_log = logging.getLogger("facewire.tcp")

_FREE = 3  # wrong tokens per address without a delay, for typing errors
_FIRST_S = 1.0  # delay after the next one; doubled each time
_LONGEST_S = 8.0  # shorter than any client's timeout; bounds guesses to one per stranger's place in that time
_FORGOTTEN_S = 600.0  # without a wrong token
_MOST = 4096  # addresses remembered; beyond that, the one wrong longest ago is forgotten


@dataclass(slots=True)
class _Record:
    wrong: int
    last: float
    closed_until: float


class TokenGuard:
    """Checks tokens and delays guessers. Thread-safe."""

    def __init__(self, find: Callable[[str], Token | None], clock: Callable[[], float] = time.monotonic) -> None:
        """`find`: the token of a digest."""
        self._find = find
        self._clock = clock
        self._lock = threading.Lock()  # guards _records
        self._records: OrderedDict[str, _Record] = OrderedDict()  # by network, most recently wrong last

    def closed_for(self, address: str) -> float:
        """Seconds until a token from this address is checked."""
        with self._lock:
            record = self._records.get(network_of(address))
            return 0.0 if record is None else max(0.0, record.closed_until - self._clock())

    def admit(self, text: str, address: str) -> Token | None:
        """The token, or None: a wrong one is logged and counted against its network."""
        token = self._find(digest_of(text))
        network = network_of(address)
        with self._lock:
            if token is not None:
                self._records.pop(network, None)
                return token
            wrong = self._count(network)
        _log.warning("a wrong token from %s (%d in a row)", address, wrong)
        return None

    def _count(self, network: str) -> int:
        now = self._clock()
        record = self._records.pop(network, None)
        if record is None or now - record.last > _FORGOTTEN_S:
            record = _Record(0, now, now)
        record.wrong += 1
        record.last = now
        over = record.wrong - _FREE - 1
        record.closed_until = now + (min(_LONGEST_S, _FIRST_S * 2.0 ** min(over, 10)) if over >= 0 else 0.0)
        self._records[network] = record
        if len(self._records) > _MOST:
            self._records.popitem(last=False)
        return record.wrong


def network_of(address: str) -> str:
    """The network that one sender controls: the /64 of an IPv6 address, or one IPv4 address in any notation."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:  # not an Internet socket
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)
