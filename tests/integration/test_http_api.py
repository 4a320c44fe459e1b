"""The HTTP API over real HTTP, before a real server: every way to send a picture, what is refused, and how."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facewire.client.web.api.table import NO_ROUTE, ROUTES
from facewire.client.web.places import Limits
from facewire.protocol.schema import REQUEST_OF
from tests.support.fake_service import PATIENCE_S
from tests.support.server_process import ROOT
from tests.support.synthetic_engine import draw, portrait
from tests.support.waiting import eventually
from tests.support.web_server import Page, facewire_server, web_page

API = "/api/v1"
JSON = {"Content-Type": "application/json"}
PNG = {"Content-Type": "image/png"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with facewire_server(tmp_path_factory.mktemp("served")) as address:
        yield address


@pytest.fixture(scope="module")
def page(server: tuple[str, int]) -> Iterator[Page]:
    with web_page(server, api_only=True, max_picture=1_000_000) as page:
        yield page


def ask(page: Page, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    status, said, content = page.request(method, API + path, body, more)
    if status >= 400:
        assert said["content-type"] == "application/problem+json"
        problem = json.loads(content)
        assert problem["status"] == status and problem["code"] and problem["detail"] and problem["title"]
        return status, problem
    return status, json.loads(content)


def post(page: Page, path: str, **keys: object) -> tuple[int, Any]:
    return ask(page, "POST", path, json.dumps(keys).encode(), content_type="application/json")


def b64(picture: bytes) -> str:
    return base64.b64encode(picture).decode()


def form(*parts: tuple[str, str | bytes]) -> bytes:
    """A part of bytes is a file."""
    body = b""
    for name, value in parts:
        file = b'; filename="x.png"' if isinstance(value, bytes) else b""
        content = value if isinstance(value, bytes) else value.encode()
        body += (
            b'--b\r\nContent-Disposition: form-data; name="'
            + name.encode()
            + b'"'
            + file
            + b"\r\n\r\n"
            + content
            + b"\r\n"
        )
    return body + b"--b--\r\n"


def send_form(page: Page, path: str, *parts: tuple[str, str | bytes]) -> tuple[int, Any]:
    return ask(page, "POST", path, form(*parts), content_type=FORM["Content-Type"])


def without_times(answer: Any) -> Any:
    return {key: value for key, value in answer.items() if key != "timing_ms"}


def test_every_operation_has_a_route_or_a_reason() -> None:
    offered = [route.op for route in ROUTES]
    assert sorted([*offered, *NO_ROUTE]) == sorted(REQUEST_OF)
    assert len({route.path for route in ROUTES}) == len(ROUTES)


def test_a_picture_as_bytes_as_a_form_and_as_base64(page: Page) -> None:
    picture = portrait(2)
    raw = ask(page, "POST", "/identify?k=3&emotion=false", picture, content_type="image/png")
    formed = send_form(page, "/identify", ("image", picture), ("k", "3"), ("emotion", "false"))
    encoded = post(page, "/identify", image=b64(picture), k=3, emotion=False)
    data_url = post(page, "/identify", image="data:image/png;base64," + b64(picture), k=3, emotion=False)
    assert raw[0] == 200 and len(raw[1]["faces"]) == 1
    assert [without_times(answer) for _, answer in (raw, formed, encoded, data_url)] == [without_times(raw[1])] * 4


def test_several_pictures_at_once_are_answered_in_their_order(page: Page) -> None:
    pictures = [portrait(2), b"not a picture", draw()]
    for status, said in (
        post(page, "/detect/batch", images=[b64(each) for each in pictures]),
        send_form(page, "/detect/batch", *(("images", each) for each in pictures)),
    ):
        assert status == 200
        one, broken, nobody = said["results"]
        assert (one["status"], len(one["result"]["faces"]), one["problem"]) == (200, 1, None)
        assert (broken["status"], broken["result"], broken["problem"]["code"]) == (422, None, "invalid_image")
        assert (nobody["status"], nobody["result"]["faces"]) == (200, [])
    assert post(page, "/detect/batch", images=[])[0] == 400
    assert post(page, "/detect/batch", images=[b64(b"x")] * 101)[0] == 400


def test_a_form_enrols_several_and_searches_with_a_selfie(page: Page) -> None:
    status, said = send_form(
        page, "/people/enrol", ("name", "AC/DC"), ("images", portrait(20)), ("images", portrait(20, shade=9)),
        ("labels", "a, [1]"), ("labels", "b"),
    )  # fmt: skip
    assert status == 200 and (said["person"]["name"], said["person"]["templates"]) == ("AC/DC", 2)
    status, shown = ask(page, "GET", "/people/show?name=AC%2FDC")
    assert [each["image"] for each in shown["templates"]] == ["a, [1]", "b"]
    assert base64.b64decode(shown["templates"][0]["crop"])[:2] == b"\xff\xd8"

    assert post(page, "/albums/create", album="Trip")[0] == 200
    added = ask(page, "POST", "/albums/add?album=Trip&name=one.png", portrait(20), content_type="image/png")[1]
    assert post(page, "/albums/process", album="Trip")[0] == 200
    eventually(lambda: ask(page, "GET", "/albums/status?album=Trip")[1]["with_faces"] == 1)
    eventually(lambda: not ask(page, "GET", "/albums/status?album=Trip")[1]["processing"])
    wanted = json.dumps([{"samples": [{"image": "selfie"}]}])
    status, found = send_form(
        page, "/albums/search", ("album", "Trip"), ("wanted", wanted), ("selfie", portrait(20, shade=9))
    )
    assert status == 200 and [each["photo"]["photo"] for each in found["photos"]] == [added["photo"]]

    status, headers, original = page.request("GET", f"{API}/albums/photo?album=Trip&photo={added['photo']}")
    assert (status, headers["content-type"], original) == (200, "image/png", portrait(20))
    export = post(page, "/albums/export", album="Trip")[1]
    path = f"{API}/albums/download?export={export['export']}"
    status, _, whole = page.request("GET", path)
    assert (status, len(whole), whole[:2]) == (200, export["size_bytes"], b"PK")
    status, headers, rest = page.request("GET", path, headers={"Range": "bytes=10-"})
    assert (status, rest) == (206, whole[10:])


@pytest.mark.parametrize(
    "image",
    [
        "file:///etc/passwd", "http://127.0.0.1:1/x.png", "http://169.254.169.254/latest", "https://example.org/a.jpg",
        "gopher://10.0.0.1/", "ftp://[::1]/x",
    ],
)  # fmt: skip
def test_no_url_is_fetched(page: Page, image: str) -> None:
    status, said = post(page, "/identify", image=image)
    assert (status, said["code"]) == (400, "invalid_request") and "URL" in said["detail"]
    status, said = post(page, "/identify", img_url=image)
    assert status == 400 and "no URL is fetched" in said["detail"]


def test_a_url_to_a_listening_port_is_not_even_connected_to(page: Page) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/face.png"
        for keys in ({"image": url}, {"url": url}):
            assert post(page, "/identify", **keys)[0] == 400
        with pytest.raises(BlockingIOError):
            listening.accept()


@pytest.mark.parametrize(
    ("body", "headers", "status", "what"),
    [
        (b"{", JSON, 400, "JSON"),
        (b"[]", JSON, 400, "object"),
        (b'{"image": "%%%"}', JSON, 400, "base64"),
        (b'{"image": 7}', JSON, 400, "base64"),
        (b'{"image": "eA==", "colour": 1}', JSON, 400, "unknown key 'colour'"),
        (b'{"image": "eA==", "k": 101}', JSON, 400, "'k'"),
        (b'{"image": "eA==", "k": "1"}', JSON, 400, "'k'"),
        (b'{"k": 1e999, "image": "eA=="}', JSON, 400, "number"),
        (b"[" * 5000, JSON, 400, "JSON"),
        (b"[" + b"[]," * 100_000, JSON, 413, "values"),
        (portrait(1), {"Content-Type": "text/plain"}, 415, "application/json"),
        (portrait(1), {}, 415, "application/json"),
        (b"nothing of a form", FORM, 400, ""),
        (form(("image", portrait(1)))[:-30], FORM, 400, "boundary"),
        (form(("image", portrait(1)), ("image", portrait(2))), FORM, 400, "2 times"),
        (b"", PNG, 422, ""),
        (b"not a picture", PNG, 422, ""),
        (b"x" * 1_000_001, PNG, 413, "MiB"),
    ],
)  # fmt: skip
def test_what_is_not_a_request_is_refused_in_words(
    page: Page, body: bytes, headers: dict[str, str], status: int, what: str
) -> None:
    said, problem = ask(page, "POST", "/identify", body, **headers)
    assert said == status, problem
    assert what in problem["detail"]


def test_json_of_100_mb_is_refused_before_it_is_read(page: Page) -> None:
    with socket.create_connection((page.host, page.port), timeout=PATIENCE_S) as raw:
        head = f"POST {API}/identify HTTP/1.1\r\nHost: {page.host}\r\nContent-Type: application/json\r\n"
        raw.sendall(f"{head}Content-Length: {100 * 2**20}\r\n\r\n{{".encode())
        with raw.makefile("rb") as answer:
            assert answer.readline().startswith(b"HTTP/1.1 413")
            while answer.readline().strip():
                pass
            assert json.loads(answer.read())["code"] == "too_large"


def test_what_the_wire_could_not_carry_costs_nobody_their_connection(page: Page) -> None:
    assert post(page, "/people/rename", name="x" * 5000, to="y")[0] == 413
    assert post(page, "/people/merge", names=["x"] * 5000, into="y")[0] == 413
    assert ask(page, "GET", "/albums/photos?album=x&offset=" + "9" * 30)[0] == 400
    assert ask(page, "GET", "/people?contains=%FF")[0] == 400
    assert ask(page, "GET", "/ping")[0] == 200


def test_a_body_that_breaks_off_or_stalls_keeps_nobody_waiting(server: tuple[str, int]) -> None:
    with web_page(server, limits=Limits(stall_s=0.5, waiting_s=0.5)) as page:
        head = f"POST {API}/people/enrol?name=Half HTTP/1.1\r\nHost: {page.host}\r\nContent-Type: image/png\r\n"
        head += f"Content-Length: {len(portrait(30))}\r\n\r\n"
        with (
            socket.create_connection((page.host, page.port), timeout=PATIENCE_S) as slow,
            socket.create_connection((page.host, page.port), timeout=PATIENCE_S) as cut,
        ):
            for each in (slow, cut):
                each.sendall(head.encode() + portrait(30)[:100])
            cut.shutdown(socket.SHUT_WR)
            assert ask(page, "GET", "/ping")[0] == 200  # meanwhile
            with slow.makefile("rb") as heard:
                answer = heard.read()
        assert answer.startswith(b"HTTP/1.1 408") and b"application/problem+json" in answer
        assert ask(page, "GET", "/people?contains=Half")[1]["total"] == 0


def test_the_token_goes_through_to_the_server(tmp_path: Path) -> None:
    with facewire_server(tmp_path, token="open sesame") as address, web_page(address) as page:
        status, headers, body = page.request("GET", f"{API}/people")
        assert (status, headers["www-authenticate"], json.loads(body)["code"]) == (401, "Bearer", "unauthorized")
        assert "set-cookie" not in headers
        assert ask(page, "GET", "/people", authorization="Bearer wrong")[0] == 401
        assert ask(page, "GET", "/people", authorization="Basic open sesame")[0] == 401
        assert ask(page, "GET", "/people", authorization="Bearer open sesame") == (200, {"people": [], "total": 0})
        assert page.request("GET", "/login")[0] == 200  # the page is there, too


def test_other_sites_and_other_names_are_refused(server: tuple[str, int], page: Page) -> None:
    theirs = "https://their.site"
    assert ask(page, "GET", "/ping", origin=theirs)[0] == 403
    assert ask(page, "GET", "/ping", sec_fetch_site="cross-site")[0] == 403
    assert ask(page, "GET", "/ping", host="evil.example")[0] == 421
    assert ask(page, "GET", "/ping", origin=page.url)[0] == 200
    status, headers, _ = page.request("GET", f"{API}/ping", headers={"Origin": page.url})
    assert "access-control-allow-origin" not in headers
    with web_page(server, cors_origins=frozenset({theirs})) as open_page:
        status, headers, _ = open_page.request("GET", f"{API}/ping", headers={"Origin": theirs})
        assert (status, headers["access-control-allow-origin"]) == (200, theirs)
        preflight = {"Origin": theirs, "Access-Control-Request-Method": "POST"}
        preflight["Access-Control-Request-Headers"] = "authorization,content-type"
        assert open_page.request("OPTIONS", f"{API}/identify", headers=preflight)[0] == 200
        assert ask(open_page, "GET", "/ping", origin="https://another.site")[0] == 403


def test_the_documentation_comes_from_this_machine(page: Page) -> None:
    status, headers, body = page.request("GET", f"{API}/docs")
    text = body.decode()
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert all(f'id="{route.op}"' in text for route in ROUTES)
    assert "<script" not in text
    assert re.findall(r'(?:src|href)="((?!#)[^"]*)"', text) == ["docs.css", "openapi.json"]
    assert page.request("GET", f"{API}/docs.css")[0] == 200
    assert page.request("GET", "/identify")[0] == 404  # --api-only: there is no page


def test_a_server_that_is_away_and_a_path_that_is_not_there(page: Page) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[:2]
    with web_page(nobody, timeout=1.0) as alone:
        status, said = ask(alone, "GET", "/ping")
        assert (status, said["code"]) == (503, "offline")
    assert ask(page, "GET", "/nothing")[1]["code"] == "unsupported_op"
    assert ask(page, "GET", "/identify")[0] == 405


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_examples_of_the_documentation_run(tmp_path: Path) -> None:
    document = (ROOT / "docs" / "http.md").read_text("utf-8")
    curls = [line for line in document.splitlines() if line.startswith("curl ")]
    (python,) = re.findall(r"^```python$(.*?)^```$", document, re.DOTALL | re.MULTILINE)
    for name, number in (("ada1", 1), ("ada2", 1), ("ada3", 1), ("photo", 1)):
        (tmp_path / f"{name}.png").write_bytes(portrait(number, shade=3 * len(list(tmp_path.iterdir()))))
    (tmp_path / "served").mkdir()
    with facewire_server(tmp_path / "served") as address, web_page(address, api_only=True) as page:
        for line in curls:
            done = subprocess.run(
                ["bash", "-c", line], cwd=tmp_path, env={"API": page.url + API, "PATH": "/usr/bin:/bin"},
                capture_output=True, text=True, timeout=PATIENCE_S, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (line, done.stderr, done.stdout)
            json.loads(done.stdout)
        source = python.replace("photo.png", str(tmp_path / "photo.png"))
        exec(compile(source, "docs/http.md", "exec"), {"API": page.url + API})
    assert len(curls) >= 10
