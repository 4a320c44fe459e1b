"""Uploads through the page: what is large passes through unheld, and what is too large is refused in words."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from facewire.client.web.bodies import BodyBudget, BodyError
from facewire.server.albums.settings import AlbumLimits
from tests.support import coroutines
from tests.support.server_process import ROOT, environment
from tests.support.synthetic_engine import portrait
from tests.support.web_server import Page, Visitor, facewire_server, web_page

MEBIBYTE = 1024 * 1024
LARGE = 200 * MEBIBYTE
PIECE = 2 * MEBIBYTE  # as uploads.js sends them
MOST_GROWTH = 48 * MEBIBYTE  # a few pieces in a few copies, and what Python keeps of them; the ZIP has four times that


@contextlib.contextmanager
def page_process(server: tuple[str, int]) -> Iterator[tuple[Page, int]]:
    """web_app.py as a process of its own: the page and the process's number."""
    with subprocess.Popen(
        [sys.executable, "web_app.py", "--port", "0", "--server", f"{server[0]}:{server[1]}"],
        cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+)/$", process.stdout.readline())
            assert found is not None
            yield Page("127.0.0.1", int(found[1])), process.pid
        finally:
            process.terminate()


def peak(pid: int) -> int:
    """The most memory that the process ever had resident, in bytes."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("this system does not tell what memory a process has")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def send_zip(visitor: Visitor, album: str, path: Path, piece: int = PIECE) -> tuple[int, dict[str, Any]]:
    """As the page does: the last answer."""
    upload, offset, size = "", 0, path.stat().st_size
    with path.open("rb") as file:
        while True:
            data = file.read(piece)
            last = int(offset + len(data) >= size)
            address = f"/api/album/zip?album={album}&upload={upload}&offset={offset}&last={last}"
            status, _, body = visitor.send("POST", address, data)
            answer = json.loads(body)
            if status != 200 or last:
                return status, answer
            upload, offset = answer["upload"], answer["received"]


def large_zip(path: Path, size: int) -> Path:
    """One photo, and a film that is no photo."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ada.png", portrait(7))
        with archive.open("film.mov", "w", force_zip64=True) as film:
            for _ in range(size // MEBIBYTE):
                film.write(bytes(MEBIBYTE))
    return path


def test_a_zip_of_200_mb_passes_through(tmp_path: Path) -> None:
    whole = large_zip(tmp_path / "large.zip", LARGE)
    (tmp_path / "served").mkdir()
    with facewire_server(tmp_path / "served") as address, page_process(address) as (page, pid):
        visitor = page.visitor()
        assert visitor.op("album.create", album="Large")[0] == 200
        # first a small one: its modules and threads are there, and counted
        small = large_zip(tmp_path / "small.zip", 4 * MEBIBYTE)
        assert send_zip(visitor, "Large", small)[1]["ingested"]["added"] == 1
        before = peak(pid)
        status, answer = send_zip(visitor, "Large", whole)
        assert status == 200
        assert answer["received"] == whole.stat().st_size > LARGE
        assert answer["ingested"]["duplicates"] == 1
        assert peak(pid) - before < MOST_GROWTH


def test_a_zip_larger_than_the_server_allows(tmp_path: Path) -> None:
    limits = AlbumLimits(zip_bytes=3 * MEBIBYTE)
    with facewire_server(tmp_path, albums=limits) as address, web_page(address) as page:
        visitor = page.visitor()
        visitor.op("album.create", album="Small")
        status, answer = send_zip(visitor, "Small", large_zip(tmp_path / "large.zip", 8 * MEBIBYTE))
        assert (status, answer["error"]["code"]) == (413, "too_large")
        assert "ZIP" in answer["error"]["message"]
        assert any(character.isdigit() for character in answer["error"]["message"])  # it says the limit


def test_a_piece_larger_than_any_page_sends(tmp_path: Path) -> None:
    with facewire_server(tmp_path) as address, web_page(address) as page:
        visitor = page.visitor()
        visitor.op("album.create", album="Small")
        status, headers, body = visitor.send("POST", "/api/album/zip?album=Small", bytes(8 * MEBIBYTE + 1))
        assert (status, json.loads(body)["error"]["code"]) == (413, "too_large")
        assert "8 MiB" in json.loads(body)["error"]["message"]
        assert headers["connection"] == "close"


def test_all_uploads_together_are_bounded_and_what_has_ended_counts_no_more() -> None:
    heard: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        heard.append(scope["size"])

    async def run() -> None:
        guarded = BodyBudget(app, most=100)
        waiting = asyncio.Event()

        def upload(size: int, *, slowly: bool = False) -> asyncio.Future[None]:
            pieces = iter([size // 2, size - size // 2])
            left = 2

            async def receive() -> Message:
                nonlocal left
                if left == 1 and slowly:
                    await waiting.wait()
                left -= 1
                return {"type": "http.request", "body": bytes(next(pieces)), "more_body": left > 0}

            async def send(_: Message) -> None: ...

            return asyncio.ensure_future(guarded({"type": "http", "size": size}, receive, send))

        slow = upload(80, slowly=True)
        await asyncio.sleep(0)
        await upload(60)  # beside the half that is there
        with pytest.raises(BodyError) as refused:
            await upload(62)
        assert (refused.value.status, refused.value.code) == (503, "busy")
        waiting.set()
        await slow
        await upload(100)

    coroutines.run(run)
    assert heard == [60, 80, 100]
