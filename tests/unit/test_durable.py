"""What is said to be on the disk was synced: the file before it gets its name, and the folder after."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from facewire.server.durable import put_in_place, replacing


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, list[bytes]]]:
    """The inode of everything that is synced, and what `f` holds at that moment."""
    seen: list[tuple[int, list[bytes]]] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        there = [path.read_bytes() for path in tmp_path.glob("f")]
        seen.append((os.fstat(descriptor).st_ino, there))
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return seen


def test_a_file_is_synced_before_it_is_in_place_and_its_folder_after(
    tmp_path: Path, synced: list[tuple[int, list[bytes]]]
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with replacing(path) as fresh:
        assert fresh.stat().st_mode & 0o077 == 0
        fresh.write_bytes(b"new")
        inode = fresh.stat().st_ino
    assert synced == [(inode, [b"old"]), (tmp_path.stat().st_ino, [b"new"])]
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_made_elsewhere_is_put_in_place(tmp_path: Path, synced: list[tuple[int, list[bytes]]]) -> None:
    (tmp_path / "ready").write_bytes(b"new")
    inode = (tmp_path / "ready").stat().st_ino
    put_in_place(tmp_path / "ready", tmp_path / "f")
    assert synced == [(inode, []), (tmp_path.stat().st_ino, [b"new"])]
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as fresh:
        fresh.write_bytes(b"half of it")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
