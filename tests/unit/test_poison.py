"""The poison-pill guard: what a death of the server proves, and what it doesn't."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from facewire.protocol.albums.adding import AlbumAdd, AlbumImport, AlbumProcess
from facewire.protocol.albums.collection import AlbumCreate, AlbumInfo
from facewire.server.albums.poison import MOST_DEATHS, PoisonGuard
from facewire.server.vision.analyser import Picture
from tests.support.albums import album_service, ask
from tests.support.synthetic_engine import SyntheticEngine, portrait


def sha256(number: int) -> str:
    return hashlib.sha256(bytes([number])).hexdigest()


def die_while_looking_at(path: Path, number: int) -> None:
    """As a killed server leaves the note: begun, and never ended."""
    before = PoisonGuard(path)
    with before.looking_at(sha256(number)):
        note = path.read_bytes()
    path.write_bytes(note)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "looking-at"


def test_one_death_makes_a_suspect_and_three_a_culprit(path: Path) -> None:
    assert PoisonGuard(path).suspects == ()
    for deaths in range(1, MOST_DEATHS + 1):
        die_while_looking_at(path, 1)
        guard = PoisonGuard(path)
        assert guard.suspects == (sha256(1),)
        assert guard.poisonous == ((sha256(1),) if deaths == MOST_DEATHS else ())


def test_deaths_at_other_pictures_are_not_its_own(path: Path) -> None:
    for number in (1, 2, 1, 2):
        die_while_looking_at(path, number)
    guard = PoisonGuard(path)
    assert set(guard.suspects) == {sha256(1), sha256(2)}
    assert guard.poisonous == ()


def test_who_lived_through_a_look_is_above_suspicion(path: Path) -> None:
    for _ in range(MOST_DEATHS - 1):
        die_while_looking_at(path, 1)
    with PoisonGuard(path).looking_at(sha256(1)):
        pass
    assert PoisonGuard(path).suspects == ()
    with pytest.raises(ValueError), PoisonGuard(path).looking_at(sha256(1)):
        raise ValueError("an error is no death")
    assert PoisonGuard(path).suspects == ()


def test_a_picture_given_up_has_all_its_chances_again(path: Path) -> None:
    for _ in range(MOST_DEATHS):
        die_while_looking_at(path, 1)
    guard = PoisonGuard(path)
    guard.forget(sha256(1))
    assert guard.poisonous == guard.suspects == ()
    die_while_looking_at(path, 1)
    assert PoisonGuard(path).poisonous == ()


def test_the_note_stays_small_and_keeps_the_latest(path: Path) -> None:
    for number in range(40):
        die_while_looking_at(path, number)
    assert PoisonGuard(path).suspects == tuple(sha256(number) for number in range(24, 40))
    assert path.stat().st_size < 2000


class Watched(SyntheticEngine):
    """Remembers what it looked at."""

    def __init__(self) -> None:
        super().__init__(model="Facenet512")
        self.seen: list[bytes] = []

    def faces(self, data: bytes, *, emotion: bool = False) -> Picture:
        self.seen.append(data)
        return super().faces(data)


def test_a_suspect_is_looked_at_last_and_a_culprit_not_at_all(tmp_path: Path) -> None:
    pictures = [portrait(number) for number in (1, 2, 3)]
    with album_service(tmp_path) as service:
        ask(service, AlbumCreate("Trip"))
        for number, data in enumerate(pictures):
            ask(service, AlbumAdd("Trip", f"{number}.png", data))
    note = tmp_path / "albums" / "looking-at"
    suspect, culprit = (hashlib.sha256(data).hexdigest() for data in pictures[:2])
    note.write_text(f"{suspect} {MOST_DEATHS - 1}\n{culprit} {MOST_DEATHS}\n")
    engine = Watched()
    with album_service(tmp_path, engine=engine) as service:
        info = ask(service, AlbumProcess("Trip"))
        assert isinstance(info, AlbumInfo)
        assert (info.with_faces, info.unreadable) == (2, 1)
        assert engine.seen == [pictures[2], pictures[0]]
        again = ask(service, AlbumProcess("Trip", again=True))
        assert isinstance(again, AlbumInfo)
        assert (again.with_faces, again.unreadable) == (3, 0)


def test_a_file_given_up_is_skipped_once_and_tried_again_when_asked_for_again(tmp_path: Path) -> None:
    folder = tmp_path / "import" / "some"
    folder.mkdir(parents=True)
    for number in range(2):
        (folder / f"{number}.png").write_bytes(portrait(number))
    with album_service(tmp_path) as service:
        ask(service, AlbumCreate("Trip"))
    mark = hashlib.sha256(b'some/"some/0.png"').hexdigest()
    (tmp_path / "albums" / "adding").write_text(f"{mark} {MOST_DEATHS}\n")
    with album_service(tmp_path) as service:
        first = ask(service, AlbumImport("Trip", "some"))
        assert (first.added, [skipped.name for skipped in first.skipped]) == (1, ["some/0.png"])
        assert "crashed" in first.skipped[0].reason
        again = ask(service, AlbumImport("Trip", "some"))
        assert (again.added, again.duplicates, again.skipped_total) == (1, 1, 0)
