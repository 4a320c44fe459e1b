"""Every file with every log, of two galleries at many moments: what is replayed is always one gallery's own history."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from facewire.server.gallery.storage import journal
from facewire.server.gallery.storage.lineage import is_foreign, log_of
from facewire.server.gallery.storage.store import Store
from tests.support.galleries import spec


class Moment(NamedTuple):
    """What lay on the disk, and who was enrolled."""

    file: bytes
    log: bytes
    names: tuple[str, ...]


def lived(path: Path, seed: int) -> list[Moment]:
    """Moments of a gallery's life: changes, logs folded in, wholly or in part, and begun anew, restarts."""
    chance = random.Random(seed)
    store, names, moments = Store.create(path, spec()), list[str](), list[Moment]()
    for step in range(10):
        for number in range(chance.randint(1, 3)):
            with store.transaction():
                draft = journal.begin(store, "enrol")
                name = f"{path.stem} {step} {number}"
                store.ensure_person(name)
                journal.finish(store, draft)
            names.append(name)
            moments.append(moment(path, names))
        deed = chance.choice(("nothing", "PASSIVE", "RESTART", "TRUNCATE", "held back", "restart", "vacuum"))
        if deed in ("PASSIVE", "RESTART", "TRUNCATE"):
            store.execute(f"PRAGMA wal_checkpoint({deed})").fetchall()
        elif deed == "held back":  # a reader keeps what came after it from being folded in
            with closing(Store.open(path, another=True)) as reader, reader.reading():
                reader.counts()
                with store.transaction():
                    draft = journal.begin(store, "enrol")
                    store.ensure_person(f"{path.stem} {step} late")
                    journal.finish(store, draft)
                names.append(f"{path.stem} {step} late")
                store.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        elif deed == "restart":
            store.close()
            store = Store.open(path)
        elif deed == "vacuum":
            store.execute("VACUUM")
        moments.append(moment(path, names))
    store.close()
    return moments


def moment(path: Path, names: list[str]) -> Moment:
    log = log_of(path)
    # Not this process: closing the file would drop its locks on it. A link is another name for the same bytes.
    with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as connection:
        return Moment(connection.serialize(), log.read_bytes() if log.exists() else b"", tuple(sorted(names)))


def is_whole(one: Moment) -> bool:
    """Also without its log: where a reader held back a part of it, a file is not."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(one.file[:18] + b"\1\1" + one.file[20:])  # in memory there is no log to use
        try:
            return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        except sqlite3.DatabaseError:
            return False


def opened(path: Path) -> tuple[str, ...]:
    with closing(Store.open(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return tuple(sorted(person.name for person in store.people()))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_only_ones_own_log_is_replayed(tmp_path: Path, seed: int) -> None:
    ours, theirs = lived(tmp_path / "ours.db", seed), lived(tmp_path / "theirs.db", seed + 100)
    chance = random.Random(seed)
    whole = [one for one in ours if is_whole(one)]  # files that somebody could have copied by themselves
    pairs = [(one, one) for one in ours]
    pairs += [(chance.choice(whole), chance.choice(ours)) for _ in range(30)]
    pairs += [(chance.choice(whole), chance.choice(theirs)) for _ in range(30)]
    replayed = 0
    for number, (file, log) in enumerate(pairs):
        path = tmp_path / f"{number}.db"
        path.write_bytes(file.file)
        log_of(path).write_bytes(log.log)
        foreign = is_foreign(path, unmarked=True)
        if file is log:
            assert not foreign
            assert opened(path) == file.names
        elif log.log and not foreign:
            replayed += 1
            assert opened(path) == log.names
        else:
            assert set(opened(path)) <= set(file.names)
    assert replayed
