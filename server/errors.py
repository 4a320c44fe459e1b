"""The domain's errors; each message tells the user what to do next.

FacewireError
|-- RequestError        a request that can't be served; dispatch maps each class to an error code
|   |-- InvalidImage, NoFace, SeveralFaces, Rejected
|   |   +-- VideosNotRead   this server reads no videos
|   |-- UnknownPerson, UnknownTemplate, AlreadyExists, InvalidName
|   |-- UnknownAlbum, BadRequest, OverLimit
|   |-- Forbidden       the token may not do this
|   |-- Conflict        the change is not possible in the gallery's current state
|   |-- StorageFailed   data could not be saved; nothing was changed
|   |-- Busy            try again after `retry_after_ms`
|   |-- TimedOut        the request exceeded its maximum wait
|   +-- ModelMismatch   embeddings of two different specs can't be compared
+-- StartError          the server or a script can't start as configured; one line and an exit code, no traceback
"""

from __future__ import annotations


class FacewireError(Exception):
    """Base class of every error this project raises on purpose."""


class RequestError(FacewireError):
    """A request that can't be served; the connection stays open."""


class InvalidImage(RequestError):
    """Unsupported image format, damaged data, or an image beyond the limits."""


class VideosNotRead(InvalidImage):
    """The library that reads videos is not installed here."""


class NoFace(RequestError):
    """A face is required, but the picture shows none."""


class SeveralFaces(RequestError):
    """Exactly one face is required, but the picture shows several."""


class Rejected(RequestError):
    """A picture is not good enough to enrol. The message explains why; `reason` is the corresponding code of the wire
    protocol."""

    def __init__(self, message: str, *, reason: str = "rejected") -> None:
        super().__init__(message)
        self.reason = reason


class UnknownPerson(RequestError):
    """Nobody with that name is enrolled."""


class UnknownTemplate(RequestError):
    """The person has no template with that id."""


class UnknownAlbum(RequestError):
    """No album has that name."""


class BadRequest(RequestError):
    """Refers to something that does not exist or is not possible."""


class OverLimit(RequestError):
    """The request exceeds a limit or quota of this server."""


class Forbidden(RequestError):
    """The token may not do this."""


class AlreadyExists(RequestError):
    """The name is taken."""


class InvalidName(RequestError, ValueError):
    """The text is not a valid name."""


class Conflict(RequestError):
    """Not possible in the gallery's current state: there is nothing to undo, or another change came first."""


class StorageFailed(RequestError):
    """Data could not be saved: the disk is full, or the file is read-only, damaged or was deleted while in use. Nothing
    was changed."""


class ModelMismatch(RequestError):
    """Embeddings of two different specs can't be compared."""


class TimedOut(RequestError):
    """The request exceeded the server's maximum wait."""


class Busy(RequestError):
    """The server is at capacity; retry after `retry_after_ms`."""

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class StartError(FacewireError):
    """The program can't run in this configuration; `exit_code` is 2 (usage error) or 3 (failure)."""

    exit_code = 3

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code
