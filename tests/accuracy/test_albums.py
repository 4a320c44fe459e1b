"""Albums with the real networks: group photographs, and LFW pictures pasted into group photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.search import AlbumSample, AlbumWanted
from facewire.server.albums.service import AlbumService
from facewire.server.albums.settings import AlbumSettings
from facewire.server.app import compose
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.vision.analyser import Analyser
from tests.support.albums import serving_albums
from tests.support.pictures import side_by_side

SOLO, TOGETHER = 3, 2  # pictures of each person alone, and on group photos


@pytest.fixture
def albums(facenet: Analyser, tmp_path: Path) -> Iterator[AlbumClient]:
    with SqliteGallery.create(tmp_path / "gallery.db", facenet.spec) as gallery:
        recognition = compose(facenet, gallery, 0.01, runtime="openvino")
        settings = AlbumSettings(tmp_path / "albums")
        service = AlbumService(settings, facenet, recognition.judge, recognition.curator.enrol, gallery.cohort)
        try:
            with serving_albums(service) as client:
                yield client.albums
        finally:
            service.close()


@pytest.fixture
def people(shared: Path) -> dict[str, list[bytes]]:
    """Six people of LFW with pictures enough."""
    needed = SOLO + TOGETHER + 1
    folders = [folder for folder in sorted((shared / "lfw").iterdir()) if len(list(folder.iterdir())) > needed][:6]
    return {folder.name: [path.read_bytes() for path in sorted(folder.iterdir())[:needed]] for folder in folders}


def test_lfw_pictures_alone_and_in_groups(albums: AlbumClient, people: dict[str, list[bytes]]) -> None:
    names = list(people)
    albums.create("LFW")
    for name, pictures in people.items():
        for number, picture in enumerate(pictures[:SOLO]):
            albums.add("LFW", f"solo/{name} {number}.jpg", picture)
    groups = {f"group/{n}-{half}.jpg": names[half * 3 : half * 3 + 3] for n in range(TOGETHER) for half in range(2)}
    for file, members in groups.items():
        which = SOLO + int(file.removeprefix("group/")[0])
        albums.add("LFW", file, side_by_side([people[name][which] for name in members]))
    assert albums.process("LFW").unreadable == 0

    right = wrong = 0
    for name, pictures in people.items():
        found = {photo.photo.name for photo in albums.search_samples("LFW", [pictures[-1]]).photos}
        theirs = {f"solo/{name} {number}.jpg" for number in range(SOLO)} | {f for f in groups if name in groups[f]}
        right += len(found & theirs)
        wrong += len(found - theirs)
    assert wrong == 0
    assert right >= 0.8 * len(people) * (SOLO + TOGETHER)

    two = [AlbumWanted((AlbumSample(people[name][-1]),)) for name in names[:2]]
    together = {photo.photo.name for photo in albums.search("LFW", two, together="all").photos}
    assert together <= {file for file, members in groups.items() if set(names[:2]) <= set(members)}


def test_group_photographs(albums: AlbumClient, shared: Path) -> None:
    """Every cluster holds portraits of one person only, and a portrait finds its group photos."""
    groups = shared / "groups"
    albums.create("Groups")
    for path in [*groups.glob("bbt*.jpg"), *groups.glob("people/*/*1.png"), *groups.glob("people/*/*2.png")]:
        albums.add("Groups", path.relative_to(groups).as_posix(), path.read_bytes())
    info = albums.process("Groups")
    assert info.unreadable == 0
    assert info.with_faces == info.photos
    for person in albums.all_people("Groups"):
        photos = [photo.name.split("/") for photo in albums.all_photos("Groups", person=person.person)]
        assert len({parts[1] for parts in photos if parts[0] == "people"}) <= 1
    sheldon = albums.search_samples("Groups", [(groups / "people/sheldon/sheldon3.png").read_bytes()])
    assert sheldon.group >= 2
    stranger = sorted((shared / "lfw").iterdir())[0]
    assert albums.search_samples("Groups", [sorted(stranger.iterdir())[0].read_bytes()]).total == 0
