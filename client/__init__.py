"""Talk to a facewire server:

    from client import FaceClient

    with FaceClient("127.0.0.1", 5050) as faces:
        for face in faces.identify_file("photo.jpg").faces:
            print(face.name or "unknown", face.similarity)

It needs msgpack and nothing else; drawing (client.render) needs numpy and cv2.
"""

from client.errors import (
    BadAnswer,
    CannotConnect,
    ClientError,
    ConnectionLost,
    InvalidImage,
    NoFace,
    ServerBusy,
    ServerFailed,
    ServerRefused,
    ServerTimeout,
    SeveralFaces,
    TooLarge,
    TooLate,
    Unauthorized,
    UnknownPerson,
)
from client.face_client import FaceClient, embedding_values

__all__ = [
    "FaceClient",
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
    "UnknownPerson",
    "TooLarge",
    "Unauthorized",
    "ServerFailed",
]
