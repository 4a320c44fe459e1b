"""Kills (-9) the server and create_db at random moments under load, repeatedly on one gallery.

    python -m tests.support.kill_proof --times 100

Clients change the gallery over the wire, each its own people, and others identify pictures, while create_db adds a
growing folder. After every kill: acknowledged changes are there; the one change that each client had under way is there
completely or not at all; nothing else has changed; create_db's folder is as before or after; SQLite's integrity check
passes; and search agrees with exact search. Then everything starts again on the same gallery.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from facewire.client import FaceClient
from facewire.client.errors import ConnectionLost
from facewire.protocol.gallery_messages import Acceptable
from facewire.server.gallery.sqlite import SqliteGallery as Gallery
from facewire.server.maintenance.create_db import main as create_db
from tests.support.synthetic_engine import SyntheticEngine, portrait
from tests.support.synthetic_server import MODEL, synthetic_server

WRITERS, READERS = 3, 1

FACES = (0, 3, 4, 15, 16, 19, 20)
"""Dark colours: pictures of one face differ by their backgrounds, and are never taken for duplicates."""

GRAIN = 0.15
"""Noise that makes all templates different: of two equal ones, either would be a correct answer."""

ALIKE: tuple[Acceptable, ...] = ("nearer_to_another",)
"""Many people share a face here, so every picture looks like a mislabel."""

LONGEST_LIFE_S = 3.0
PATIENCE_S = 60.0

People = Mapping[str, frozenset[str]]
"""Names with the labels of their pictures."""

Change = tuple[Callable[[FaceClient], object], People]
"""A request, and the people after it."""


class Fresh:
    """Generates new names, labels and pictures for one client."""

    def __init__(self, prefix: str, rng: random.Random) -> None:
        self.rng, self._prefix, self._count = rng, prefix, 0

    def name(self) -> str:
        self._count += 1
        return f"{self._prefix} {self._count}"

    def picture(self) -> tuple[str, bytes]:
        label = self.name()
        return label, portrait(self.rng.choice(FACES), shade=self.rng.randrange(1 << 60))

    def one_of(self, people: People) -> str:
        return self.rng.choice(sorted(people))


# Each maps the current people to a request and the people after it. They need at least two people.


def enrol(people: People, fresh: Fresh) -> Change:
    name, (label, data) = fresh.rng.choice([fresh.name(), fresh.one_of(people)]), fresh.picture()
    return lambda c: c.enrol(name, data, label=label, accept=ALIKE), {
        **people,
        name: people.get(name, frozenset()) | {label},
    }


def enrol_many(people: People, fresh: Fresh) -> Change:
    name, pictures = fresh.name(), [fresh.picture() for _ in range(4)]
    labels, images = zip(*pictures, strict=True)
    return lambda c: c.enrol_many(name, images, labels=labels, accept=ALIKE), {**people, name: frozenset(labels)}


def rename(people: People, fresh: Fresh) -> Change:
    name, to = fresh.one_of(people), fresh.name()
    return lambda c: c.rename(name, to), {(to if one == name else one): had for one, had in people.items()}


def merge(people: People, fresh: Fresh) -> Change:
    gone, into = fresh.rng.sample(sorted(people), 2)
    both = {into: people[gone] | people[into]}
    return lambda c: c.merge([gone], into), {one: had for one, had in people.items() if one != gone} | both


def split(people: People, fresh: Fresh) -> Change:
    name, to = fresh.one_of(people), fresh.name()
    label = fresh.rng.choice(sorted(people[name]))

    def ask(client: FaceClient) -> object:
        chosen = [one.id for one in client.all_templates(name, crops=False) if one.image == label]
        return client.split(name, chosen, to)

    return ask, {**people, name: people[name] - {label}, to: frozenset({label})}


def remove(people: People, fresh: Fresh) -> Change:
    name = fresh.one_of(people)
    return lambda c: c.remove(name), {one: had for one, had in people.items() if one != name}


def erase(people: People, fresh: Fresh) -> Change:
    name = fresh.one_of(people)
    return lambda c: c.erase(name), {one: had for one, had in people.items() if one != name}


OPERATIONS = (enrol, enrol, enrol, enrol_many, rename, merge, split, remove, erase)


@dataclass
class Writer:
    """A client with its own people: `acknowledged`, and those if the change `under_way` was applied."""

    fresh: Fresh
    prefix: str
    acknowledged: People = field(default_factory=dict)
    under_way: People | None = None
    changes: int = 0

    def work(self, address: tuple[str, int], stop: threading.Event) -> None:
        with suppress(ConnectionLost), FaceClient(*address, timeout=PATIENCE_S) as client:
            while not stop.is_set():
                filled = {name: labels for name, labels in self.acknowledged.items() if labels}
                possible = OPERATIONS if len(filled) > 1 else (enrol_many,)
                ask, self.under_way = self.fresh.rng.choice(possible)(filled, self.fresh)
                self.under_way = {**self.under_way, **{n: p for n, p in self.acknowledged.items() if not p}}
                ask(client)
                self.acknowledged, self.under_way = self.under_way, None
                self.changes += 1

    def settle(self, found: People) -> None:
        """Checks the gallery against this client's answers, and continues from its state."""
        allowed = [self.acknowledged] + ([] if self.under_way is None else [self.under_way])
        assert found in allowed, f"{self.prefix}: found {found}, acknowledged and under way: {allowed}"
        self.acknowledged, self.under_way = found, None


def read(address: tuple[str, int], stop: threading.Event) -> None:
    """Reads in a loop, as load, and checks that answers are complete."""
    with suppress(ConnectionLost), FaceClient(*address, timeout=PATIENCE_S) as client:
        while not stop.is_set():
            (face,) = client.identify(portrait(FACES[0]), k=3).faces
            assert all(one.similarity is not None for one in face.candidates)


def serve(db: Path, ready: Connection) -> None:
    """Runs the server in a separate process until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with synthetic_server(db, GRAIN) as address:
        ready.send(address)
        while not stop.wait(0.05):
            pass


def build(folder: Path, db: Path) -> None:
    """Runs create_db in a separate process. Batches are slowed down, so that most kills hit it while embedding."""
    sys.stdout = sys.stderr = Path("/dev/null").open("w")  # noqa: SIM115 - the process's own, to its end
    sys.exit(
        create_db(
            [str(folder), "--db", str(db), "--accept", *ALIKE],
            open_engine=lambda _: SyntheticEngine(model=MODEL, grain=GRAIN),
        )
    )


class Proof:
    """One gallery and the rounds run on it."""

    def __init__(self, room: Path, seed: int) -> None:
        self.db, self.folder = room / "people.db", room / "faces"
        self._rng = random.Random(seed)
        self._writers = [Writer(Fresh(f"W{n}", random.Random(seed + n + 1)), f"W{n}") for n in range(WRITERS)]
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(
            ["facewire.server.maintenance.create_db", "tests.support.synthetic_server"]
        )
        self._folder_before: People = {}
        self.killed = {"server": 0, "create_db": 0}
        self.built = 0

    @property
    def changes(self) -> int:
        """Number of changes acknowledged so far."""
        return sum(writer.changes for writer in self._writers)

    def round(self) -> None:
        """Starts everything, kills some of it, and checks what is left."""
        ours, theirs = self._context.Pipe()
        server = self._start(serve, self.db, theirs)
        assert ours.poll(PATIENCE_S), "the server does not start"
        address = ours.recv()
        self._grow_folder()
        builder = self._start(build, self.folder, self.db)
        stop = threading.Event()
        clients = ThreadPoolExecutor(WRITERS + READERS)
        work = [clients.submit(writer.work, address, stop) for writer in self._writers]
        work += [clients.submit(read, address, stop) for _ in range(READERS)]
        builder.join(self._rng.uniform(0, LONGEST_LIFE_S))  # or until it ends
        for name, process in self._rng.choice(
            [[("server", server)], [("create_db", builder)], [("server", server), ("create_db", builder)]]
        ):
            if process.is_alive():
                process.kill()
                self.killed[name] += 1
        stop.set()
        for one in work:
            one.result()  # raises the client's error, if any
        clients.shutdown()
        builder.join(PATIENCE_S)
        server.terminate()
        server.join(PATIENCE_S)
        assert builder.exitcode in (0, -signal.SIGKILL), builder.exitcode
        self.built += builder.exitcode == 0
        self.check()

    def check(self) -> None:
        """Checks all invariants of the database on disk."""
        found = enrolled(self.db)
        for writer in self._writers:
            writer.settle({name: labels for name, labels in found.items() if name.split()[0] == writer.prefix})
        of_folder = {name: labels for name, labels in found.items() if name.startswith("Folder")}
        assert of_folder in (self._folder_before, self._folder_now()), "create_db did half of it"
        self._folder_before = of_folder
        others = {name for name in found if name not in of_folder and not name.startswith("W")}
        assert others == set(), f"nobody enrolled {others}"
        check_search(self.db)
        assert not list(self.db.parent.glob(f"{self.db.name}-set-aside-*")), "its own log was taken for another's"

    def _start(self, target: Callable[..., None], *args: object) -> BaseProcess:
        process = self._context.Process(target=target, args=args)
        process.start()
        return process

    def _grow_folder(self) -> None:
        for _ in range(self._rng.randrange(10, 40)):
            person = self.folder / f"Folder_{self._rng.randrange(8)}"
            person.mkdir(parents=True, exist_ok=True)
            number = len(list(person.iterdir()))
            data = portrait(self._rng.choice(FACES), shade=self._rng.randrange(1 << 60))
            (person / f"{number}.png").write_bytes(data)

    def _folder_now(self) -> People:
        return {
            person.name.replace("_", " "): frozenset(f"{person.name}/{file.name}" for file in person.iterdir())
            for person in self.folder.iterdir()
        }


def enrolled(db: Path) -> People:
    """The people in the file; asserts that SQLite's integrity check passes."""
    with closing(sqlite3.connect(db)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        people: dict[str, set[str]] = {name: set() for (name,) in connection.execute("SELECT name FROM people")}
        query = (
            "SELECT p.name, i.path, i.person_id = p.id, count(*) FROM templates t JOIN people p ON p.id = t.person_id"
            " JOIN images i ON i.id = t.image_id GROUP BY i.id"
        )
        for name, path, same_person, templates in connection.execute(query):
            assert (same_person, templates) == (1, 1), f"{path} of {name}"
            people[name].add(path)
        (bare,) = connection.execute(
            "SELECT count(*) FROM images WHERE id NOT IN (SELECT image_id FROM templates)"
        ).fetchone()
        assert bare == 0
    return {name: frozenset(paths) for name, paths in people.items()}


def check_search(db: Path) -> None:
    """Checks that search finds every template."""
    with Gallery.open(db) as gallery:
        for embedding in gallery.templates().embeddings:
            assert gallery.search(embedding, 1)[0].similarity > 1 - 1e-6


def rounds(times: int, seed: int, room: Path) -> Iterator[Proof]:
    """Yields the proof after every round, until `times` processes have been killed."""
    proof = Proof(room, seed)
    while sum(proof.killed.values()) < times:
        proof.round()
        yield proof


def main() -> int:
    """Runs the proof with the given flags; raises AssertionError at the first violation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="processes to kill (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as room:
        for proof in rounds(options.times, options.seed, Path(room)):
            said = ", ".join(f"{name} {count}" for name, count in proof.killed.items())
            print(f"killed: {said}; {proof.changes} changes acknowledged, {proof.built} builds ended", flush=True)
    print("every acknowledged change was there, nothing else, after every kill")
    return 0


if __name__ == "__main__":
    sys.exit(main())
