"""DeepFace's own REST API, in a process of its own, and ours answer the same requests: with the same fields, of the
same types, and the same numbers where the crop is the same."""

from __future__ import annotations

import base64
import importlib.util
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from facewire.client.web.deepface import distances
from facewire.client.web.deepface.app import DEEPFACE_VERSION
from facewire.server.cache import default_cache_dir
from facewire.server.maintenance.create_db import main as create_db
from tests.support.server_process import environment, serving_process
from tests.support.web_server import web_page

NEEDED = ("flask", "flask_cors", "dotenv", "onnxruntime", "tf2onnx", "tensorflow")
FACENET = {"model_name": "Facenet512"}
SKIP = FACENET | {"detector_backend": "skip"}
YUNET = FACENET | {"detector_backend": "yunet"}


class Both:
    """The two APIs."""

    def __init__(self, theirs: str, ours: str) -> None:
        self.addresses = (theirs, ours)

    def ask(self, path: str, **fields: object) -> tuple[Any, Any]:
        """Both answers, which must both be good."""
        (status, theirs), (own, ours) = self.tell(path, **fields)
        assert (status, own) == (200, 200), (theirs, ours)
        return theirs, ours

    def tell(self, path: str, **fields: object) -> list[tuple[int, Any]]:
        """Status and answer of both."""
        return [_post(address + path, fields) for address in self.addresses]


def _post(url: str, fields: dict[str, object]) -> tuple[int, Any]:
    request = urllib.request.Request(url, json.dumps(fields).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def both(weights_dir: Path, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"DeepFace's own API needs {', '.join(missing)} (requirements-dev.txt)")
    from lab.benchmarking.deepface_api import deepface_api
    from lab.benchmarking.processes import deepface_home

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DEEPFACE_HOME", str(weights_dir))
        home = deepface_home(default_cache_dir() / "benchmark")
    room = tmp_path_factory.mktemp("both")
    flags = ("--db", str(room / "people.db"), "--weights-dir", str(weights_dir), "--no-download")
    nearly_nobody = shutil.copytree(max((sample / "people").iterdir()), room / "people" / "Somebody Else").parent
    assert create_db([str(nearly_nobody), "--model", "Facenet512", *flags]) == 0
    with (
        deepface_api(home, room) as theirs,
        serving_process(*flags, env=environment()) as server,
        web_page(server.address, deepface_api=True) as page,
    ):
        yield Both(theirs, page.url)


@pytest.fixture(scope="module")
def faces(sample: Path) -> list[str]:
    """Two pictures of a person and one of another, as data URIs of PNG, which everybody decodes alike."""
    one, other = sorted((sample / "people").iterdir())[:2]
    return [_png(picture) for picture in (*sorted(one.iterdir())[:2], sorted(other.iterdir())[0])]


def _png(path: Path) -> str:
    pixels = cv2.imread(str(path))
    assert pixels is not None
    done, data = cv2.imencode(".png", pixels)
    assert done
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode()


def shape(value: object) -> object:
    """The keys and types of an answer; whole numbers may stand for floats, as in any JSON."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def test_embeddings_of_a_whole_picture(both: Both, faces: list[str]) -> None:
    theirs, ours = both.ask("/represent", img=faces[0], **SKIP)
    assert shape(ours) == shape(theirs)
    one, other = (np.array(answer["results"][0]["embedding"]) for answer in (theirs, ours))
    length = np.linalg.norm(one)
    assert length > 5  # as the network gives it, not of unit length
    assert np.abs(one - other).max() < 1e-3 * length  # the server stores weights in float16


@pytest.mark.parametrize("align", [True, False])
def test_embeddings_of_faces_that_each_finds(both: Both, faces: list[str], align: bool) -> None:
    theirs, ours = both.ask("/represent", img=faces[0], align=align, **YUNET)
    assert shape(ours) == shape(theirs)
    (one,), (other,) = theirs["results"], ours["results"]
    for side in "xywh":
        assert other["facial_area"][side] == pytest.approx(one["facial_area"][side], abs=0.1 * one["facial_area"]["w"])
    assert distances.cosine(one["embedding"], other["embedding"]) < 0.2


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "euclidean_l2", "angular"])
def test_verify_of_whole_pictures(both: Both, faces: list[str], metric: str) -> None:
    for other in faces[1:]:
        fields = SKIP | {"img1": faces[0], "img2": other, "distance_metric": metric}
        theirs, ours = both.ask("/verify", **fields)
        assert shape(ours) == shape(theirs)
        # Here DeepFace resizes in floats what it resizes in bytes for /represent; we always do the latter
        assert ours["distance"] == pytest.approx(theirs["distance"], abs=5e-3, rel=5e-3)
        assert ours["confidence"] == pytest.approx(theirs["confidence"], abs=1)
        for same in ("verified", "threshold", "model", "detector_backend", "similarity_metric", "facial_areas"):
            assert ours[same] == theirs[same]


def test_verify_of_faces_that_each_finds(both: Both, faces: list[str]) -> None:
    for other, same in ((faces[1], True), (faces[2], False)):
        fields = YUNET | {"img1": faces[0], "img2": other}
        for metric in ({"distance_metric": "cosine"}, {}):  # by DeepFace's threshold, and by ours
            theirs, ours = both.ask("/verify", **fields, **metric)
            assert shape(ours) == shape(theirs)
            assert ours["verified"] is same
            assert ours["model"] == theirs["model"]


def test_analyze(both: Both, faces: list[str]) -> None:
    theirs, ours = both.ask("/analyze", img=faces[0], actions=["emotion"], detector_backend="yunet")
    assert shape(ours) == shape(theirs)
    assert ours["results"][0]["dominant_emotion"] in theirs["results"][0]["emotion"]
    assert sum(ours["results"][0]["emotion"].values()) == pytest.approx(100, abs=1e-3)


def test_register_and_search(both: Both, faces: list[str]) -> None:
    theirs, ours = both.ask("/register", img=faces[0], img_name="one.png", **YUNET)
    assert ours == theirs == {"inserted": 1}
    both.ask("/register", img=faces[2], img_name="other.png", **YUNET)
    for metric in ({}, {"distance_metric": "cosine"}, {"distance_metric": "angular"}):
        theirs, ours = both.ask("/search", img=faces[1], **YUNET, **metric)
        assert [len(found) for found in ours["results"]] == [1]
        one, other = theirs["results"][0][0], ours["results"][0][0]
        assert isinstance(other.pop("id"), str)  # the person's name; DeepFace has a number
        assert isinstance(one.pop("id"), int)
        assert shape(other) == shape(one)
        assert other["img_name"] == one["img_name"] == "one.png"


def test_errors(both: Both, faces: list[str]) -> None:
    for path, fields in (
        ("/represent", {}),
        ("/represent", {"img": "data:image/png;base64,aGVsbG8="}),
        ("/represent", {"img": "/no/such/picture.jpg"}),
        ("/represent", {"img": faces[0], "model_name": "Nobody's"}),
        ("/verify", {"img1": faces[0]}),
        ("/verify", SKIP | {"img1": faces[0], "img2": faces[1], "distance_metric": "manhattan"}),
        ("/analyze", {"img": faces[0], "actions": ["beauty"]}),
    ):
        (theirs, their_answer), (ours, our_answer) = both.tell(path, **fields)
        assert (theirs, shape(their_answer)) == (ours, shape(our_answer)) and ours == 400, (path, our_answer)


def test_numbers_are_those_of_the_installed_package() -> None:
    pytest.importorskip("deepface")
    from deepface.config.threshold import thresholds
    from deepface.modules.verification import find_confidence, find_distance

    rng = np.random.default_rng(7)
    one, other = (rng.normal(size=512).tolist() for _ in range(2))
    for model, by_metric in thresholds.items():
        for metric, threshold in by_metric.items():
            assert distances.threshold(model, metric) == threshold
            for far in (0.0, 0.3 * threshold, threshold, 1.5 * threshold, 3 * threshold):
                for verified in (True, False):
                    theirs = find_confidence(far, model, verified, metric)
                    assert distances.confidence(model, metric, far, verified=verified) == pytest.approx(theirs)
    for metric, measure in distances.DISTANCES.items():
        assert measure(one, other) == pytest.approx(find_distance(one, other, metric), abs=1e-6)


def test_the_version_is_the_installed_packages() -> None:
    pytest.importorskip("deepface")
    from importlib.metadata import version

    assert version("deepface") == DEEPFACE_VERSION, "read what has changed in deepface/api/src, then raise it"
