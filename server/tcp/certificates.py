"""The server's certificate for TLS. New connections get the files as they are now; those that are open keep theirs."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from facewire.protocol.settings import setting
from facewire.protocol.tls import TlsChannel, server_context, why_unusable
from facewire.server.errors import StartError

_log = logging.getLogger("facewire.tcp")

_LOOK_S = 1.0  # between two looks at the files: a stat each, and renewals are months apart

_Signature = tuple[tuple[int, int, int], ...]  # of each file: inode, size, time of change


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. Without certificate and key, the server speaks plain TCP."""

    tls_cert: Path | None = setting(
        None, metavar="FILE", help="speak TLS only, with this certificate (PEM, with chain)"
    )
    tls_key: Path | None = setting(None, metavar="FILE", help="the certificate's key (PEM, no passphrase)")
    client_ca: Path | None = setting(
        None, metavar="FILE", help="admit only clients with a certificate that an authority in this file signed (PEM)"
    )


class Certificates:
    """Looks at the files at a connection, and at `read_again`. Files that can't be used, such as a certificate whose
    key is not there yet, leave the last good ones in force. Thread-safe."""

    def __init__(
        self, cert: Path, key: Path, client_ca: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises StartError."""
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._clock = clock
        self._lock = threading.Lock()  # guards the three below
        self._seen = self._signature()
        self._looked = clock()
        try:
            self._context = server_context(cert, key, client_ca)
        except OSError as error:
            raise StartError(self._unusable(error), exit_code=2) from error

    def channel(self, sock: socket.socket) -> TlsChannel:
        """The TLS of a new connection."""
        with self._lock:
            if self._clock() - self._looked >= _LOOK_S:
                self._looked = self._clock()
                self._read_if_changed()
            context = self._context
        return TlsChannel(sock, context)

    def read_again(self) -> None:
        """Looks at the files now."""
        with self._lock:
            self._read_if_changed()

    def _read_if_changed(self) -> None:
        seen = self._signature()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._context = server_context(self._cert, self._key, self._client_ca)
        except OSError as error:
            _log.error("%s; new connections still get the certificate from before", self._unusable(error))
        else:
            _log.info("new connections get the certificate that is now in %s", self._cert)

    def _signature(self) -> _Signature:
        found = []
        for file in (self._cert, self._key, self._client_ca):
            try:
                about = file.stat() if file is not None else None
            except OSError:
                about = None  # said when it is read
            found.append((0, 0, 0) if about is None else (about.st_ino, about.st_size, about.st_mtime_ns))
        return tuple(found)

    def _unusable(self, error: OSError) -> str:
        files = " and ".join(str(file) for file in (self._cert, self._key, self._client_ca) if file is not None)
        return (
            f"{files} can't be used: {why_unusable(error)}"
            " (needed: PEM files, the key of this certificate, without a passphrase)"
        )


def open_certificates(files: TlsFiles) -> Certificates | None:
    """The certificates, or None if there are none. Raises StartError."""
    if files.tls_cert is None and files.tls_key is None:
        if files.client_ca is not None:
            raise StartError("--client-ca needs --tls-cert and --tls-key", exit_code=2)
        return None
    if files.tls_cert is None or files.tls_key is None:
        raise StartError("--tls-cert and --tls-key go together", exit_code=2)
    return Certificates(files.tls_cert, files.tls_key, files.client_ca)
