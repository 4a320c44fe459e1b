"""DeepFace as run by the benchmark, in a separate process: the baseline for the server.

It does the same work as the server's `identify`: YuNet, Facenet512, the nearest template of the gallery, and the
emotion, with DeepFace's own functions used as documented. Avoidable slowness of DeepFace is avoided: a face is not
detected again for its emotion, and the gallery is searched by one matrix product. DeepFace's log goes to stderr.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import cv2
import numpy as np

from lab.benchmarking.worker import Worker, serve


class DeepFaceWorker(Worker):
    """See `Worker`."""

    def prepare(self, pictures: list[str], gallery: str) -> dict[str, Any]:
        """See `Worker`."""
        from deepface.commons import backend_utils
        from deepface.modules import modeling

        super().prepare(pictures, gallery)
        if backend_utils.get_backend_engine() == backend_utils.TENSORFLOW:
            modeling.build_model("facial_recognition", "Facenet512")  # which creates the cache of models
            modeling.cached_models["facial_attribute"]["Emotion"] = random_emotion_network()
        return {}

    def register(self, paths: list[str], db: str, at_once: int) -> dict[str, Any]:
        """Registers pictures in DeepFace's own SQLite database."""
        from deepface.modules import datastore

        used, begun = time.process_time(), time.perf_counter()
        for at in range(0, len(paths), at_once):
            some = paths[at : at + at_once]
            datastore.register(
                some if len(some) > 1 else some[0],
                model_name="Facenet512",
                detector_backend="yunet",
                enforce_detection=False,
                database_type="sqlite",
                connection_details=db,
            )
        return {"seconds": time.perf_counter() - begun, "cpu": time.process_time() - used}

    def identified(self, data: bytes) -> int:
        """See `Worker`."""
        from deepface.modules import demography, representation
        from deepface.modules.exceptions import FaceNotDetected

        image = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
        try:
            faces = representation.represent(image, model_name="Facenet512", detector_backend="yunet")
        except FaceNotDetected:
            return 0
        for face in faces:
            embedding = np.asarray(face["embedding"], np.float32)
            np.argmax(self._gallery @ (embedding / np.linalg.norm(embedding)))
            x, y, width, height = (face["facial_area"][side] for side in "xywh")
            cut = image[y : y + height, x : x + width]
            demography.analyze(cut, actions=["emotion"], detector_backend="skip", silent=True)
        return len(faces)


def random_emotion_network() -> Any:
    """DeepFace's Emotion client on TensorFlow with random weights, which suffice for timing."""
    from deepface.commons import weight_utils
    from deepface.modules import modeling

    kept = weight_utils.download_weights_if_necessary, weight_utils.load_model_weights
    weight_utils.download_weights_if_necessary = lambda file_name, source_url, compress_type=None: file_name
    weight_utils.load_model_weights = lambda model, weight_file: model
    try:
        return modeling.get_model_class("facial_attribute", "Emotion")()
    finally:
        weight_utils.download_weights_if_necessary, weight_utils.load_model_weights = kept


if __name__ == "__main__":
    sys.exit(serve(DeepFaceWorker()))
