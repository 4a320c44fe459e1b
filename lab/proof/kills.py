"""kill -9 of a server at random instants, under mixed load of gallery and albums, again and again on one database.

    python -m lab.proof.kills [--times 100] [--seed N]

Each client changes people or an album of its own. After every kill the server starts again on what is left, and each
client finds what was acknowledged, and of the one change it had under way all or nothing. SQLite finds nothing wrong,
and every original in the albums is what its name says. (`python -m tests.support.kill_proof` does the same to the
gallery and `create_db`, in more ways.)
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sqlite3
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from facewire.client import FaceClient
from facewire.client.errors import ConnectionLost
from lab.proof.served import picture, served

_LONGEST_LIFE_S = 2.0
_PATIENCE_S = 120.0

State = frozenset[str]
Change = tuple[Callable[[FaceClient], object], State]
"""What is asked, and the state then."""


@dataclass
class Writer(ABC):
    """A client with a state of its own: what was `acknowledged`, and what there is if what is `under_way` was done."""

    name: str
    rng: random.Random
    acknowledged: State = frozenset()
    under_way: State | None = None
    changes: int = 0
    refused: list[str] = field(default_factory=list)

    def work(self, port: int, stop: threading.Event) -> None:
        """Changes until it is stopped, or the server is gone."""
        with suppress(ConnectionLost), FaceClient("127.0.0.1", port, timeout=_PATIENCE_S, retries=20) as client:
            while not stop.is_set():
                ask, self.under_way = self.change()
                ask(client)
                self.acknowledged, self.under_way = self.under_way, None
                self.changes += 1

    def settle(self, client: FaceClient) -> str:
        """What does not fit what this client was told, or ""; goes on from what there is."""
        found = self.found(client)
        allowed = [self.acknowledged, *([] if self.under_way is None else [self.under_way])]
        if found not in allowed:
            missing, more = self.acknowledged - found, found - frozenset().union(*allowed)
            return f"{self.name}: missing {sorted(missing)}, nobody asked for {sorted(more)}"
        self.acknowledged, self.under_way = found, None
        return ""

    @abstractmethod
    def change(self) -> Change:
        """The next change."""

    @abstractmethod
    def found(self, client: FaceClient) -> State:
        """The state that the server has."""

    def _data(self) -> bytes:
        return picture(self.rng.randrange(63), shade=self.rng.randrange(1 << 60))


class People(Writer):
    """Enrols and erases people."""

    def change(self) -> Change:
        if len(self.acknowledged) < 3 or self.rng.random() < 0.6:
            name, data = f"{self.name} {self.rng.randrange(1 << 40)}", self._data()
            return lambda client: client.enrol(name, data, accept=("all",)), self.acknowledged | {name}
        gone = self.rng.choice(sorted(self.acknowledged))
        return lambda client: client.erase(gone), self.acknowledged - {gone}

    def found(self, client: FaceClient) -> State:
        return frozenset(person.name for person in client.all_people(self.name))


class Album(Writer):
    """Adds photos to an album and removes them; the state is their hashes."""

    def change(self) -> Change:
        if len(self.acknowledged) < 3 or self.rng.random() < 0.7:
            data = self._data()
            return lambda client: client.albums.add(self.name, "photo.png", data), self.acknowledged | {_sha256(data)}
        gone = self.rng.choice(sorted(self.acknowledged))

        def remove(client: FaceClient) -> object:
            numbers = [one.photo for one in client.albums.all_photos(self.name) if one.sha256 == gone]
            return client.albums.remove(self.name, numbers)

        return remove, self.acknowledged - {gone}

    def found(self, client: FaceClient) -> State:
        if self.name not in [album.album for album in client.albums.list().albums]:
            client.albums.create(self.name)
        return frozenset(photo.sha256 for photo in client.albums.all_photos(self.name))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def kills(times: int, seed: int, room: Path, said: Callable[[str], object] = print) -> list[str]:
    """Kills so often; what did not hold, which ends it."""
    rng = random.Random(seed)
    writers: list[Writer] = [People(f"P{n}", random.Random(seed + n)) for n in range(2)]
    writers += [Album(f"A{n}", random.Random(seed + 9 + n)) for n in range(2)]
    for number in range(times):
        with served(room, "--log-level", "warning") as server:
            with FaceClient("127.0.0.1", server.port, timeout=_PATIENCE_S, retries=20) as client:
                wrong = [*filter(None, (writer.settle(client) for writer in writers))]
            if wrong:
                return wrong
            stop = threading.Event()
            working = [threading.Thread(target=writer.work, args=(server.port, stop)) for writer in writers]
            for thread in working:
                thread.start()
            _wait_for_a_change(writers)
            stop.wait(rng.uniform(0, _LONGEST_LIFE_S))
            server.process.kill()
            stop.set()
            for thread in working:
                thread.join(_PATIENCE_S)
        wrong = damage(room)
        if wrong:
            return wrong
        said(f"{number + 1} kills, {sum(writer.changes for writer in writers)} changes acknowledged")
    with served(room, "--log-level", "warning") as server, FaceClient("127.0.0.1", server.port) as client:
        return [*filter(None, (writer.settle(client) for writer in writers))]


def _wait_for_a_change(writers: Sequence[Writer]) -> None:
    """Until the first is acknowledged, however slow the machine is."""
    before, limit = sum(writer.changes for writer in writers), time.monotonic() + _PATIENCE_S
    while sum(writer.changes for writer in writers) == before and time.monotonic() < limit:
        time.sleep(0.005)


def damage(room: Path) -> list[str]:
    """What is wrong with the files as they lie there. An original that no row names is left for the next start to
    sweep; one that is not what its name says is not."""
    found = []
    for path in (room / "people.db", room / "people.albums" / "albums.db"):
        with closing(sqlite3.connect(path)) as db:
            if db.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                found.append(f"{path.name} fails SQLite's integrity check")
            if db.execute("PRAGMA foreign_key_check").fetchall():
                found.append(f"{path.name} has rows that refer to nothing")
    for path in (room / "people.albums" / "originals").glob("*/*"):
        if _sha256(path.read_bytes()) != path.name:
            found.append(f"{path.name} is not what its name says")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the outcome; returns 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="kills (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    asked = parser.parse_args(argv)
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as room:
        wrong = kills(asked.times, asked.seed, Path(room), lambda line: print(line, flush=True))
    print("\n".join(wrong) or "every acknowledged change was there after every kill, and nothing else")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
