"""Videos larger than any frame, through the page and the HTTP API: up in pieces, down whole or by Range."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from facewire.protocol.settings import MEBIBYTE
from facewire.server.albums.settings import AlbumLimits
from tests.support.synthetic_engine import portrait
from tests.support.videos import padded, visit
from tests.support.web_server import Page, Visitor, facewire_server, web_page

PARTY = padded(visit(), 6 * MEBIBYTE)
PIECE = 2 * MEBIBYTE  # as uploads.js sends them


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    limits = AlbumLimits(photo_bytes=5 * MEBIBYTE)
    with facewire_server(tmp_path_factory.mktemp("served"), albums=limits) as address, web_page(address) as page:
        yield page


@pytest.fixture(scope="module")
def visitor(page: Page) -> Visitor:
    visitor = page.visitor()
    assert visitor.op("album.create", album="Trip")[0] == 200
    return visitor


def send(visitor: Visitor, data: bytes) -> dict[str, Any]:
    """As the page does: the last answer."""
    answer: dict[str, Any] = {"upload": "", "received": 0}
    while "added" not in answer or answer["added"] is None:
        at = answer["received"]
        address = f"/api/album/video?album=Trip&name=party.mp4&size={len(data)}&upload={answer['upload']}&offset={at}"
        status, _, body = visitor.send("POST", address, data[at : at + PIECE])
        answer = json.loads(body)
        assert status == 200, answer
    return answer


@pytest.fixture(scope="module")
def photo(visitor: Visitor) -> int:
    return int(send(visitor, PARTY)["added"]["photo"])


def test_a_piece_beyond_the_end_and_a_file_that_is_no_video(visitor: Visitor) -> None:
    for size, data, status in ((99, bytes(100), 400), (1000, portrait(1).ljust(1000), 422)):
        answer = visitor.send("POST", f"/api/album/video?album=Trip&name=a.mp4&size={size}", data)
        assert answer[0] == status, answer


@pytest.mark.parametrize("path", ["/api/album/photo", "/api/v1/albums/photo"])
def test_it_comes_back_whole_or_in_part(page: Page, visitor: Visitor, photo: int, path: str) -> None:
    address, cookie = f"{path}?album=Trip&photo={photo}", {"Cookie": visitor.cookie}
    status, headers, body = page.request("GET", address, headers=cookie)
    assert (status, headers["content-type"], headers["accept-ranges"]) == (200, "video/mp4", "bytes")
    assert body == PARTY
    size = len(PARTY)
    for asked, first, last in (("0-1", 0, 1), ("7-", 7, size - 1), ("5000000-5999999", 5_000_000, 5_999_999)):
        status, headers, body = page.request("GET", address, headers={**cookie, "Range": f"bytes={asked}"})
        assert (status, headers["content-range"]) == (206, f"bytes {first}-{last}/{size}")
        assert body == PARTY[first : last + 1]
    status, headers, _ = page.request("GET", address, headers={**cookie, "Range": f"bytes={size}-"})
    assert (status, headers["content-range"]) == (416, f"bytes */{size}")
    assert page.request("GET", address, headers={**cookie, "Range": "bytes=9-3"})[0] == 200


def test_it_is_saved_under_its_name(page: Page, visitor: Visitor, photo: int) -> None:
    address = f"/api/album/photo?album=Trip&photo={photo}&save=1"
    _, headers, body = page.request("GET", address, headers={"Cookie": visitor.cookie})
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''party.mp4"
    assert len(body) == len(PARTY)


def test_large_photos_are_shown_as_before(page: Page, visitor: Visitor) -> None:
    data = portrait(4) + bytes(9 * MEBIBYTE // 2)
    answer = visitor.send("POST", "/api/album/add?album=Trip&name=a.png", data)[2]
    address = f"/api/album/photo?album=Trip&photo={json.loads(answer)['photo']}"
    for more in ({}, {"Range": "bytes=5-"}):
        status, headers, body = page.request("GET", address, headers={"Cookie": visitor.cookie, **more})
        assert (status, headers["content-type"], body == data) == (200, "image/png", True)
        assert "content-disposition" not in headers


def test_the_api_takes_one_in_pieces(page: Page) -> None:
    data = padded(visit(), MEBIBYTE)
    keys = f"album=Trip&name=other.mp4&size={len(data)}"
    half = json.loads(_post(page, keys, data[: MEBIBYTE // 2]))
    assert (half["received"], half["added"]) == (MEBIBYTE // 2, None)
    last = json.loads(_post(page, f"{keys}&upload={half['upload']}&offset={half['received']}", data[MEBIBYTE // 2 :]))
    assert last["added"]["width"] == 192


def _post(page: Page, keys: str, data: bytes) -> bytes:
    headers = {"Content-Type": "application/octet-stream"}
    status, _, body = page.request("POST", f"/api/v1/albums/add_video?{keys}", data, headers)
    assert status == 200, body
    return body
