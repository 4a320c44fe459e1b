"""How a client recognises its server, and shows itself, over TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from facewire.client.errors import BadCertificate
from facewire.protocol.tls import TlsChannel, client_context, why_unusable


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca`: PEM file of the authorities (or the certificate itself) to trust instead of this machine's; `cert` and
    `key`: PEM files of the client's own certificate, for servers that ask for one."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Reads the files. Raises BadCertificate."""
        try:
            return client_context(self.ca, self.cert, self.key)
        except OSError as error:
            files = ", ".join(str(file) for file in (self.ca, self.cert, self.key) if file is not None)
            raise BadCertificate(
                f"{files or 'the trusted certificates'} can't be used: {why_unusable(error)}"
            ) from error


def channel_to(host: str, context: ssl.SSLContext) -> Callable[[socket.socket], TlsChannel]:
    """What encrypts a socket connected to `host`, whose certificate must name it."""
    return partial(TlsChannel, context=context, server_name=host)
