"""The cache of converted networks: a whole entry or none, whoever builds it."""

from __future__ import annotations

import multiprocessing
import os
import stat
import time
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import pytest

from facewire.server.cache import alone_in, cache_key, cached_folder, default_cache_dir
from facewire.server.errors import StartError

PATIENCE_S = 60.0
PARTS = 20


def build_with(folder: Path, owner: str) -> None:
    for part in range(PARTS):
        (folder / f"part{part}").write_text(f"{part} of {owner}")


def owner_of(entry: Path) -> str:
    """Whose entry it is; fails unless every part is there and of one owner."""
    texts = {path.name: path.read_text() for path in entry.iterdir()}
    owners = {text.split(" of ")[1] for text in texts.values()}
    assert len(texts) == PARTS
    (owner,) = owners
    return owner


def race(root: Path, together: Barrier, owner: str) -> None:
    def build(folder: Path) -> None:
        together.wait(PATIENCE_S)  # both have found no entry by now
        build_with(folder, owner)

    entry = cached_folder(root, "key", build)
    (root.parent / f"{owner}.got").write_text(owner_of(entry))


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    entry = cached_folder(tmp_path / "cache", "key", lambda folder: build_with(folder, "first"))
    again = cached_folder(tmp_path / "cache", "key", lambda folder: build_with(folder, "second"))
    assert again == entry
    assert owner_of(entry) == "first"
    other = cached_folder(tmp_path / "cache", "other", lambda folder: build_with(folder, "third"))
    assert (owner_of(entry), owner_of(other)) == ("first", "third")


def test_two_processes_that_build_the_same_entry_both_get_a_whole_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(2)
    root = tmp_path / "cache"
    processes = [context.Process(target=race, args=(root, together, owner)) for owner in ("one", "two")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_S)
    assert [process.exitcode for process in processes] == [0, 0]
    winner = owner_of(root / "key")
    assert {path.read_text() for path in tmp_path.glob("*.got")} == {winner}  # nobody was left with another's remains
    assert [path.name for path in root.iterdir()] == ["key"]


@pytest.mark.parametrize("failure", [ZeroDivisionError(), KeyboardInterrupt(), StartError("no weights")])
def test_a_failed_build_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    def build(folder: Path) -> None:
        build_with(folder, "nobody")
        raise failure

    with pytest.raises(type(failure)):
        cached_folder(tmp_path, "key", build)
    assert list(tmp_path.iterdir()) == []
    assert owner_of(cached_folder(tmp_path, "key", lambda folder: build_with(folder, "next"))) == "next"


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> None:
        build_with(folder, "nobody")
        raise OSError(28, "No space left on device")

    with pytest.raises(StartError, match="No space left on device") as error:
        cached_folder(tmp_path, "key", build)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_can_not_be_written_says_which_flag_names_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartError, match="--cache-dir"):
        cached_folder(tmp_path / "file" / "cache", "key", lambda folder: None)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StartError, match="--cache-dir"):
        cached_folder(tmp_path, "key", lambda folder: None)


def test_a_key_changes_with_every_part() -> None:
    keys = {cache_key("a", "b"), cache_key("a", "c"), cache_key("ab", ""), cache_key("", "ab"), cache_key("ab")}
    assert len(keys) == 5
    assert cache_key("a", "b") == cache_key("a", "b")


def test_the_default_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "facewire"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache" / "facewire"


def write_until_killed(root: Path, begun: Event) -> None:
    def build(folder: Path) -> None:
        build_with(folder, "killed")
        begun.set()
        time.sleep(PATIENCE_S)

    cached_folder(root, "killed", build)


def test_what_a_killed_process_was_writing_is_removed_and_what_others_write_is_not(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    writer = context.Process(target=write_until_killed, args=(tmp_path, begun))
    writer.start()
    assert begun.wait(PATIENCE_S)
    entry = cached_folder(tmp_path, "key", lambda folder: build_with(folder, "living"))
    assert sorted(path.name.partition("-")[0] for path in tmp_path.iterdir()) == [".killed", "key"]
    writer.kill()
    writer.join(PATIENCE_S)
    again = cached_folder(tmp_path, "key", lambda folder: build_with(folder, "next"))  # a start that finds its entry
    assert owner_of(again) == owner_of(entry) == "living"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_only_what_was_being_written_is_removed(tmp_path: Path) -> None:
    for name in (".nfs0000abcd", ".key", "key-12345678", ".gitignore"):
        (tmp_path / name).write_text("not of this cache")
    before = sorted(tmp_path.iterdir())
    entry = cached_folder(tmp_path, "key", lambda folder: build_with(folder, "first"))
    assert sorted(tmp_path.iterdir()) == sorted([*before, entry])


def write_alone(entry: Path, together: Barrier, owner: str) -> None:
    together.wait(PATIENCE_S)
    for _ in range(20):
        with alone_in(entry):
            for part in range(PARTS):
                (entry / f"part{part}").write_text(f"{part} of {owner}")
            owner_of(entry)


def test_who_writes_into_an_entry_in_place_is_alone(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    writers = [context.Process(target=write_alone, args=(tmp_path, together, str(one))) for one in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE_S)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    with alone_in(tmp_path / "is not there"):  # and a folder that can't be opened hinders nobody
        pass
