"""Talk to a facewire server:

    from facewire.client import FaceClient

    with FaceClient("127.0.0.1", 5050) as faces:
        for face in faces.identify_file("photo.jpg").faces:
            print(face.name or "unknown", face.similarity)

It needs msgpack and nothing else; drawing (client.render) needs numpy and cv2.
"""

from facewire.client.errors import (
    AlreadyExists,
    BadAnswer,
    CannotConnect,
    ClientError,
    Conflict,
    ConnectionLost,
    Forbidden,
    InvalidImage,
    NoFace,
    NotEnrolled,
    ServerBusy,
    ServerFailed,
    ServerRefused,
    ServerTimeout,
    SeveralFaces,
    StorageFailed,
    TooLarge,
    TooLate,
    Unauthorized,
    UnknownPerson,
    UnknownTemplate,
)
from facewire.client.face_client import FaceClient, embedding_values
from facewire.client.tls import Tls

__all__ = [
    "FaceClient",
    "Tls",
    "embedding_values",
    "ClientError",
    "ConnectionLost",
    "CannotConnect",
    "ServerTimeout",
    "BadAnswer",
    "ServerRefused",
    "ServerBusy",
    "TooLate",
    "InvalidImage",
    "NoFace",
    "SeveralFaces",
    "NotEnrolled",
    "UnknownPerson",
    "UnknownTemplate",
    "AlreadyExists",
    "Conflict",
    "StorageFailed",
    "TooLarge",
    "Unauthorized",
    "Forbidden",
    "ServerFailed",
]
