"""Folders of the server's own disk, imported through the page: offered where allowed, followed, gone on with alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_service import PATIENCE_S
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page, Visitor, facewire_server, web_page


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The import root, with two photos and one broken file in a folder."""
    folder = tmp_path / "camera" / "holiday"
    (folder / "day 1").mkdir(parents=True)
    (folder / "day 1" / "ada.png").write_bytes(portrait(7))
    (folder / "bo.png").write_bytes(portrait(30))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff and nothing more")
    return tmp_path / "camera"


@pytest.fixture
def page(tmp_path: Path, root: Path) -> Iterator[Page]:
    (tmp_path / "served").mkdir()
    with facewire_server(tmp_path / "served", import_root=root) as address, web_page(address) as page:
        yield page


def begin(visitor: Visitor, **keys: str) -> tuple[int, dict[str, Any]]:
    body = json.dumps(keys).encode()
    status, _, answer = visitor.send("POST", "/api/album/import", body, content_type="application/json")
    return status, json.loads(answer)


def followed(visitor: Visitor, album: str) -> dict[str, Any]:
    """The import, once it has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        now: dict[str, Any] = json.loads(visitor.send("GET", f"/api/album/import?album={album}")[2])
        if not now["running"]:
            return now
        time.sleep(0.02)
    raise AssertionError("the import never ended")


def test_a_folder_is_imported_and_looked_at_with_no_page_open(page: Page) -> None:
    visitor = page.visitor()
    visitor.op("album.create", album="Trip")
    assert visitor.op("album.folders")[1]["folders"] == ["holiday"]
    status, begun = begin(visitor, album="Trip", folder="holiday")
    assert (status, begun["folder"]) == (202, "holiday")
    end = followed(page.visitor(), "Trip")  # somebody else looks; who began has gone
    assert (end["result"]["added"], end["result"]["skipped_total"]) == (2, 1)
    assert end["result"]["skipped"][0]["name"] == "holiday/broken.jpg"
    deadline = time.monotonic() + PATIENCE_S
    while visitor.op("album.status", album="Trip")[1]["people"] != 2:  # faces are looked for without being asked
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_can_not_be_imported_is_said(page: Page) -> None:
    visitor = page.visitor()
    visitor.op("album.create", album="Trip")
    assert begin(visitor, album="Trip", folder="../served")[0] == 202
    end = followed(visitor, "Trip")
    assert (end["error"]["code"], end["result"]) == ("invalid_request", None)
    assert "no such folder" in end["error"]["message"]
    assert begin(visitor, album="Trip")[0] == 400
    assert begin(visitor, album="Trip", folder="holiday", as_root="yes")[0] == 400
    assert json.loads(visitor.send("GET", "/api/album/import?album=Other")[2]) is None
    assert visitor.op("album.import", album="Trip", folder="holiday")[0] == 404  # only where it can be followed


def test_a_server_that_allows_none_offers_none(tmp_path: Path) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as page:
        listed = page.visitor().op("album.folders")[1]
        assert (listed["allowed"], listed["folders"]) == (False, [])


def test_another_site_can_not_begin_one(page: Page) -> None:
    visitor = page.visitor()
    body = json.dumps({"album": "Trip", "folder": "holiday"}).encode()
    headers = {"Cookie": visitor.cookie, "Content-Type": "application/json"}
    assert page.request("POST", "/api/album/import", body, headers)[0] == 403
