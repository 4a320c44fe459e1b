"""ZIP files that mean harm, and names that do."""

from __future__ import annotations

import contextlib
import io
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facewire.server.albums.names import FileNames, album_name, photo_name
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.zips import Entry, PhotoZip
from facewire.server.errors import BadRequest, OverLimit, RequestError
from tests.support.synthetic_engine import portrait

LIMITS = AlbumLimits(zip_entries=20, zip_expanded=50_000_000, photo_bytes=5_000_000)


def made(tmp_path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def entries(path: Path, limits: AlbumLimits = LIMITS) -> list[Entry]:
    with PhotoZip(path, limits) as archive:
        return list(archive.photos())


class TestZips:
    def test_pictures_are_read_and_the_rest_has_reasons(self, tmp_path: Path) -> None:
        inner = made(tmp_path, {"x.png": portrait(1)}).read_bytes()
        files = {"a.png": portrait(1), "in/b.PNG": portrait(2), "inner.zip": inner, "run.exe": b"MZ"}
        found = {entry.name: entry for entry in entries(made(tmp_path, files))}
        assert (found["a.png"].data, found["in/b.PNG"].data) == (portrait(1), portrait(2))
        assert "ZIP inside the ZIP" in found["inner.zip"].reason
        assert found["run.exe"].data is None

    def test_what_systems_leave_there_is_not_spoken_of(self, tmp_path: Path) -> None:
        files = {"__MACOSX/._a.png": b"x", "in/.DS_Store": b"x", "Thumbs.db": b"x", "in/._b.png": b"x", "in/": b""}
        assert entries(made(tmp_path, files)) == []

    def test_a_file_without_a_name(self, tmp_path: Path) -> None:
        path = made(tmp_path, {"a.png": portrait(1), "nameless": portrait(2)})
        path.write_bytes(path.read_bytes().replace(b"nameless", bytes(8)))  # zipfile ends names there
        assert {entry.data for entry in entries(path)} == {portrait(1), portrait(2)}

    def test_an_encrypted_one(self, tmp_path: Path) -> None:
        data = bytearray(made(tmp_path, {"a.png": portrait(1)}).read_bytes())
        central = data.index(b"PK\x01\x02")
        data[central + 8] |= 1
        (tmp_path / "secret.zip").write_bytes(data)
        with pytest.raises(BadRequest, match="encrypted"):
            entries(tmp_path / "secret.zip")

    def test_a_bomb_by_ratio(self, tmp_path: Path) -> None:
        with pytest.raises(OverLimit, match="times its size"):
            entries(made(tmp_path, {"a.bmp": bytes(4_000_000)}))

    def test_a_bomb_by_size(self, tmp_path: Path) -> None:
        with pytest.raises(OverLimit, match="unpacks to more"):
            entries(made(tmp_path, {"a.png": bytes(1000)}, zipfile.ZIP_STORED), AlbumLimits(zip_expanded=999))

    def test_a_bomb_that_lies_about_its_size(self, tmp_path: Path) -> None:
        data = bytearray(made(tmp_path, {"a.bmp": bytes(900_000)}).read_bytes())
        central = data.index(b"PK\x01\x02")
        struct.pack_into("<L", data, central + 24, 10)
        (tmp_path / "liar.zip").write_bytes(data)
        (entry,) = entries(tmp_path / "liar.zip")
        assert entry.data is None or len(entry.data) <= 10

    def test_too_many_files(self, tmp_path: Path) -> None:
        with pytest.raises(OverLimit, match="21 files"):
            entries(made(tmp_path, {f"{n}.png": b"x" for n in range(21)}))

    def test_a_directory_of_millions_is_not_read(self, tmp_path: Path) -> None:
        with pytest.raises(OverLimit, match="lists more files"):
            entries(made(tmp_path, {f"{n}{'x' * 100}.png": b"" for n in range(200)}))

    def test_a_picture_over_the_limit_is_one_reason(self, tmp_path: Path) -> None:
        limits = AlbumLimits(photo_bytes=100)
        (large, small) = entries(made(tmp_path, {"l.png": bytes(range(256)), "s.png": b"x"}), limits)
        assert large.data is None
        assert small.data == b"x"

    def test_overlapping_files(self, tmp_path: Path) -> None:
        """Two names for one run of bytes: how small bombs become large ones."""
        data = made(tmp_path, {"a.png": portrait(1)}).read_bytes()
        start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
        twice = data[:start] + 2 * data[start:end]
        fields = (b"PK\x05\x06", 0, 0, 2, 2, 2 * (end - start), start, 0)
        (tmp_path / "twice.zip").write_bytes(twice + struct.pack("<4s4H2LH", *fields))
        read = sum(len(entry.data or b"") for entry in entries(tmp_path / "twice.zip"))
        assert read <= 2 * len(portrait(1))

    @pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06", b"no ZIP at all" * 100, b"PK\x03\x04" + bytes(60)])
    def test_what_is_no_zip(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "x.zip").write_bytes(data)
        with pytest.raises(BadRequest, match="not a ZIP file"):
            entries(tmp_path / "x.zip")

    def test_lzma_that_is_damaged(self, tmp_path: Path) -> None:
        """Found by python -m lab.proof.fuzz zips: its decompressor raises an error of its own."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("a.png", portrait(1))
        broken = bytearray(buffer.getvalue())
        at = broken.index(b"a.png") + len(b"a.png") + 9  # after the LZMA properties
        broken[at : at + 8] = b"\xff" * 8
        (tmp_path / "x.zip").write_bytes(broken)
        (entry,) = entries(tmp_path / "x.zip")
        assert (entry.data, entry.reason) == (None, "damaged, or packed in an unusual way")

    def test_a_version_that_does_not_exist(self, tmp_path: Path) -> None:
        """Found by python -m lab.proof.fuzz zips."""
        broken = bytearray(made(tmp_path, {"a.png": portrait(1)}).read_bytes())
        broken[broken.index(b"PK\x01\x02") + 6] = 216  # needs version 21.6
        (tmp_path / "x.zip").write_bytes(broken)
        with pytest.raises(BadRequest, match="not a ZIP file"):
            entries(tmp_path / "x.zip")

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(st.data())
    def test_damage_anywhere_is_an_answer(self, data: st.DataObject) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.png", portrait(1))
            archive.writestr("b/c.png", portrait(2))
        broken = bytearray(buffer.getvalue())
        for _ in range(data.draw(st.integers(1, 4))):
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
        with tempfile.TemporaryDirectory() as room:
            path = Path(room, "broken.zip")
            path.write_bytes(broken[: data.draw(st.integers(0, len(broken)))] if data.draw(st.booleans()) else broken)
            with contextlib.suppress(RequestError):
                entries(path)


class TestNames:
    @pytest.mark.parametrize(
        ("given_name", "kept"),
        [
            ("../../etc/passwd", "etc/passwd"),
            ("/abs/a.jpg", "abs/a.jpg"),
            ("C:\\photos\\a.jpg", "photos/a.jpg"),
            ("\\\\server\\share\\a.jpg", "server/share/a.jpg"),
            ("a/./b/../c.jpg", "a/b/c.jpg"),
            ("", "photo"),
            ("..", "photo"),
            ("a\x00\n\u202egpj.jpg", "a___gpj.jpg"),
            ("e\u0301.jpg", "é.jpg"),
            ("  a  / b .jpg", "a/b .jpg"),
            ("\ud800.jpg", "_.jpg"),
        ],
    )
    def test_photo_names(self, given_name: str, kept: str) -> None:
        assert photo_name(given_name) == kept

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.lists(st.text(max_size=40), min_size=1, max_size=12))
    def test_files_of_a_zip_can_be_unpacked_anywhere(self, names: list[str]) -> None:
        taken = FileNames()
        paths = [taken.take(photo_name(name), "JPEG") for name in names]
        keys = [path.casefold() for path in paths]
        assert len(set(keys)) == len(names)
        for path, key in zip(paths, keys, strict=True):
            parts = path.split("/")
            assert path.lower().endswith((".jpg", ".jpeg", ".jpe", ".jfif"))
            for part in parts:
                assert part not in ("", ".", "..")
                assert part == part.rstrip(". ")
                assert not set(part) & set('<>:"|?*\\\x00\n')
                assert part.split(".")[0].lower() not in ("con", "prn", "aux", "nul", "com1", "lpt9")
                assert len(part.encode()) <= 255
            parents = ["/".join(parts[:depth]).casefold() for depth in range(1, len(parts))]
            assert not set(parents) & set(keys), f"{key} is inside a file"

    @settings(max_examples=200, deadline=None, derandomize=True)
    @given(st.text(max_size=600))
    def test_any_text_is_a_name(self, text: str) -> None:
        name = photo_name(text)
        assert 0 < len(name) <= 500
        assert photo_name(name) == name
        try:
            assert album_name(text)
        except BadRequest:
            return
