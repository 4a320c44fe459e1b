"""TLS between a non-blocking socket and the stream of frames: OpenSSL works on memory, so waiting stays the stream's.

An `ssl.SSLSocket` won't do. OpenSSL's state may be used by one thread at a time, but a connection is read and written
by two; and its `shutdown` switches encryption off for both directions, though the stream ends them one by one.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from pathlib import Path

_RECORD = 16 * 1024  # bytes: OpenSSL decrypts a record at a time, and none is larger
_CHUNK = 256 * 1024  # bytes per recv
_MOST_UNSENT = 4 * _RECORD  # of which one at most is ours
_HANDSHAKE, _ALERT = 0x16, 0x15  # the first byte of whoever speaks TLS

# A peer may end its direction without TLS's own goodbye and still be answered: a frame that was cut off is recognised
# by its length.
_ENDS_ANYHOW = ssl.OP_IGNORE_UNEXPECTED_EOF


class TlsFailed(OSError):
    """The peers could not agree, or what arrived was not what the other one sent."""


class NotTls(TlsFailed):
    """The peer speaks something else, which begins with `begins`."""

    def __init__(self, begins: bytes) -> None:
        super().__init__("the other side does not speak TLS")
        self.begins = begins


class TlsChannel:
    """A connected socket, encrypted; to the stream it looks like that socket. Its calls never wait: they raise
    BlockingIOError. A call to `send` that did must be repeated with the same bytes."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """`server_name`: the server that the certificate must name; None at the server itself."""
        self._sock = sock
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_name is None, server_name)
        self._lock = threading.Lock()  # guards everything here but the socket; held only by calls that don't wait
        self._unsent = bytearray()  # encrypted, and not taken by the socket yet
        self._taken = 0  # bytes of the view last given to `send`: encrypted, but not all sent
        self._heard = False

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._sock.fileno()

    @property
    def wants_to_write(self) -> bool:
        """Did the last call fail because the peer takes nothing, rather than because nothing has arrived?"""
        return bool(self._unsent)

    @property
    def has_arrived(self) -> bool:
        """Has anything been taken from the socket, but not been read yet?"""
        with self._lock:
            return bool(self._tls.pending() or self._arrived.pending)

    def shake_hands(self) -> None:
        """Agrees on keys. Raises BlockingIOError until that is done; TlsFailed, NotTls."""
        with self._lock:
            while True:
                try:
                    self._tls.do_handshake()
                except ssl.SSLWantReadError:
                    self._flush()
                    self._take_some()
                except ssl.SSLError as error:
                    with contextlib.suppress(OSError):
                        self._flush()  # the alert that tells the peer why
                    raise TlsFailed(_told(error)) from error
                else:
                    self._flush()
                    return

    def recv(self, size: int) -> bytes:
        """As a socket's; b"" at the end of the stream, properly ended or not: a frame knows its length."""
        data = bytearray()
        with self._lock:
            while len(data) < size:
                try:
                    piece = self._tls.read(min(_RECORD, size - len(data)))
                except ssl.SSLWantReadError:
                    if data:
                        break
                    self._take_some()
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    break
                except ssl.SSLError as error:
                    raise TlsFailed(_told(error)) from error
                else:
                    if not piece:  # the end, if it is we who have not said goodbye yet
                        break
                    data += piece
            self._answer()
        return bytes(data)

    def send(self, data: memoryview) -> int:
        """As a socket's. Returns once what it took is with the system, so nothing is left to flush."""
        with self._lock:
            self._flush()
            if not self._taken:
                try:
                    self._taken = self._tls.write(data[:_RECORD])
                except ssl.SSLError as error:
                    raise TlsFailed(_told(error)) from error
            self._flush()
            taken, self._taken = self._taken, 0
            return taken

    def shutdown(self, how: int) -> None:
        """As a socket's; tells the peer first that nothing more will be sent."""
        if how == socket.SHUT_WR:
            with self._lock, contextlib.suppress(OSError):  # ssl.SSLError is one: the peer's own end has not come yet
                try:
                    self._tls.unwrap()
                finally:
                    self._flush()
        self._sock.shutdown(how)

    def close(self) -> None:
        """Frees the socket."""
        self._sock.close()

    def _flush(self) -> None:
        self._unsent += self._leaving.read()
        while self._unsent:
            with memoryview(self._unsent) as view:
                sent = self._sock.send(view)
            del self._unsent[:sent]

    def _answer(self) -> None:
        """Sends what OpenSSL itself has to say to what it read, such as new keys or a refused renegotiation."""
        if self._leaving.pending:
            with contextlib.suppress(BlockingIOError):
                self._flush()
            if len(self._unsent) > _MOST_UNSENT:
                raise TlsFailed("the other side asks TLS for answers, and reads none")

    def _take_some(self) -> None:
        data = self._sock.recv(_CHUNK)
        if data and not self._heard:
            self._heard = True
            if data[0] not in (_HANDSHAKE, _ALERT):
                raise NotTls(data[:4])
        if data:
            self._arrived.write(data)
        else:
            self._arrived.write_eof()


def server_context(cert: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    """What a server offers: TLS 1.2 or later, and no sessions to resume, so that each connection shows its certificate.
    Raises OSError, of which ssl.SSLError is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= _ENDS_ANYHOW | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.load_cert_chain(cert, key, password=_no_passphrase)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """What a client asks for: a certificate that names the server, signed by `ca`, or without one by an authority that
    this machine trusts. Raises OSError."""
    context = ssl.create_default_context(cafile=ca)
    context.options |= _ENDS_ANYHOW
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert is not None:
        context.load_cert_chain(cert, key, password=_no_passphrase)
    return context


def why_unusable(error: OSError) -> str:
    """What is wrong with the files of a context."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM file").lower().replace("_", " ")
    return error.strerror or "no PEM file"


def _no_passphrase() -> str:
    """Without this, OpenSSL would ask for one on the terminal."""
    return ""


def _told(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return "it ended before TLS began"
    reason = (error.reason or str(error)).lower().replace("_", " ")
    alert = reason.partition(" alert ")[2]
    return f"the other side refused TLS: {alert}" if alert else f"TLS failed: {reason}"
