"""What files in ZIPs are called: archives made byte by byte, as the programs of many countries make them."""

from __future__ import annotations

import struct
import sys
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.zip_names import decoder_for
from facewire.server.albums.zips import PhotoZip
from facewire.server.errors import BadRequest
from tests.support.synthetic_engine import portrait

UTF8 = 0x800


def archive(path: Path, files: Sequence[tuple[bytes, bytes, int]], data: bytes = b"") -> Path:
    """A ZIP of stored files: (raw name, extra field, flags) of each, all with the same bytes."""
    data = data or portrait(1)
    body, directory = b"", b""
    for raw, extra, flags in files:
        sizes = struct.pack("<LLLHH", zlib.crc32(data), len(data), len(data), len(raw), len(extra))
        central = struct.pack("<4s4H2H", b"PK\x01\x02", 20, 20, flags, 0, 0, 0x21) + sizes
        directory += central + struct.pack("<3H2L", 0, 0, 0, 0, len(body)) + raw + extra
        body += struct.pack("<4s3H2H", b"PK\x03\x04", 20, flags, 0, 0, 0x21) + sizes + raw + extra + data
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(files), len(files), len(directory), len(body), 0)
    path.write_bytes(body + directory + end)
    return path


def unicode_path(name: str, of: bytes) -> bytes:
    """Info-ZIP's extra field."""
    text = name.encode()
    return struct.pack("<HHBL", 0x7075, 5 + len(text), 1, zlib.crc32(of)) + text


def names(path: Path) -> list[str]:
    with PhotoZip(path, AlbumLimits()) as file:
        entries = list(file.photos())
    assert all(entry.data == portrait(1) for entry in entries), [entry.reason for entry in entries]
    return [entry.name for entry in entries]


WRITTEN = {
    "utf-8": ["André.jpg", "写真/京都.jpg", "Анна.jpg", "김철수.jpg", "🙂.jpg"],
    "cp437": ["André.jpg", "Müller/Größe.jpg", "café à la crème.jpg"],
    "cp850": ["Søren.jpg", "Álvaro/été.jpg"],
    "cp1252": ["Maria’s/Straße 12.jpg", "Zoë.jpg", "Björk Guðmundsdóttir.jpg", "José Nuñez – 1.jpg"],
    "cp932": ["写真.jpg", "家族旅行/京都.jpg", "田中太郎.jpg", "さくら.jpg", "表示.jpg", "スキー旅行2019.jpg"],
    "gbk": ["张伟.jpg", "照片/全家福.jpg", "王小明.jpg", "韩梅梅.jpg"],
    "big5": ["王小明.jpg", "台北旅遊/照片.jpg", "陳美華.jpg"],
    "cp949": ["김철수.jpg", "가족여행/사진.jpg", "제주도.jpg"],
    "cp866": ["Анна.jpg", "Фото/лето.jpg", "Ростов-на-Дону.jpg"],
    "cp1251": ["Анна.jpg", "Фото/лето.jpg", "иван петров.jpg"],
}


@pytest.mark.parametrize("encoding", WRITTEN)
def test_an_archive_that_does_not_say_is_read_in_what_it_was_written_in(encoding: str, tmp_path: Path) -> None:
    written = WRITTEN[encoding]
    files = [(name.encode(encoding), b"", 0) for name in ("IMG_0001.jpg", *written)]
    assert names(archive(tmp_path / "a.zip", files)) == ["IMG_0001.jpg", *written]


@pytest.mark.parametrize("encoding", WRITTEN)
def test_one_name_alone_is_mostly_enough(encoding: str) -> None:
    right = [decoder_for([name.encode(encoding)])(name.encode(encoding)) == name for name in WRITTEN[encoding]]
    assert sum(right) >= len(right) - 1


def test_what_the_archive_says_counts_for_more_than_any_guess(tmp_path: Path) -> None:
    raw = "Анна.jpg".encode("cp866")
    files = [
        ("Zoë.jpg".encode(), b"", UTF8),
        (raw, unicode_path("Анна Каренина.jpg", raw), 0),
        ("Фото.jpg".encode("cp866"), unicode_path("of another name.jpg", b"another"), 0),
        (
            "лето.jpg".encode("cp866"),
            b"\x55\x54\x05\x00\x03abcd" + unicode_path("Лето.jpg", "лето.jpg".encode("cp866")),
            0,
        ),
        (b"plain.jpg", unicode_path("fancy – plain.jpg", b"plain.jpg"), 0),
    ]
    expected = ["Zoë.jpg", "Анна Каренина.jpg", "Фото.jpg", "Лето.jpg", "fancy – plain.jpg"]
    assert names(archive(tmp_path / "a.zip", files)) == expected


def test_a_damaged_extra_field_is_no_name(tmp_path: Path) -> None:
    raw = b"a.jpg"
    good = unicode_path("b.jpg", raw)
    for extra in (good[:4] + b"\x02" + good[5:], good[:5] + b"1234" + good[9:]):
        assert names(archive(tmp_path / "a.zip", [(raw, extra, 0)])) == ["a.jpg"]
    not_utf8 = archive(tmp_path / "b.zip", [(raw, good[:-1] + b"\xff", 0)])
    if sys.version_info < (3, 12):
        assert names(not_utf8) == ["a.jpg"]
    else:  # zipfile reads the field itself, and opens no archive where it is no UTF-8
        with pytest.raises(BadRequest):
            names(not_utf8)


def test_names_come_composed_with_forward_slashes_and_never_as_folders(tmp_path: Path) -> None:
    decomposed = normalize("NFD", "Zoë Müller.jpg")
    files = [(decomposed.encode(), b"", flags) for flags in (0, UTF8)]
    files += [(b"trip\\day 1\\a.jpg", b"", 0), (b"trip\\empty\\", b"", 0)]
    assert names(archive(tmp_path / "a.zip", files)) == ["Zoë Müller.jpg", "Zoë Müller.jpg", "trip/day 1/a.jpg"]


def test_two_programs_may_have_packed_one_archive(tmp_path: Path) -> None:
    files = [("Zoë.jpg".encode(), b"", 0), ("Größe.jpg".encode(), b"", 0), ("Müller.jpg".encode("cp1252"), b"", 0)]
    assert names(archive(tmp_path / "a.zip", files)) == ["Zoë.jpg", "Größe.jpg", "Müller.jpg"]


def test_service_files_are_known_by_their_real_names(tmp_path: Path) -> None:
    files = [
        (name, b"", 0)
        for name in (b"a.jpg", b"@eaDir\\a.jpg\\t.jpg", b"x/@eaDir/b.jpg", b"x/@eaDir/c.jpg", b"x/._a.jpg")
    ]
    with PhotoZip(archive(tmp_path / "a.zip", files), AlbumLimits()) as file:
        assert [entry.name for entry in file.photos()] == ["a.jpg"]
        assert file.left_out.said() == "2 service folders and 1 service file left out"


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_any_bytes_have_a_name(raws: list[bytes]) -> None:
    decode = decoder_for(raws)
    for raw in raws:
        assert isinstance(decode(raw), str)
        if raw.isascii():
            assert decode(raw) == raw.decode("ascii")


def test_what_zipfile_writes_is_read_back(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("a.jpg", "ä/ö.jpg", "写真.jpg"):
            file.writestr(name, portrait(1))
    assert names(tmp_path / "a.zip") == ["a.jpg", "ä/ö.jpg", "写真.jpg"]
