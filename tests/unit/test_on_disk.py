"""Files that stay on the disk: read from anywhere, compared and written without being in memory."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from facewire.server.albums.ingest import begins_with
from facewire.server.albums.originals import Originals, blocks_of
from facewire.server.albums.zip_layout import Stored, end_records
from facewire.server.vision.decoding import on_disk as module
from facewire.server.vision.decoding.on_disk import Reader, on_disk

FEW = st.binary(max_size=12) | st.lists(st.sampled_from([0, 1]), max_size=12).map(bytes)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 3)


@given(whole=FEW, kept=FEW)
@example(whole=b"abcdefg", kept=b"abcd\0\0\0\0\0\0")
@example(whole=b"abcdefg", kept=b"abcd\0\0\0\0\0x")
@example(whole=b"ab", kept=b"ab\0\0")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_beginning_is_found_block_by_block(whole: bytes, kept: bytes, tmp_path: Path, small_blocks: None) -> None:
    for name, data in (("whole", whole), ("kept", kept)):
        (tmp_path / name).write_bytes(data)
    expected = whole.startswith(kept.rstrip(b"\0"))
    with on_disk(tmp_path / "kept", "") as beginning, on_disk(tmp_path / "whole", "") as other:
        assert begins_with(other, beginning) is expected
        assert begins_with(whole, beginning) is expected


def test_a_reader_is_like_a_file_but_for_the_others_of_its_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)) + b"more")
    with path.open("rb") as file:
        reader, other, like = Reader(file.fileno(), 100), Reader(file.fileno(), 100), io.BytesIO(bytes(range(100)))
        for offset, whence, count in ((7, os.SEEK_SET, 5), (-3, os.SEEK_END, 9), (-50, os.SEEK_CUR, 20), (200, 0, 1)):
            assert reader.seek(offset, whence) == like.seek(offset, whence)
            assert (reader.read(count), reader.tell()) == (like.read(count), like.tell())
        with pytest.raises(ValueError, match="before the beginning"):
            reader.seek(-1)
        assert other.read() == bytes(range(100))


class Lost(Exception):
    """What a source of blocks may raise."""


def test_what_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    originals = Originals(tmp_path)

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise Lost

    whole = tmp_path / "upload"
    whole.write_bytes(b"halfway")
    for take in (originals.take, lambda blocks: originals.share(whole, blocks)):
        with pytest.raises(Lost):
            take(broken())
    assert list((tmp_path / "incoming").iterdir()) == []
    assert whole.read_bytes() == b"halfway"


@pytest.mark.parametrize("links", [True, False], ids=["shared", "copied"])
def test_an_upload_stays_until_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    """Also where the file system knows no links."""
    if not links:

        def refused(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(os, "link", refused)
    data, upload = os.urandom(2 * module.BLOCK + 7), tmp_path / "upload"
    upload.write_bytes(data)
    originals = Originals(tmp_path)
    with upload.open("rb") as file:
        written = originals.share(upload, blocks_of(file.fileno()))
    sums = written.sums
    assert (sums.size, sums.sha256, sums.crc32) == (len(data), hashlib.sha256(data).hexdigest(), zlib.crc32(data))
    assert (written.path.stat().st_ino == upload.stat().st_ino) is links
    originals.keep(written.path, sums.sha256)
    assert originals.read(sums.sha256) == upload.read_bytes() == data


@pytest.mark.parametrize("size", [0, 2**32 - 2, 2**32 - 1, 2**32, 5 * 2**30], ids=str)
def test_a_zip_of_files_beyond_4_gib(tmp_path: Path, size: int) -> None:
    """As zipfile reads it, which knows nothing of ours; the files have holes for bytes."""
    stamp = datetime(2026, 11, 29, 20, 30)
    first = Stored("day/large.mp4", size, 0, stamp, 0)
    files = [first, Stored("small.png", 3, zlib.crc32(b"end"), stamp, first.end)]
    directory = b"".join(file.central_header() for file in files)
    assert [len(file.central_header()) for file in files] == [file.central_size for file in files]
    with (tmp_path / "made.zip").open("wb") as made:
        for file in files:
            made.seek(file.at)
            made.write(file.local_header())
            assert made.tell() == file.data_at
        made.write(b"end")
        assert made.tell() == files[-1].end
        made.write(directory + end_records(2, files[-1].end, len(directory)))
    with zipfile.ZipFile(tmp_path / "made.zip") as archive:
        assert [(info.filename, info.file_size) for info in archive.infolist()] == [
            ("day/large.mp4", size), ("small.png", 3)
        ]  # fmt: skip
        assert archive.read("small.png") == b"end"
        with archive.open("day/large.mp4") as large:
            assert large.read(100) == bytes(min(size, 100))
