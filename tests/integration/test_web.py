"""The page's gateway over real HTTP, before a real facewire server: what is refused, and what every answer carries."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import html
import http.client
import io
import json
import re
import socket
import subprocess
import sys
import threading
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from facewire.client.web.main import main
from facewire.client.web.pictures import attachment, picture
from facewire.protocol.formats import EXTENSIONS, NAMES
from tests.support.fake_service import PATIENCE_S
from tests.support.server_process import ROOT
from tests.support.synthetic_engine import draw, portrait, tiny
from tests.support.web_server import Page, Visitor, facewire_server, web_page

HOSTILE = '"><script>alert(1)</script>'
VIEWS = ("/identify", "/people", "/person?name=Ada", "/albums", "/album?album=Trip", "/login", "/nothing")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with facewire_server(tmp_path_factory.mktemp("served")) as address, web_page(address) as page:
        yield page


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page that takes pictures of 100 kB."""
    room = tmp_path_factory.mktemp("small")
    with facewire_server(room) as address, web_page(address, max_picture=100_000) as page:
        yield page


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    room = tmp_path_factory.mktemp("locked")
    with facewire_server(room, token="open sesame") as address, web_page(address) as page:
        yield page


@pytest.fixture
def visitor(page: Page) -> Visitor:
    return page.visitor()


def enrol(visitor: Visitor, name: str, picture: bytes, **more: str) -> tuple[int, dict[str, Any]]:
    query = "&".join(f"{key}={quote(value)}" for key, value in {"name": name, **more}.items())
    status, _, body = visitor.send("POST", f"/api/enrol?{query}", picture)
    return status, json.loads(body)


class TestEveryAnswer:
    @pytest.mark.parametrize("path", [*VIEWS, "/static/app.css", "/static/js/api.js", "/api/nothing", "/favicon.ico"])
    def test_carries_what_keeps_a_browser_safe(self, page: Page, path: str) -> None:
        _, headers, _ = page.request("GET", path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "worker-src 'self'" in policy
        assert "trusted-types upload-worker lit-html;" in f"{policy};"  # one address; and the code's own templates
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers

    def test_scripts_and_styles_have_types_that_nosniff_accepts(self, page: Page) -> None:
        assert page.request("GET", "/static/js/api.js")[1]["content-type"].startswith("text/javascript")
        assert page.request("GET", "/static/app.css")[1]["content-type"].startswith("text/css")

    @pytest.mark.parametrize("path", VIEWS)
    def test_has_no_script_or_style_of_its_own_in_it(self, page: Page, path: str) -> None:
        html = page.request("GET", path)[2].decode()
        assert not re.search(r"<script(?![^>]*(src=\"/static/|type=\"application/json\"))", html)
        policy = page.request("GET", path)[1]["content-security-policy"]
        styles = re.findall(r"<style>(.*?)</style>", html, re.S)
        named = [f"'sha256-{b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" for style in styles]
        assert re.search(r"style-src ([^;]*);", policy)[1].split() == ["'self'", *named]  # type: ignore[index]
        assert len(styles) == html.count("<style") <= 1
        assert " style=" not in html
        assert not re.search(r"\son[a-z]+=", html)

    @pytest.mark.parametrize("path", VIEWS)
    def test_names_no_other_host(self, page: Page, path: str) -> None:
        assert not re.search(r"(https?:)?//(?!127\.0\.0\.1)[a-z]", page.request("GET", path)[2].decode())

    def test_escapes_what_an_address_says(self, page: Page) -> None:
        for path in ("person?name=", "album?album="):
            html = page.request("GET", f"/{path}{quote(HOSTILE)}")[2].decode()
            assert "<script>alert" not in html
            assert "&lt;script&gt;" in html

    def test_static_files_stay_inside_their_folder(self, page: Page) -> None:
        for path in (
            "/static/../app.py",
            "/static/%2e%2e/app.py",
            "/static/js/..%2f..%2fapp.py",
            "/static//etc/passwd",
        ):
            assert page.request("GET", path)[0] == 404


class TestAssets:
    """The page's scripts and styles, as browsers keep them."""

    @pytest.mark.parametrize("view", ["identify", "people", "albums", "album?album=a", "person?name=a"])
    def test_a_view_names_all_its_modules_at_once_and_none_in_vain(self, page: Page, view: str) -> None:
        html = page.request("GET", f"/{view}")[2].decode()
        script = re.findall(r'<script type="module"[^>]* src="([^"]+)">', html)
        preloaded = re.findall(r'<link rel="modulepreload"[^>]* href="([^"]+)">', html)
        seen, waiting = set[str](), [*script]
        while waiting:  # as a browser finds them: imports are relative to where they stand
            path = waiting.pop()
            seen.add(path)
            text = page.request("GET", path)[2].decode()
            imports = r"""(?:^|;)(?:im|ex)port\b[^;]*?["'](\.\.?/\S+?)["'](?=;)"""
            found = {urljoin(path, one) for one in re.findall(imports, text, re.M)}
            waiting.extend(found - seen - {*waiting})
        assert {*script, *preloaded} == seen
        assert len(preloaded) == len({*preloaded}) > 3

    def test_are_kept_for_good_where_their_address_has_their_hash(self, page: Page) -> None:
        html = page.request("GET", "/login")[2].decode()
        for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', html):
            status, headers, body = page.request("GET", path)
            assert (status, headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            # A picture could be opened as a page of its own
            assert ("content-security-policy" in headers) == path.endswith(".svg")
            kept = path.split("/", 3)[3]
            status, headers, same = page.request("GET", f"/static/{kept}")
            assert (status, headers["cache-control"], same) == (200, "no-cache", body)
            assert page.request("GET", f"/static/{kept}", headers={"If-None-Match": headers["etag"]})[::2] == (304, b"")

    @pytest.mark.parametrize(
        ("accepted", "packed"),
        [("gzip, deflate, br", True), ("br;q=1, GZIP;q=0.5", True), ("", False), ("gzip;q=0", False), ("br", False)],
    )
    def test_are_compressed_for_browsers_that_say_so(self, page: Page, accepted: str, packed: bool) -> None:
        plain = page.request("GET", "/static/app.css")[2]
        _, headers, body = page.request("GET", "/static/app.css", headers={"Accept-Encoding": accepted})
        assert (headers.get("content-encoding") == "gzip") == packed
        assert headers["vary"] == "Accept-Encoding"
        assert (gzip.decompress(body) if packed else body) == plain
        assert not packed or len(body) < len(plain) / 3

    def test_a_page_of_another_version_goes_on_with_the_modules_of_this_one(self, page: Page) -> None:
        status, headers, _ = page.request("GET", f"/static/{'0' * 16}/js/album.js")
        assert (status, headers["location"]) == (307, "/static/js/album.js")
        assert page.request("GET", f"/static/{'0' * 16}//evil.example/")[0] == 404

    def test_long_lists_are_compressed_too(self, visitor: Visitor) -> None:
        keys = {"Accept-Encoding": "gzip", "Content-Type": "application/json"}
        for number in range(12):
            visitor.op("album.create", album=f"packed {number} {'x' * 80}")
        _, headers, body = visitor.send("POST", "/api/op/album.list", b"{}", **keys)
        assert headers["content-encoding"] == "gzip"
        assert "packed 11" in gzip.decompress(body).decode()
        for number in range(12):
            visitor.op("album.delete", album=f"packed {number} {'x' * 80}")

    def test_a_compressed_page_has_its_csrf_token_under_a_new_mask_each_time(self, visitor: Visitor) -> None:
        """So that its length tells nothing about the token beside what the address repeats of it (BREACH)."""
        tokens = set()
        for _ in range(2):
            _, headers, body = visitor.send("GET", "/albums", Accept_Encoding="gzip")
            assert headers["content-encoding"] == "gzip"
            found = re.search('name="csrf-token" content="([0-9a-f]{128})"', gzip.decompress(body).decode())
            assert found is not None
            tokens.add(found[1])
        assert len(tokens) == 2
        assert len({token[:64] for token in tokens}) == len({token[64:] for token in tokens}) == 2
        for token in tokens:
            assert Visitor(visitor.page, visitor.cookie, token).op("album.list")[0] == 200
        for wrong in (token[64:], token[:-2], token + "00", f"{token[:-1]}{int(token[-1], 16) ^ 1:x}", "not hex"):
            assert Visitor(visitor.page, visitor.cookie, wrong).op("album.list")[0] == 403


class TestWhatIsRefused:
    def test_a_change_without_the_csrf_token(self, page: Page, visitor: Visitor) -> None:
        headers = {"Cookie": visitor.cookie, "Content-Type": "application/json"}
        status, _, body = page.request("POST", "/api/op/album.create", b'{"album": "Stolen"}', headers)
        assert (status, json.loads(body)["error"]["code"]) == (403, "stale")
        assert "Stolen" not in json.dumps(visitor.op("album.list")[1])

    def test_the_token_of_another_session(self, page: Page, visitor: Visitor) -> None:
        other = page.visitor()
        assert Visitor(page, visitor.cookie, other.csrf).op("album.list")[0] == 403

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
    def test_another_sites_page(self, visitor: Visitor, origin: str) -> None:
        status, _, body = visitor.send("POST", "/api/op/album.list", b"{}", Origin=origin)
        assert (status, json.loads(body)["error"]["code"]) == (403, "forbidden")

    def test_another_site_does_not_learn_the_token(self, page: Page, visitor: Visitor) -> None:
        status, headers, body = visitor.send("GET", "/api/session")
        assert status == 200
        assert Visitor(page, visitor.cookie, json.loads(body)["csrf"]).op("album.list")[0] == 200
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        for sent in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}):
            assert page.request("GET", "/api/session", headers=sent | {"Cookie": visitor.cookie})[0] == 403

    def test_another_sites_picture_element(self, visitor: Visitor) -> None:
        sent = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}
        page = visitor.page
        headers = {name.replace("_", "-"): value for name, value in sent.items()} | {"Cookie": visitor.cookie}
        assert page.request("GET", "/api/crop?name=Ada", headers=headers)[0] == 403

    def test_but_not_a_link_from_another_site(self, page: Page) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert page.request("GET", "/identify", headers=headers)[0] == 200

    def test_a_name_that_was_made_to_point_here(self, page: Page) -> None:
        for host in ("evil.example", f"evil.example:{page.port}", "127.0.0.1.evil.example", ""):
            assert page.request("GET", "/identify", headers={"Host": host})[0] == 421

    def test_a_websocket_from_another_site(self, page: Page) -> None:
        address = f"ws://{page.host}:{page.port}/api/live"
        for origin in (Origin("http://evil.example"), None):
            with pytest.raises(InvalidStatus) as refused, connect(address, origin=origin):
                pass
            assert refused.value.response.status_code == 403

    @pytest.mark.parametrize("op", ["hello", "identify", "album.add", "album.import", "album.export_read", "divine"])
    def test_operations_that_are_not_the_pages(self, visitor: Visitor, op: str) -> None:
        assert visitor.op(op)[0] == 404

    def test_keys_that_an_operation_does_not_know(self, visitor: Visitor) -> None:
        status, error = visitor.op("rename", name="Ada", to="Bo", as_root=True)
        assert (status, error["code"]) == (400, "invalid_request")
        assert "as_root" in str(error["message"])

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"name": 1}', b'"x"', b"[" * 100_000])
    def test_what_is_no_request(self, visitor: Visitor, body: bytes) -> None:
        assert visitor.send("POST", "/api/op/rename", body, content_type="application/json")[0] == 400

    def test_a_form_in_place_of_json(self, visitor: Visitor) -> None:
        assert visitor.send("POST", "/api/op/people", b"{}", content_type="text/plain")[0] == 415


class TestUploads:
    def test_too_large_by_its_own_word_is_refused_before_it_is_sent(self, small: Page) -> None:
        visitor = small.visitor()
        with socket.create_connection((small.host, small.port), timeout=PATIENCE_S) as sock:
            sock.sendall(
                f"POST /api/identify HTTP/1.1\r\nHost: {small.host}:{small.port}\r\nCookie: {visitor.cookie}\r\n"
                f"X-CSRF-Token: {visitor.csrf}\r\nContent-Length: 999999999\r\n\r\n".encode()
            )
            assert sock.recv(4096).startswith(b"HTTP/1.1 413")

    def test_too_large_without_a_word_is_refused_on_its_way(self, small: Page) -> None:
        visitor = small.visitor()
        connection = http.client.HTTPConnection(small.host, small.port, timeout=PATIENCE_S)
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            while sent < 500_000_000:
                sent += 50_000
                yield bytes(50_000)

        headers = {"Cookie": visitor.cookie, "X-CSRF-Token": visitor.csrf}
        with contextlib.suppress(ConnectionError):  # it may have hung up already
            connection.request("POST", "/api/identify", endless(), headers, encode_chunked=True)
        with contextlib.suppress(ConnectionError):
            assert connection.getresponse().status == 413
        connection.close()
        assert sent < 100_000_000  # what fits into the buffers on the way, not the whole

    def test_samples_too_large_together(self, small: Page) -> None:
        body, kind = multipart({"search": b"{}"}, [bytes(60_000), bytes(60_000)])
        status, _, answer = small.visitor().send("POST", "/api/album/search", body, content_type=kind)
        assert (status, json.loads(answer)["error"]["code"]) == (413, "too_large")

    def test_no_picture(self, visitor: Visitor) -> None:
        assert visitor.send("POST", "/api/identify", b"")[0] == 400
        status, _, body = visitor.send("POST", "/api/identify", b"<html>no picture")
        assert (status, json.loads(body)["error"]["code"]) == (422, "invalid_image")


class TestPictures:
    def test_a_face_is_enrolled_and_recognised(self, visitor: Visitor) -> None:
        assert enrol(visitor, "Grace Hopper", portrait(7))[0] == 200
        status, _, body = visitor.send("POST", "/api/identify?k=3", portrait(7))
        face = json.loads(body)["faces"][0]
        assert (status, face["decision"], face["name"]) == (200, "match", "Grace Hopper")
        assert face["candidates"][0]["similarity"] > 0.99

    def test_a_point_says_which_of_several_faces(self, visitor: Visitor) -> None:
        both = draw((11, (4.0, 4.0, 20.0, 20.0)), (12, (36.0, 4.0, 20.0, 20.0)))
        assert enrol(visitor, "Left", both)[1]["rejected"][0]["reason"] == "several_faces"
        assert enrol(visitor, "Right", both, x="46", y="14")[0] == 200
        _, _, body = visitor.send("POST", "/api/identify", portrait(12))
        assert json.loads(body)["faces"][0]["name"] == "Right"

    def test_a_poor_picture_says_why_and_may_be_accepted(self, visitor: Visitor) -> None:
        status, answer = enrol(visitor, "Small", tiny(13))
        assert (status, answer["templates"], answer["person"]) == (200, [], None)
        assert answer["rejected"][0]["shortcomings"] == [{"reason": "too_small", "measured": 18.0, "limit": 24.0}]
        assert enrol(visitor, "Small", tiny(13), accept="ugly")[0] == 400
        assert len(enrol(visitor, "Small", tiny(13), accept="too_small,blurred")[1]["templates"]) == 1

    def test_a_crop_is_a_picture_and_says_so(self, visitor: Visitor) -> None:
        enrol(visitor, "Crop Person", portrait(21))
        templates = visitor.op("show", name="Crop Person")[1]["templates"]
        assert templates[0]["crop"] is None
        number = templates[0]["id"]
        status, headers, body = visitor.send("GET", f"/api/crop?name=Crop%20Person&template={number}")
        assert (status, headers["content-type"], body[:3]) == (200, "image/jpeg", b"\xff\xd8\xff")
        assert visitor.send("GET", f"/api/crop?name=Crop%20Person&template={number + 1}")[0] == 404

    def test_a_crop_is_there_wherever_its_template_moved(self, visitor: Visitor) -> None:
        """A page asks for it by the name that it read, and somebody may have merged or undone since."""
        enrol(visitor, "Merged Away", portrait(23))
        number = visitor.op("show", name="Merged Away")[1]["templates"][0]["id"]
        visitor.op("rename", name="Merged Away", to="Called Otherwise")
        assert visitor.send("GET", f"/api/crop?name=Merged%20Away&template={number}")[0] == 200
        assert visitor.send("GET", "/api/crop?name=Merged%20Away")[0] == 404

    def test_a_file_that_is_no_picture_is_never_shown(self) -> None:
        for data in (b"<svg onload=alert(1)>", b"<html><script>", b"%PDF-1.7", b""):
            answer = picture(data)
            assert answer.media_type == "application/octet-stream"
            assert answer.headers["content-disposition"] == "attachment"

    def test_names_of_files_are_quoted(self) -> None:
        assert (
            attachment('a/b/\r\nSet-Cookie: x=1"ü.jpg')
            == "attachment; filename*=UTF-8''%0D%0ASet-Cookie%3A%20x%3D1%22%C3%BC.jpg"
        )

    def test_the_camera_answers_the_newest_frame(self, page: Page, visitor: Visitor) -> None:
        enrol(visitor, "On Camera", portrait(30))
        with connect(f"ws://{page.host}:{page.port}/api/live", origin=Origin(page.url)) as socket_:
            for number in range(1, 41):
                socket_.send(number.to_bytes(4, "big") + portrait(30))
            answered: list[dict[str, Any]] = []
            while not answered or answered[-1]["frame"] != 40:
                answered.append(json.loads(socket_.recv(timeout=PATIENCE_S)))
        numbers = [one["frame"] for one in answered]
        assert numbers == sorted(numbers)
        assert answered[-1]["answer"]["faces"][0]["name"] == "On Camera"
        assert answered[-1]["dropped"] + len(answered) == 40

    def test_a_frame_that_is_no_picture_does_not_end_the_camera(self, page: Page) -> None:
        with connect(f"ws://{page.host}:{page.port}/api/live", origin=Origin(page.url)) as socket_:
            socket_.send(bytes(4) + b"no picture")
            assert json.loads(socket_.recv(timeout=PATIENCE_S))["error"]["code"] == "invalid_image"
            socket_.send(bytes(4) + portrait(31))
            assert "answer" in json.loads(socket_.recv(timeout=PATIENCE_S))


class TestAlbums:
    def test_from_photos_to_a_zip(self, visitor: Visitor) -> None:
        assert visitor.op("album.create", album="Trip")[0] == 200
        photos = {"day/one.png": portrait(40), "day/two.png": draw((40, (4, 4, 20, 20)), (41, (36, 4, 20, 20)))}
        for name, data in photos.items():
            status, _, _ = visitor.send("POST", f"/api/album/add?album=Trip&name={quote(name)}", data)
            assert status == 200
        visitor.op("album.process", album="Trip")
        wait_for(lambda: not visitor.op("album.status", album="Trip")[1]["processing"])
        people = visitor.op("album.people", album="Trip")[1]["people"]
        assert [person["photos"] for person in people] == [2, 1]

        body, kind = multipart(
            {"search": json.dumps({"album": "Trip", "wanted": [{"samples": [{"picture": 0}]}]}).encode()},
            [portrait(41)],
        )
        status, _, answer = visitor.send("POST", "/api/album/search", body, content_type=kind)
        assert status == 200
        assert [one["photo"]["name"] for one in json.loads(answer)["photos"]] == ["day/two.png"]

        body, kind = multipart({"export": b'{"album": "Trip", "sidecars": false}'}, [])
        export = json.loads(visitor.send("POST", "/api/album/export", body, content_type=kind)[2])
        status, headers, whole = visitor.send("GET", f"/api/album/download?export={export['export']}")
        assert (status, headers["content-type"], int(headers["content-length"])) == (200, "application/zip", len(whole))
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            stored = {
                name.split("/", 1)[-1] if name not in photos else name: archive.read(name)
                for name in archive.namelist()
            }
        assert set(photos.values()) <= set(stored.values())
        status, headers, rest = visitor.send(
            "GET", f"/api/album/download?export={export['export']}", Range="bytes=100-"
        )
        assert (status, rest) == (206, whole[100:])
        assert headers["content-range"] == f"bytes 100-{len(whole) - 1}/{len(whole)}"

    def test_a_zip_goes_up_in_pieces(self, visitor: Visitor) -> None:
        visitor.op("album.create", album="Zipped")
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("a/b.png", portrait(50))
            archive.writestr("../../evil.png", portrait(51))
        data = packed.getvalue()
        half = len(data) // 2
        first = json.loads(visitor.send("POST", "/api/album/zip?album=Zipped", data[:half])[2])
        address = f"/api/album/zip?album=Zipped&upload={first['upload']}&offset={half}&last=1"
        taken = json.loads(visitor.send("POST", address, data[half:])[2])
        assert (taken["ingested"]["added"], taken["ingested"]["skipped"]) == (2, [])
        photos = visitor.op("album.photos", album="Zipped")[1]["photos"]
        assert sorted(photo["name"] for photo in photos) == ["a/b.png", "evil.png"]

    def test_an_album_that_is_not_there(self, visitor: Visitor) -> None:
        status, error = visitor.op("album.status", album="Atlantis")
        assert (status, error["code"]) == (404, "unknown_album")

    def test_a_download_that_nobody_prepared(self, visitor: Visitor) -> None:
        status, _, body = visitor.send("GET", "/api/album/download?export=deadbeef")
        assert (status, json.loads(body)["error"]["code"]) == (404, "gone")

    def test_who_follows_a_link_reads_words(self, page: Page, visitor: Visitor) -> None:
        paths = ("/api/album/download?export=deadbeef", "/api/album/photo?album=Atlantis&photo=1", "/api/nothing")
        for path in paths:
            status, headers, body = visitor.send("GET", path, sec_fetch_mode="navigate")
            assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
            assert headers["content-security-policy"]
            assert b"That didn't work" in body
            assert b"{" not in body
        status, _, body = page.request("GET", "/", headers={"Host": "evil.example", "Accept": "text/html"})
        assert status == 421
        assert b"answer to that host name" in body


class TestWithoutAServer:
    def test_the_page_says_what_to_do_and_goes_on_when_it_is_back(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as reserved:
            address = reserved.getsockname()
        with web_page(address) as page:
            visitor = page.visitor()
            status, _, html = page.request("GET", "/identify")
            assert status == 200
            assert b"data-offline" in html
            status, error = visitor.op("people")
            assert (status, error["code"]) == (503, "offline")
            assert str(address[1]) in str(error["message"])
            with facewire_server(tmp_path, port=address[1]):
                assert visitor.op("people")[0] == 200
                assert b"data-offline" not in page.request("GET", "/identify")[2]

    def test_a_server_that_restarts_costs_those_who_look_nothing(self, tmp_path: Path) -> None:
        with contextlib.ExitStack() as served, contextlib.ExitStack() as shown:
            address = served.enter_context(facewire_server(tmp_path))
            visitor = shown.enter_context(web_page(address)).visitor()
            assert visitor.op("people")[0] == 200
            served.pop_all().close()
            with facewire_server(tmp_path, port=address[1]):
                assert [visitor.op("people")[0] for _ in range(8)] == [200] * 8


class TestToken:
    def test_every_view_leads_to_the_login(self, locked: Page) -> None:
        for path in ("/identify", "/people", "/albums", "/album?album=x"):
            status, headers, _ = locked.request("GET", path)
            assert (status, headers["location"]) == (303, "/login")
        assert locked.visitor().op("people")[0] == 401

    def test_a_wrong_token(self, locked: Page) -> None:
        status, _, html = log_in(locked.visitor(), "open barley")
        assert status == 401
        assert b"does not know this token" in html

    def test_a_login_that_another_site_sent(self, locked: Page) -> None:
        visitor = locked.visitor()
        assert log_in(Visitor(locked, visitor.cookie, "0" * 64), "open sesame")[0] == 403

    def test_in_and_out(self, locked: Page) -> None:
        visitor = locked.visitor()
        status, headers, _ = log_in(visitor, "open sesame")
        assert status == 303
        assert "HttpOnly" in headers["set-cookie"]
        assert "sesame" not in headers["set-cookie"]
        cookie = headers["set-cookie"].split(";", 1)[0]
        assert cookie != visitor.cookie  # one that was known before the login is worth nothing after it
        _, _, html = locked.request("GET", "/identify", headers={"Cookie": cookie})
        inside = Visitor(locked, cookie, html.decode().split('name="csrf-token" content="', 1)[1].split('"', 1)[0])
        assert inside.op("people")[0] == 200
        assert visitor.op("people")[0] == 401
        form = re.search(r'<form method="post" action="/logout">.*?</form>', html.decode())  # needs no script
        assert form is not None
        assert f'name="csrf" value="{inside.csrf}"' in form[0]
        assert log_out(inside, "0" * 64)[1]["location"] == "/identify"
        assert "clear-site-data" not in log_out(inside, "0" * 64)[1]
        assert inside.op("people")[0] == 200  # a form of another session logs nobody out
        status, headers, _ = log_out(inside, inside.csrf)
        assert (status, headers["location"]) == (303, "/login")
        assert headers["clear-site-data"] == '"storage"'  # pictures that waited in the browser to be uploaded
        assert inside.op("people")[0] == 401


def test_its_threads_and_connections_end_with_it(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with facewire_server(tmp_path) as address:
        with web_page(address) as page:
            visitor = page.visitor()
            assert [visitor.op("people")[0] for _ in range(10)] == [200] * 10
            started = {thread.name.rsplit("-", 1)[0] for thread in set(threading.enumerate()) - before}
            assert any(name.startswith("facewire-web") for name in started)
            assert any(name.startswith("facewire-client") for name in started)
        left = {thread.name for thread in set(threading.enumerate()) - before}
        assert not [name for name in left if name.startswith(("facewire-web", "facewire-client"))]


def test_web_app_says_where_it_is_and_ends_when_asked() -> None:
    process = subprocess.Popen(
        [sys.executable, "web_app.py", "--port", "0", "--server", "127.0.0.1:1"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"the page is at http://127\.0\.0\.1:(\d+)/\n", line)
    assert found is not None
    port = int(found[1])
    wait_for(lambda: Page("127.0.0.1", port).request("GET", "/login")[0] == 200)
    process.terminate()
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, stderr) == (0, "")


@pytest.mark.parametrize(
    "flags", [["--server", "nowhere"], ["--port", "99999"], ["--tls-cert", "x"], ["--server", "h:0"]]
)
def test_wrong_flags_are_told_in_a_line(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(flags)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def log_in(visitor: Visitor, token: str) -> tuple[int, dict[str, str], bytes]:
    body = f"csrf={visitor.csrf}&token={quote(token)}".encode()
    return visitor.send("POST", "/login", body, content_type="application/x-www-form-urlencoded")


def log_out(visitor: Visitor, csrf: str) -> tuple[int, dict[str, str], bytes]:
    """As a form sends it, without the header that scripts add."""
    headers = {"Cookie": visitor.cookie, "Origin": visitor.page.url}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return visitor.page.request("POST", "/logout", f"csrf={csrf}".encode(), headers)


def multipart(fields: dict[str, bytes], pictures: list[bytes]) -> tuple[bytes, str]:
    """A form as a browser sends it, and its content type."""
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + data for name, data in fields.items()
    ]
    parts += [
        b'--b\r\nContent-Disposition: form-data; name="picture"; filename="p"\r\nContent-Type: image/png\r\n\r\n' + data
        for data in pictures
    ]
    return b"\r\n".join([*parts, b"--b--\r\n"]), "multipart/form-data; boundary=b"


def wait_for(condition: Callable[[], bool]) -> None:
    """Returns when it is so; fails after PATIENCE_S."""
    ended = threading.Event()
    deadline = PATIENCE_S
    while deadline > 0:
        with contextlib.suppress(ConnectionError):
            if condition():
                return
        ended.wait(0.05)
        deadline -= 0.05
    pytest.fail("this did not come about")


def test_the_page_takes_its_formats_from_the_table(visitor: Visitor) -> None:
    _, _, body = visitor.send("GET", "/identify")
    page = html.unescape(body.decode())
    table = re.search(r"<meta name=\"picture-formats\" content='(.+?)'>\n", page)
    assert table is not None
    formats = json.loads(table[1])
    assert formats["extensions"] == sorted(EXTENSIONS)
    assert formats["names"] == NAMES
    assert formats["accept"].split(",") == ["image/*", *sorted(EXTENSIONS)]
    assert f'accept="{formats["accept"]}"' in page
    assert {"offset": 0, "hex": "89504e470d0a1a0a"} in [
        magic for signature in formats["signatures"] for magic in signature
    ]
