"""DeepFace as benchmark.py asks it: the one script that imports it, because it is what the server is compared with.

Reads JSON lines: first {"pictures": [hex, ...]}, then {"seconds": s} for each round; answers each round with
{"rate": pictures a second}. DeepFace's log goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
import time

import cv2
import numpy as np


def main() -> int:
    """Until its input ends."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # DeepFace's logger prints
    from deepface.modules import representation

    encoded = json.loads(sys.stdin.readline())["pictures"]
    pictures = [np.frombuffer(bytes.fromhex(picture), np.uint8) for picture in encoded]
    for line in sys.stdin:
        begun, done = time.perf_counter(), 0
        while time.perf_counter() < begun + json.loads(line)["seconds"]:
            image = cv2.imdecode(pictures[done % len(pictures)], cv2.IMREAD_COLOR)
            representation.represent(
                image, model_name="Facenet512", detector_backend="yunet", enforce_detection=False, max_faces=None
            )
            done += 1
        print(json.dumps({"rate": done / (time.perf_counter() - begun)}), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
