"""DeepFace's own REST API in a process of its own: `python -m lab.benchmarking.deepface_api` prints the port that it
listens on. It has more than one thread, as behind a production server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facewire.scripts.serving import ROOT, last_line
from facewire.server.errors import StartError
from lab.benchmarking.processes import engine_environment

NEEDED = ("flask", "flask_cors", "dotenv", "onnxruntime")
"""Packages that it imports, besides DeepFace's own."""


@contextmanager
def deepface_api(home: Path, room: Path) -> Iterator[str]:
    """Its URL, on ONNX Runtime, DeepFace's default; its database and its log are in `room`. Raises StartError."""
    log = room / "deepface-api.log"
    env = os.environ | engine_environment("onnx", home)
    env |= {"DEEPFACE_DATABASE_TYPE": "sqlite", "DEEPFACE_CONNECTION_DETAILS": str(room / "deepface.db")}
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.benchmarking.deepface_api"],
            cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=file, text=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        port = next((line.strip() for line in process.stdout if line.strip().isdigit()), "")  # besides its log
        if not port:
            raise StartError(f"DeepFace's API did not start: {last_line(log)}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def main() -> int:
    """Serves until it is killed."""
    from deepface.api.src.app import create_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, create_app(), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
