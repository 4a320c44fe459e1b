"""DeepFace's REST API over a real gateway and server: what it answers, and what it refuses by name."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from facewire.server.access.gate import Gate
from facewire.server.access.token_file import TokenFile, changing
from facewire.server.access.tokens import Token, digest_of
from tests.support.synthetic_engine import draw, portrait
from tests.support.web_server import Page, facewire_server, web_page

STRANGER = 4  # of colours, the first that is like neither of those registered
NO_FACE = draw(size=(64, 48))
TWO = draw((1, (2.0, 2.0, 16.0, 16.0)), (2, (30.0, 20.0, 20.0, 20.0)))


def uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()


def post(page: Page, path: str, token: str = "", **fields: Any) -> tuple[int, dict[str, Any]]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    status, _, body = page.request("POST", path, json.dumps(fields).encode(), headers)
    return status, json.loads(body)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with facewire_server(tmp_path_factory.mktemp("deepface")) as address, web_page(address, deepface_api=True) as page:
        yield page


def test_home(page: Page) -> None:
    status, headers, body = page.request("GET", "/")
    assert status == 200
    assert headers["content-type"].startswith("text/html")
    assert b"Welcome to DeepFace API v0.0.103" in body


def test_represent_in_json_and_as_a_file_and_in_a_form(page: Page) -> None:
    status, told = post(page, "/represent", img=uri(portrait(5)), model_name="Facenet512")
    assert status == 200
    (face,) = told["results"]
    assert math.hypot(*face["embedding"]) == pytest.approx(20, rel=1e-4)  # of the network's length, not of unit length
    assert {key: face["facial_area"][key] for key in "xywh"} == {"x": 16, "y": 16, "w": 16, "h": 16}
    body = (
        b'--x\r\nContent-Disposition: form-data; name="img"; filename="a.png"\r\n\r\n' + portrait(5)
        + b'\r\n--x\r\nContent-Disposition: form-data; name="model_name"\r\n\r\nFacenet512\r\n--x--\r\n'
    )  # fmt: skip
    status, _, said = page.request("POST", "/represent", body, {"Content-Type": "multipart/form-data; boundary=x"})
    assert (status, json.loads(said)) == (200, told)
    form = urlencode({"img": uri(portrait(5)), "anti_spoofing": "false"}).encode()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    status, _, said = page.request("POST", "/represent", form, kind)
    assert (status, json.loads(said)) == (200, told)


def test_represent_several(page: Page) -> None:
    assert len(post(page, "/represent", img=uri(TWO))[1]["results"]) == 2
    (largest,) = post(page, "/represent", img=uri(TWO), max_faces=1)[1]["results"]
    assert largest["facial_area"]["w"] == 20
    status, batch = post(page, "/represent", img=[uri(portrait(1)), uri(TWO)])
    assert status == 200
    assert [len(faces) for faces in batch["results"]] == [1, 2]


def test_without_a_face(page: Page) -> None:
    status, told = post(page, "/represent", img=uri(NO_FACE))
    assert status == 400
    assert "Face could not be detected" in told["error"]
    status, told = post(page, "/represent", img=uri(NO_FACE), enforce_detection=False)
    assert status == 200
    assert told["results"][0]["facial_area"] == {
        "x": 0, "y": 0, "w": 63, "h": 47, "left_eye": None, "right_eye": None,
    }  # fmt: skip


@pytest.mark.parametrize(("metric", "longest"), [("cosine", 0.3), ("euclidean", 23.56), ("euclidean_l2", 1.04)])
def test_verify_by_deepfaces_distances(page: Page, metric: str, longest: float) -> None:
    fields = {"distance_metric": metric, "detector_backend": "yunet", "model_name": "Facenet512"}
    status, same = post(page, "/verify", img1=uri(portrait(5)), img2=uri(TWO[:0] + portrait(5, shade=2)), **fields)
    assert status == 200
    assert same["verified"] is True
    assert same["threshold"] == longest
    assert same["similarity_metric"] == metric
    assert 51 <= same["confidence"] <= 100
    other = post(page, "/verify", img1=uri(portrait(5)), img2=uri(portrait(9)), **fields)[1]
    assert other["verified"] is False
    assert other["distance"] > longest
    assert other["confidence"] <= 49


def test_verify_takes_embeddings(page: Page) -> None:
    (face,) = post(page, "/represent", img=uri(portrait(5)))[1]["results"]
    status, told = post(page, "/verify", img1=face["embedding"], img2=uri(portrait(5)))
    assert status == 200
    assert told["verified"] is True
    assert told["facial_areas"]["img1"]["x"] is None
    status, told = post(page, "/verify", img1=[0.5] * 3, img2=uri(portrait(5)))
    assert status == 400
    assert "dimensions" in told["error"]


def test_verify_by_the_servers_own_decision(page: Page) -> None:
    status, told = post(page, "/verify", img1=uri(TWO), img2=uri(portrait(1)))
    assert status == 200
    assert told["verified"] is True  # the closest pair counts, not the largest face
    assert told["facial_areas"]["img1"]["w"] == 16
    assert told["distance"] <= told["threshold"] != 0.3
    assert post(page, "/verify", img1=uri(portrait(5)), img2=uri(portrait(9)))[1]["verified"] is False


def test_register_and_search(page: Page) -> None:
    assert post(page, "/search", img=uri(portrait(20)))[0] == 400  # nobody is registered
    assert post(page, "/register", img=uri(portrait(20)), img_name="ada.jpg") == (200, {"inserted": 1})
    again = portrait(20, shade=3)
    assert post(page, "/register", img=uri(again), img_name="ada2.jpg", model_name="Facenet512")[0] == 200
    assert post(page, "/register", img=uri(portrait(33)), img_name="bob.jpg")[0] == 200
    status, told = post(page, "/register", img=uri(TWO), img_name="two.jpg")
    assert status == 400
    assert "faces" in told["error"]
    for metric in ({}, {"distance_metric": "cosine"}, {"distance_metric": "euclidean", "l2_normalize": True}):
        status, told = post(page, "/search", img=uri(portrait(20, shade=9)), **metric)
        assert status == 200
        (found,) = told["results"]
        assert {one["img_name"] for one in found} == {"ada.jpg", "ada2.jpg"}
        assert found == sorted(found, key=lambda one: one["distance"])
    status, told = post(page, "/search", img=uri(portrait(20)), similarity_search=True, k=3)
    assert [one["img_name"] for one in told["results"][0]][2:] == ["bob.jpg"]
    assert post(page, "/search", img=uri(portrait(STRANGER)))[1] == {"results": [[]]}
    assert post(page, "/build/index") == (200, {"message": "Index built successfully"})


@pytest.mark.parametrize(
    ("path", "fields", "named"),
    [
        ("/represent", {"model_name": "VGG-Face"}, "VGG-Face"),
        ("/represent", {"detector_backend": "retinaface"}, "retinaface"),
        ("/represent", {"anti_spoofing": True}, "anti_spoofing"),
        ("/represent", {"max_faces": "many"}, "max_faces"),
        ("/represent", {"img": "http://10.0.0.1/a.jpg"}, "URL"),
        ("/represent", {"img": "file:///etc/passwd"}, "URL"),
        ("/represent", {"img": "/etc/passwd"}, "path"),
        ("/represent", {"img": "data:image/png;base64,???"}, "base64"),
        ("/represent", {"img": "data:image/png;base64,aGVsbG8="}, "unsupported image format"),
        ("/represent", {"img": 7}, "img"),
        ("/analyze", {}, "age, gender, race"),
        ("/analyze", {"actions": ["emotion", "age"]}, "age"),
        ("/analyze", {"actions": "[emotion, beauty]"}, "beauty"),
        ("/analyze", {"actions": ["emotion"], "detector_backend": "skip"}, "skip"),
        ("/analyze", {"actions": ["emotion"]}, "emotion: this server reads none"),
        ("/register", {"detector_backend": "skip"}, "skip"),
        ("/register", {"align": False}, "align"),
        ("/register", {"normalization": "VGGFace"}, "VGGFace"),
        ("/register", {"model_name": "ArcFace"}, "ArcFace"),
        ("/search", {"expand_percentage": 10}, "expand_percentage"),
        ("/search", {"distance_metric": "euclidean"}, "euclidean"),
        ("/search", {"search_method": "ann"}, "ann"),
        ("/search", {"k": 0}, "'k'"),
    ],
)
def test_what_is_refused_is_named(page: Page, path: str, fields: dict[str, Any], named: str) -> None:
    status, told = post(page, path, **({"img": uri(portrait(5))} | fields))
    assert status == 400
    assert named in told["error"]
    assert "Traceback" not in told["error"]


def test_requests_that_say_nothing(page: Page) -> None:
    assert post(page, "/represent") == (
        400, {"exception": "'img' not found in request in either json or form data"},
    )  # fmt: skip
    for body, kind in ((b"{", "application/json"), (b"[1]", "application/json"), (b"--x", "multipart/form-data")):
        status, _, said = page.request("POST", "/represent", body, {"Content-Type": kind})
        assert status == 400
        assert "exception" in json.loads(said)
    assert page.request("GET", "/represent")[0] == 405
    assert page.request("GET", "/nothing")[0] == 404


def test_no_web_page_may_use_it(page: Page) -> None:
    headers = {"Content-Type": "application/json", "Origin": "http://evil.example"}
    assert page.request("POST", "/represent", b"{}", headers)[0] == 403
    assert page.request("GET", "/", headers={"Host": "evil.example"})[0] == 421


def test_a_large_body_is_refused(tmp_path: Path) -> None:
    with facewire_server(tmp_path) as address, web_page(address, deepface_api=True, max_picture=1000) as page:
        status, _, said = page.request("POST", "/represent", b"x" * 200_000, {"Content-Type": "application/json"})
        assert status == 413
        assert "larger" in json.loads(said)["exception"]


def test_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    with changing(file) as tokens:
        for name, rights in (("looker", {"identify"}), ("keeper", {"identify", "enrol"})):
            tokens[name] = Token(name, digest_of(name), frozenset(rights))  # type: ignore[arg-type]
    gate = Gate(None, TokenFile(file))
    refused = {"message": "Invalid or missing authentication token"}
    with facewire_server(tmp_path, gate=gate) as address, web_page(address, deepface_api=True) as page:
        fields: dict[str, Any] = {"img": uri(portrait(5))}
        assert post(page, "/represent", **fields) == (401, refused)
        assert post(page, "/represent", token="wrong", **fields) == (401, refused)
        assert post(page, "/represent", token="looker", **fields)[0] == 200
        status, told = post(page, "/register", token="looker", img_name="ada.jpg", **fields)
        assert status == 403
        assert "enrol" in told["error"]
        assert post(page, "/register", token="keeper", img_name="ada.jpg", **fields) == (200, {"inserted": 1})
        with changing(file) as tokens:
            del tokens["looker"]
        assert post(page, "/represent", token="looker", **fields) == (401, refused)
