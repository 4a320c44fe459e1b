"""What can go wrong in the domain: errors with a message that tells the user what to do next.

FacewireError
|-- RequestError        a request that can't be served; dispatch maps each class to an error code
|   |-- InvalidImage, NoFace, SeveralFaces, Rejected
|   |-- UnknownPerson, UnknownTemplate, AlreadyExists, InvalidName
|   |-- UnknownAlbum, BadRequest, OverLimit
|   |-- Conflict        the change can't be made as the gallery stands now
|   |-- StorageFailed   what had to be kept could not be; no change is in force
|   |-- Busy            try again after `retry_after_ms`
|   |-- TimedOut        the request waited longer than it may
|   +-- ModelMismatch   two embedding specs met that must not be compared
+-- StartError          the server, or a script, can't start as asked; one line and an exit code, no traceback
"""

from __future__ import annotations


class FacewireError(Exception):
    """Base of everything this project raises on purpose."""


class RequestError(FacewireError):
    """A request that can't be served; the connection lives on."""


class InvalidImage(RequestError):
    """The bytes are not a picture that we read, or one beyond the limits."""


class NoFace(RequestError):
    """A face is needed and the picture shows none."""


class SeveralFaces(RequestError):
    """One face is needed and the picture shows several."""


class Rejected(RequestError):
    """A picture is not good enough to enrol; the message says why, `reason` in a word of the wire."""

    def __init__(self, message: str, *, reason: str = "rejected") -> None:
        super().__init__(message)
        self.reason = reason


class UnknownPerson(RequestError):
    """Nobody of that name is enrolled."""


class UnknownTemplate(RequestError):
    """The person has no template of that number."""


class UnknownAlbum(RequestError):
    """No album has that name."""


class BadRequest(RequestError):
    """It asks for what is not there, or can't be."""


class OverLimit(RequestError):
    """More than a limit or a quota of this server allows."""


class AlreadyExists(RequestError):
    """That name is taken."""


class InvalidName(RequestError, ValueError):
    """A text that can't be a person's name."""


class Conflict(RequestError):
    """The change can't be made as the gallery stands: nothing to undo, or another change came in between."""


class StorageFailed(RequestError):
    """What had to be kept could not be: a full disk, a read-only or damaged file, one that was deleted under us. No
    change is in force."""


class ModelMismatch(RequestError):
    """Embeddings of two specs can't be compared."""


class TimedOut(RequestError):
    """The request waited longer than the server lets it."""


class Busy(RequestError):
    """The server has all the work it can hold; `retry_after_ms` says when to ask again."""

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class StartError(FacewireError):
    """Nothing can be served in this configuration; `exit_code` is 2 (usage error) or 3 (something is broken)."""

    exit_code = 3

    def __init__(self, message: str, *, exit_code: int | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code
