"""Tells systemd how the server is (sd_notify): a datagram to the socket that NOTIFY_SOCKET names, or nothing without
one."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

_log = logging.getLogger("facewire")

_ABSTRACT = "@"  # stands for the zero byte with which such a name begins


class Supervisor:
    """systemd, if it started this process as a service of `Type=notify`; otherwise nobody listens."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith(_ABSTRACT) else address
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = int(environment.get("WATCHDOG_USEC", "0")) if mine else 0
        self._pause_s = microseconds / 1e6 / 2 or None  # half of what systemd allows, as its manual advises

    def ready(self) -> None:
        """The server takes requests."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """The server ends what is under way."""
        self._tell("STOPPING=1")

    def wait(self, signals: socket.socket) -> int:
        """The next byte of `signals`, the number of one; until then tells the watchdog, if there is one, that the
        interpreter still runs."""
        signals.settimeout(self._pause_s)
        while True:
            try:
                return signals.recv(1)[0]
            except TimeoutError:
                self._tell("WATCHDOG=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.connect(self._address)
                channel.sendall(state.encode())
        except OSError as error:
            _log.warning("can't tell systemd %s: %s", state, error)
