"""What can go wrong for a caller of the client.

ClientError
|-- ConnectionLost        no connection, or it broke before the answer came; asking again may help
|   |-- CannotConnect     no server listens there
|   +-- TlsProblem        no TLS with it: one of the two has none, or a certificate is not accepted
|-- BadCertificate        the files of a certificate can't be used
|-- ServerTimeout         the answer did not come in time
|-- BadAnswer             the server's answer breaks the protocol
+-- ServerRefused         the server answered with an error: `code`, `message`, `retry_after_ms`
    |-- ServerBusy        busy; ask again after `retry_after_ms`
    |-- TooLate           timeout: the server could not begin in time, or closed a connection that said nothing
    |-- InvalidImage, NoFace, SeveralFaces
    |-- NotEnrolled       rejected: the picture was refused for another reason, which the message says
    |-- UnknownPerson, UnknownTemplate
    |-- AlreadyExists     exists: the name is taken
    |-- Conflict          nothing to undo, or another change came first
    |-- StorageFailed     storage: the server could not write (a full disk, a read-only file); nothing was changed
    |-- TooLarge          too_large: more bytes than a frame may have
    |-- Unauthorized      the token is missing, wrong, revoked or expired
    |-- Forbidden         the token may not do this
    +-- ServerFailed      internal: a bug of the server, whose log says more
"""

from __future__ import annotations

from collections.abc import Mapping

from facewire.protocol.errors import ErrorCode
from facewire.protocol.messages import Failure


class ClientError(Exception):
    """Base of everything that the client raises on purpose.

    `unheard`: the server has said that it closed the connection without having begun this request, so asking again
    can't do anything twice.
    """

    unheard = False


class ConnectionLost(ClientError):
    """There is no connection, or it broke before the answer came."""


class CannotConnect(ConnectionLost):
    """No server listens there."""


class TlsProblem(ConnectionLost):
    """There is no TLS with the server: one of the two has none, or a certificate is not accepted."""


class BadCertificate(ClientError):
    """The files of a certificate can't be used."""


class ServerTimeout(ClientError):
    """The answer did not come in time; the connection is still good."""


class BadAnswer(ClientError):
    """The server's answer breaks the protocol."""


class ServerRefused(ClientError):
    """The server answered with an error."""

    def __init__(self, code: ErrorCode, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms


class ServerBusy(ServerRefused):
    """The server has all the work, or all the connections, that it can hold."""


class TooLate(ServerRefused):
    """The server could not begin in time, or closed a connection that said nothing for too long."""


class InvalidImage(ServerRefused):
    """The bytes are not a picture that the server reads."""


class NoFace(ServerRefused):
    """The picture shows no face."""


class SeveralFaces(ServerRefused):
    """The picture shows several faces where one is needed."""


class UnknownPerson(ServerRefused):
    """Nobody of that name is enrolled."""


class NotEnrolled(ServerRefused):
    """A picture was refused at enrolment for a reason that the message gives."""


class UnknownTemplate(ServerRefused):
    """The person has no template of that number."""


class AlreadyExists(ServerRefused):
    """The name is taken."""


class Conflict(ServerRefused):
    """The change is not possible now: nothing to undo, or another change came first."""


class StorageFailed(ServerRefused):
    """The server could not write: a full disk, a read-only file. Nothing was changed."""


class TooLarge(ServerRefused):
    """More bytes than a frame may have."""


class Unauthorized(ServerRefused):
    """The token is missing, wrong, revoked or expired; the message says which."""


class Forbidden(ServerRefused):
    """The token may not do this; the message names the right that it lacks."""


class ServerFailed(ServerRefused):
    """A bug of the server; its log says more."""


_OF_CODE: Mapping[ErrorCode, type[ServerRefused]] = {
    ErrorCode.BUSY: ServerBusy,
    ErrorCode.TIMEOUT: TooLate,
    ErrorCode.INVALID_IMAGE: InvalidImage,
    ErrorCode.NO_FACE: NoFace,
    ErrorCode.SEVERAL_FACES: SeveralFaces,
    ErrorCode.REJECTED: NotEnrolled,
    ErrorCode.UNKNOWN_PERSON: UnknownPerson,
    ErrorCode.UNKNOWN_TEMPLATE: UnknownTemplate,
    ErrorCode.EXISTS: AlreadyExists,
    ErrorCode.CONFLICT: Conflict,
    ErrorCode.STORAGE: StorageFailed,
    ErrorCode.TOO_LARGE: TooLarge,
    ErrorCode.UNAUTHORIZED: Unauthorized,
    ErrorCode.FORBIDDEN: Forbidden,
    ErrorCode.INTERNAL: ServerFailed,
}


def refused(failure: Failure) -> ServerRefused:
    """The error for a failure that the server answered; ServerRefused itself for a code without a class."""
    kind = _OF_CODE.get(failure.code, ServerRefused)
    return kind(failure.code, failure.message, failure.retry_after_ms)
