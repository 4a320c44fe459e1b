"""What an operator's machine does to a server: a full disk, a read-only one, a damaged file, a clock that is set back,
a database that is replaced while it is in use.

    python -m lab.proof.faults [full read-only corrupt clock replaced]

The first two mount a small tmpfs, which needs root; `clock` needs Debian's libfaketime. What can't be tried here is
said, and is no failure. Exit code 1 if something did not hold.
"""

from __future__ import annotations

import argparse
import ctypes.util
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facewire.client import FaceClient
from facewire.client.errors import ServerRefused, StorageFailed
from facewire.protocol.settings import MEBIBYTE
from facewire.server.errors import StartError
from lab.proof.served import Served, picture, served

_DISK = 6 * MEBIBYTE
_FLAGS = ("--log-level", "warning")
_PATIENCE_S = 60.0
_MOMENT_S = 1.5  # a server looks at its database twice a second
_FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"


class Untried(Exception):
    """This machine can't do it; says why."""


def full(room: Path) -> list[str]:
    """Changes are refused with `storage`, pictures are identified all the same; changes work once there is space."""
    with _disk(room) as disk, served(disk, *_FLAGS) as server, _client(server) as client:
        client.enrol("Ada", picture(1))
        client.albums.create("Trip")
        ballast = disk / "ballast"
        _fill(ballast)
        wrong = _refused(client, server)
        ballast.unlink()
        return [*wrong, *_accepted(client)]


def read_only(room: Path) -> list[str]:
    """The server does not start, and says in one line why; it starts once the disk can be written again. (Under a
    running server the kernel refuses to make a disk read-only: its files are open.)"""
    wrong = []
    with _disk(room) as disk:
        with served(disk, *_FLAGS) as server, _client(server) as client:
            client.enrol("Ada", picture(1))
        _mount("-o", "remount,ro", str(disk))
        try:
            with served(room, *_FLAGS, db="disk/people.db"):
                wrong.append("it started on a read-only disk")
        except StartError as error:
            if "read-only" not in str(error) or "Traceback" in (room / "server.log").read_text():
                wrong.append(f"it did not say why: {error}")
        _mount("-o", "remount,rw", str(disk))
        with served(disk, *_FLAGS) as server, _client(server) as client:
            return [*wrong, *_accepted(client)]


def corrupt(room: Path) -> list[str]:
    """A damaged page is found: at the start, or by whoever needs it. No answer is wrong, and nothing crashes."""
    with served(room, *_FLAGS) as server, _client(server) as client:
        for number in range(40):
            client.enrol(f"Person {number}", picture(number), accept=("all",))
    whole = (room / "people.db").read_bytes()
    wrong, refused = [], 0
    for seed in range(6):
        rng = random.Random(seed)
        damaged = bytearray(whole)
        at = rng.randrange(1, len(whole) // 4096) * 4096
        damaged[at : at + 4096] = rng.randbytes(4096)
        for companion in room.glob("people.db-*"):
            companion.unlink()
        (room / "people.db").write_bytes(damaged)
        try:
            with served(room, *_FLAGS) as server, _client(server) as client:
                wrong += [f"page {at // 4096}: {complaint}" for complaint in _sane(client)]
        except StartError as error:
            refused += 1
            if "Traceback" in (room / "server.log").read_text():
                wrong.append(f"page {at // 4096}: a traceback instead of a line: {error}")
    return wrong


def _sane(client: FaceClient) -> list[str]:
    """Complaints of a server over a damaged file: every answer is right or an error."""
    try:
        (face,) = client.identify(picture(7), k=1).faces
    except ServerRefused as error:
        return [] if error.code != "internal" else [f"internal: {error}"]
    if face.candidates and face.candidates[0].similarity > 0.99 and not face.candidates[0].name.startswith("Person"):
        return [f"identified as {face.candidates[0].name}"]
    try:
        client.enrol("Somebody new", picture(9, shade=1), accept=("all",))
        client.history(limit=100)
    except ServerRefused as error:
        return [] if error.code != "internal" else [f"internal: {error}"]
    return []


def clock(room: Path) -> list[str]:
    """Two days back while it serves: timeouts are those of a clock that only goes forward."""
    libraries = [str(path) for path in Path("/").glob(_FAKETIME.lstrip("/"))]
    if not libraries or ctypes.util.find_library("c") is None:
        raise Untried("libfaketime is not installed (apt-get install libfaketime)")
    now = room / "clock"
    now.write_text("+0")
    fake = (
        "env", f"LD_PRELOAD={libraries[0]}", f"FAKETIME_TIMESTAMP_FILE={now}", "FAKETIME_NO_CACHE=1",
        "DONT_FAKE_MONOTONIC=1",
    )  # fmt: skip
    with served(room, *_FLAGS, wrapper=fake) as server, _client(server) as client:
        client.enrol("Ada", picture(1))
        first = client.history().events[0].at
        now.write_text("-2d")
        wrong = _accepted(client)
        event = client.history().events[0]
        if event.at >= first:
            wrong.append(f"the clock was not set back: {event.at} after {first}")
        client.undo()
        if [person.name for person in client.all_people()] != ["Ada"]:
            wrong.append("undo did not undo the newest change")
    return wrong


def replaced(room: Path) -> list[str]:
    """It goes on identifying from memory, refuses changes and says why, and works again once the file is back."""
    with served(room, *_FLAGS) as server, _client(server) as client:
        client.enrol("Ada", picture(1))
        away = room / "away.db"
        (room / "people.db").rename(away)
        shutil.copy(away, room / "people.db")
        time.sleep(_MOMENT_S)
        wrong = _refused(client, server, albums=False)
        if client.health().healthy:
            wrong.append("health finds nothing wrong")
        (room / "people.db").unlink()
        away.rename(room / "people.db")
        time.sleep(_MOMENT_S)
        return [*wrong, *_accepted(client)]


# ---- what holds in all of them


def _refused(client: FaceClient, server: Served, *, albums: bool = True) -> list[str]:
    """Complaints unless changes are refused, searches are answered, and the metrics say so."""
    wrong = []
    changes: dict[str, Callable[[], object]] = {"enrol": lambda: client.enrol("Grace", picture(2), accept=("all",))}
    if albums:
        changes["album.add"] = lambda: client.albums.add("Trip", "a.png", picture(3, ".bmp", scale=8))
    for what, change in changes.items():
        try:
            change()
            wrong.append(f"{what} was accepted")
        except StorageFailed:
            counted = server.metrics().get(f'facewire_requests_total{{op="{what}",outcome="storage"}}', 0)
            if not counted:
                wrong.append(f"the metrics count no storage error of {what}")
    (face,) = client.identify(picture(1), k=1).faces
    if not face.candidates or face.candidates[0].name != "Ada":
        wrong.append("Ada was not found meanwhile")
    return wrong


def _accepted(client: FaceClient) -> list[str]:
    """Complaints unless a change is taken now."""
    try:
        client.enrol("Grace", picture(2), accept=("all",))
    except ServerRefused as error:
        return [f"changes are still refused: {error}"]
    (face,) = client.identify(picture(2), k=1).faces
    return [] if face.candidates[0].name == "Grace" else ["Grace was not found afterwards"]


def _client(server: Served) -> FaceClient:
    return FaceClient("127.0.0.1", server.port, timeout=_PATIENCE_S)


# ---- a disk of our own


@contextmanager
def _disk(room: Path) -> Iterator[Path]:
    disk = room / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={_DISK}", "tmpfs", str(disk))
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=False)


def _mount(*words: str) -> None:
    try:
        subprocess.run(["mount", *words], check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Untried("there is no mount here") from error
    except subprocess.CalledProcessError as error:
        raise Untried(f"mounting needs root: {error.stderr.strip()}") from error


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


FAULTS: dict[str, Callable[[Path], list[str]]] = {
    "full": full,
    "read-only": read_only,
    "corrupt": corrupt,
    "clock": clock,
    "replaced": replaced,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each; returns 1 if something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faults", nargs="*", metavar="FAULT", choices=[*FAULTS, []], help=f"of {', '.join(FAULTS)}")
    asked = parser.parse_args(argv)
    failed = False
    for name in asked.faults or FAULTS:
        with tempfile.TemporaryDirectory() as room:
            try:
                wrong = FAULTS[name](Path(room))
            except Untried as reason:
                print(f"{name}: not tried: {reason}", flush=True)
                continue
        failed = failed or bool(wrong)
        print(f"{name}: {'; '.join(wrong) or 'held'}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
