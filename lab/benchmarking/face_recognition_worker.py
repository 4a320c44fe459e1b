"""The package `face_recognition` (dlib) as run by the benchmark, in a separate process.

It does what its own examples do: HOG detector, 68 landmarks, dlib's network, and the nearest of as many known faces as
the server's gallery has templates. It reads no emotions.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import face_recognition
import numpy as np

from lab.benchmarking.worker import Worker, serve

DIMENSION = 128


class FaceRecognitionWorker(Worker):
    """See `Worker`."""

    def prepare(self, pictures: list[str], gallery: str) -> dict[str, Any]:
        """As many random known faces as there are templates: only their number takes time."""
        super().prepare(pictures, gallery)
        self._gallery = np.random.default_rng(0).standard_normal((len(self._gallery), DIMENSION)).astype(np.float32)
        return {}

    def identified(self, data: bytes) -> int:
        """See `Worker`."""
        image = face_recognition.load_image_file(io.BytesIO(data))
        faces = face_recognition.face_encodings(image, face_recognition.face_locations(image))
        for face in faces:
            np.argmin(face_recognition.face_distance(self._gallery, face))
        return len(faces)


if __name__ == "__main__":
    sys.exit(serve(FaceRecognitionWorker()))
