"""Albums over a real socket: the whole story with drawn faces, and what happens when something is cut off."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.client.album_client import AlbumClient
from facewire.protocol.albums.adding import AlbumAdded
from facewire.protocol.albums.looking import AlbumPerson
from facewire.protocol.albums.search import AlbumSample, AlbumWanted
from facewire.protocol.errors import ErrorCode
from facewire.protocol.messages import Progress
from facewire.server.albums.limits import AlbumLimits
from facewire.server.albums.service import AlbumService
from facewire.server.gallery.records import KeptTemplate
from facewire.server.gallery.sqlite import SqliteGallery as Gallery
from tests.support.albums import album_service, serving_albums
from tests.support.pictures import opened, saved
from tests.support.synthetic_engine import SyntheticEngine, draw, portrait, tiny

ADA, BEN, CLEO = 5, 22, 41  # numbers of colours, which are people
LEFT, RIGHT = (2.0, 10.0, 24.0, 24.0), (34.0, 10.0, 24.0, 24.0)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[AlbumService]:
    with album_service(tmp_path) as service:
        yield service


@pytest.fixture
def client(service: AlbumService) -> Iterator[FaceClient]:
    with serving_albums(service) as client:
        yield client


@pytest.fixture
def albums(client: FaceClient) -> AlbumClient:
    return client.albums


@pytest.fixture
def trip(albums: AlbumClient) -> AlbumClient:
    """An album called Trip: three of Ada, two of Ben, one of both, one of nobody; processed."""
    albums.create("Trip")
    photos = [
        *((f"day 1/ada {n}.png", portrait(ADA, shade=n)) for n in range(3)),
        *((f"day 2/ben {n}.png", portrait(BEN, shade=n)) for n in range(2)),
        ("both.png", draw((ADA, LEFT), (BEN, RIGHT))),
        ("sea.png", draw()),
    ]
    assert all(isinstance(added, AlbumAdded) for added in albums.add_many("Trip", photos))
    albums.process("Trip")
    return albums


def of(albums: AlbumClient, number: int, album: str = "Trip") -> AlbumPerson:
    """The person of the album that a drawn face belongs to."""
    found = albums.search_samples(album, [portrait(number)])
    persons = {match.person for photo in found.photos for match in photo.matches}
    (person,) = persons
    return next(entry for entry in albums.all_people(album) if entry.person == person)


def templates_of(name: str, room: Path) -> tuple[KeptTemplate, ...]:
    """What the gallery beside the albums has of a person."""
    with Gallery.open(room / "gallery.db") as gallery:
        return gallery.show(name, 0, 100, crops=True)[1]


def refused(code: ErrorCode) -> pytest.RaisesExc[ServerRefused]:
    return pytest.RaisesExc(ServerRefused, check=lambda error: error.code is code)


class TestStory:
    def test_photos_become_people(self, trip: AlbumClient) -> None:
        info = trip.status("Trip")
        assert (info.photos, info.with_faces, info.without_faces, info.waiting) == (7, 6, 1, 0)
        assert (info.faces, info.people, info.named) == (7, 2, 0)
        people = trip.people("Trip").people
        assert [(person.faces, person.photos) for person in people] == [(4, 4), (3, 3)]

    def test_a_label_is_shown_everywhere(self, trip: AlbumClient) -> None:
        ada = of(trip, ADA)
        assert trip.label("Trip", ada.person, " Ada  Lovelace ").people[0].name == "Ada Lovelace"
        assert trip.status("Trip").named == 1
        assert {face.name for face in trip.all_faces("Trip", person=ada.person)} == {"Ada Lovelace"}
        names = [photo.name for photo in trip.all_photos("Trip", person=ada.person)]
        assert names == ["both.png", *(f"day 1/ada {n}.png" for n in range(3))]

    def test_search_finds_solo_and_group_photos_with_their_boxes(self, trip: AlbumClient) -> None:
        found = trip.search_samples("Trip", [portrait(BEN)])
        assert (found.total, found.solo, found.group) == (3, 2, 1)
        group = next(photo for photo in found.photos if not photo.solo)
        assert [match.box for match in group.matches] == [RIGHT]
        assert [photo.photo.name for photo in trip.search_samples("Trip", [portrait(BEN)], show="group").photos] == [
            "both.png"
        ]

    def test_a_stranger_is_nobody_here(self, trip: AlbumClient) -> None:
        found = trip.search_samples("Trip", [portrait(CLEO)])
        assert found.photos == ()
        assert not found.wanted[0].found
        assert found.wanted[0].similarity is not None
        assert found.wanted[0].similarity < found.wanted[0].threshold

    def test_a_wrong_face_in_a_group_sample_is_left_out(self, trip: AlbumClient) -> None:
        group = draw((BEN, LEFT), (ADA, (34.0, 10.0, 20.0, 20.0)))
        seen = trip.search_samples("Trip", [group])
        assert seen.total == 6
        faces = seen.wanted[0].samples[0]
        wrong = next(number for number, face in enumerate(faces) if face.box == LEFT)
        found = trip.search("Trip", [AlbumWanted((AlbumSample(group, (wrong,)),))])
        assert [face.used for face in found.wanted[0].samples[0]] == [number != wrong for number in range(2)]
        assert found.total == 4
        with refused(ErrorCode.NO_FACE):
            trip.search("Trip", [AlbumWanted((AlbumSample(group, (0, 1)),))])

    def test_two_people_together(self, trip: AlbumClient) -> None:
        both = [AlbumWanted((AlbumSample(portrait(ADA)),)), AlbumWanted(people=(of(trip, BEN).person,))]
        assert trip.search("Trip", both).total == 6
        found = trip.search("Trip", both, together="all")
        assert [photo.photo.name for photo in found.photos] == ["both.png"]
        assert {match.wanted for match in found.photos[0].matches} == {0, 1}

    def test_search_from_a_stored_face(self, trip: AlbumClient) -> None:
        ada = of(trip, ADA)
        assert trip.search("Trip", [AlbumWanted(faces=(ada.face,))]).total == 4

    def test_pictures_thumbnails_and_crops(self, trip: AlbumClient) -> None:
        photo = trip.photos("Trip").photos[0]
        original = trip.photo("Trip", photo.photo)
        assert (original.image, original.type) == (draw((ADA, LEFT), (BEN, RIGHT)), "image/png")
        small = trip.photo("Trip", photo.photo, size=32)
        assert (small.type, small.width, small.height) == ("image/jpeg", 32, 24)
        crop = trip.face("Trip", of(trip, ADA).face, size=64)
        assert (crop.width, crop.height, crop.image[:2]) == (64, 64, b"\xff\xd8")

    def test_corrections_are_undone_one_by_one(self, trip: AlbumClient) -> None:
        ada, ben = of(trip, ADA), of(trip, BEN)
        before = trip.people("Trip")
        trip.label("Trip", ada.person, "Ada")
        trip.merge("Trip", [ada.person, ben.person])
        assert trip.status("Trip").people == 1
        trip.hide("Trip", ada.person)
        assert trip.people("Trip").people == ()
        assert trip.people("Trip", hidden=True).people[0].faces == 7
        for _ in range(3):
            trip.undo("Trip")
        assert trip.people("Trip") == before
        assert [event.undone for event in trip.history("Trip").events] == [True] * 3
        with refused(ErrorCode.INVALID_REQUEST):
            trip.undo("Trip")

    def test_not_this_person_is_remembered(self, trip: AlbumClient) -> None:
        ada = of(trip, ADA)
        wrong = trip.faces("Trip", person=ada.person).faces[-1].face
        trip.not_person("Trip", [wrong], ada.person)
        trip.add("Trip", "one more.png", portrait(ADA, shade=9))
        trip.process("Trip")
        faces = {face.face: face.person for face in trip.all_faces("Trip")}
        rest = {person for face, person in faces.items() if face != wrong}
        assert faces[wrong] not in {ada.person, None}
        assert ada.person in rest
        assert next(p for p in trip.all_people("Trip") if p.person == faces[wrong]).faces == 1

    def test_a_face_is_moved_and_a_person_split(self, trip: AlbumClient) -> None:
        ada, ben = of(trip, ADA), of(trip, BEN)
        trip.label("Trip", ada.person, "Ada")
        face = trip.faces("Trip", person=ada.person).faces[0].face
        trip.move("Trip", [face], ben.person)
        assert next(p for p in trip.all_people("Trip") if p.person == ben.person).faces == 4
        changed = trip.split("Trip", ben.person, [face], "Ada's sister")
        assert ("Ada's sister", 1) in {(person.name, person.faces) for person in changed.people}
        trip.process("Trip")
        assert {p.name: p.faces for p in trip.all_people("Trip")} == {"Ada": 3, "Ada's sister": 1, None: 3}

    def test_suggestions_end_with_an_answer(self, trip: AlbumClient, service: AlbumService) -> None:
        for suggestion in trip.suggest("Trip").suggestions:
            trip.different("Trip", suggestion.one.person, suggestion.other.person)
        assert trip.suggest("Trip").suggestions == ()

    def test_the_gallery_lends_names_and_takes_people(self, trip: AlbumClient) -> None:
        ada = of(trip, ADA)
        with refused(ErrorCode.INVALID_REQUEST):
            trip.enrol("Trip", ada.person)
        trip.label("Trip", ada.person, "Ada")
        assert trip.enrol("Trip", ada.person, 2).templates == 2
        trip.create("Later")
        trip.add("Later", "x.png", portrait(ADA))
        trip.process("Later")
        assert [match.name for match in trip.recognise("Later").matches] == ["Ada"]
        assert trip.status("Later").named == 0
        trip.recognise("Later", apply=True)
        assert [person.name for person in trip.all_people("Later")] == ["Ada"]
        trip.undo("Later")
        assert trip.status("Later").named == 0

    def test_who_is_enrolled_passes_the_same_gate_as_everybody(self, albums: AlbumClient, tmp_path: Path) -> None:
        albums.create("Trip")
        albums.add("Trip", "near.png", portrait(ADA))
        albums.add("Trip", "far.png", tiny(ADA))
        albums.add("Trip", "both.png", draw((BEN, LEFT), (ADA, RIGHT)))
        albums.process("Trip")
        ada = of(albums, ADA)
        albums.label("Trip", ada.person, "Ada")
        enrolled = albums.enrol("Trip", ada.person)
        assert enrolled.templates == 2
        (left_out,) = enrolled.left_out
        assert (left_out.photo, left_out.reason) == ("far.png", "too_small")
        assert left_out.shortcomings[0].measured < left_out.shortcomings[0].limit
        assert {face.face for face in albums.all_faces("Trip") if face.person == ada.person} > {left_out.face}
        kept = templates_of("Ada", tmp_path)
        assert {one.image for one in kept} == {"near.png", "both.png"}
        assert all(one.crop for one in kept), "a crop is what is shown, and what another model embeds"
        again = albums.enrol("Trip", ada.person, accept=["too_small"])
        assert again.templates == 3
        assert {one.reason for one in again.left_out} == {"duplicate"}

    def test_what_only_pillow_reads_is_enrolled_too(self, albums: AlbumClient, tmp_path: Path) -> None:
        albums.create("Trip")
        albums.add("Trip", "ada.heic", saved(opened(portrait(ADA)), "HEIF", quality=95))
        albums.add("Trip", "ada.png", portrait(ADA, shade=1))
        albums.process("Trip")
        ada = of(albums, ADA)
        albums.label("Trip", ada.person, "Ada")
        assert albums.enrol("Trip", ada.person).templates == 2
        assert {one.image for one in templates_of("Ada", tmp_path)} == {"ada.heic", "ada.png"}

    def test_a_photo_that_is_deleted_meanwhile_is_passed_over(self, trip: AlbumClient, tmp_path: Path) -> None:
        """Between choosing a person's best faces and reading their photos: all that is left of one is its row."""
        ada = of(trip, ADA)
        trip.label("Trip", ada.person, "Ada")
        originals = [path for path in (tmp_path / "albums" / "originals").rglob("*") if path.is_file()]
        (deleted,) = (path for path in originals if path.read_bytes() == portrait(ADA, shade=1))
        deleted.unlink()
        assert trip.enrol("Trip", ada.person).templates == 3
        assert "day 1/ada 1.png" not in {one.image for one in templates_of("Ada", tmp_path)}


class TestAdding:
    def test_the_same_picture_is_stored_once(self, albums: AlbumClient, tmp_path: Path) -> None:
        for album in ("one", "two"):
            albums.create(album)
            first = albums.add(album, "a.png", portrait(ADA))
            again = albums.add(album, "b.png", portrait(ADA))
            assert (first.duplicate, again.duplicate, again.photo) == (False, True, first.photo)
        originals = [path for path in (tmp_path / "albums" / "originals").rglob("*") if path.is_file()]
        assert [path.read_bytes() for path in originals] == [portrait(ADA)]
        albums.delete("one")
        assert albums.photo("two", first.photo).image == portrait(ADA)
        albums.delete("two")
        assert not originals[0].exists()

    def test_a_face_is_embedded_once_ever(self, tmp_path: Path) -> None:
        engine = SyntheticEngine(model="Facenet512")
        with album_service(tmp_path, engine=engine) as service, serving_albums(service) as client:
            for album in ("one", "two", "one again"):
                client.albums.create(album)
                client.albums.add(album, "a.png", portrait(ADA))
                assert client.albums.process(album).people == 1
                client.albums.process(album)
        assert engine.embedded == 1

    @pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "HEIF"])
    def test_formats(self, albums: AlbumClient, form: str) -> None:
        from PIL import Image

        picture = (
            Image.open(io.BytesIO(portrait(21, shade=0))).convert("RGB").resize((256, 192), Image.Resampling.NEAREST)
        )
        data = saved(picture, form, **({"quality": 95} if form in ("JPEG", "WEBP", "HEIF") else {}))
        albums.create("Formats")
        albums.add("Formats", "picture", data)
        info = albums.process("Formats")
        assert (info.with_faces, info.unreadable) == (1, 0), albums.photos("Formats")
        photo = albums.photos("Formats").photos[0]
        assert albums.photo("Formats", photo.photo).image == data
        assert albums.photo("Formats", photo.photo, size=64).width == 64

    def test_what_is_no_picture_is_refused_and_the_others_are_not(self, albums: AlbumClient) -> None:
        albums.create("Mixed")
        outcomes = list(albums.add_many("Mixed", [("a.png", portrait(1)), ("b.png", b"text"), ("c.png", portrait(2))]))
        assert [isinstance(outcome, AlbumAdded) for outcome in outcomes] == [True, False, True]
        assert isinstance(outcomes[1], ServerRefused)
        assert outcomes[1].code is ErrorCode.INVALID_IMAGE

    def test_a_damaged_picture_is_listed_with_its_reason(self, albums: AlbumClient) -> None:
        albums.create("Damaged")
        albums.add("Damaged", "half.png", portrait(1)[:-60])
        info = albums.process("Damaged")
        assert (info.unreadable, info.waiting) == (1, 0)
        (entry,) = albums.photos("Damaged", show="unreadable").photos
        assert entry.reason is not None
        assert "cut off or damaged: about" in entry.reason

    def test_names_never_become_paths(self, albums: AlbumClient, tmp_path: Path) -> None:
        albums.create("Names")
        before = {path for path in tmp_path.rglob("*") if "originals" not in path.parts}
        for number, name in enumerate(["../../evil.png", "/etc/passwd", "C:\\x\\y.png", "a\x00b.png", "..", ""]):
            albums.add("Names", name, portrait(1, shade=number))
        assert {path for path in tmp_path.rglob("*") if "originals" not in path.parts} == before
        names = [photo.name for photo in albums.all_photos("Names")]
        assert sorted(names) == ["a_b.png", "etc/passwd", "evil.png", "photo", "photo", "x/y.png"]

    def test_a_zip_goes_up_in_pieces(self, albums: AlbumClient) -> None:
        data = zipped({"in/a.png": portrait(ADA), "b.png": portrait(BEN), "notes.txt": b"hello", "c.png": b"broken"})
        albums.create("Zip")
        sent: list[int] = []
        ingested = albums.add_zip("Zip", io.BytesIO(data), on_sent=sent.append)
        assert (ingested.added, ingested.duplicates, ingested.skipped_total) == (2, 0, 2)
        assert {skipped.name for skipped in ingested.skipped} == {"notes.txt", "c.png"}
        assert sent[-1] == len(data)
        assert albums.add_zip("Zip", io.BytesIO(data)).duplicates == 2

    def test_an_upload_goes_on_where_it_stopped(self, client: FaceClient) -> None:
        from facewire.protocol.albums.adding import AlbumAddZip

        data = zipped({"a.png": portrait(ADA)})
        client.albums.create("Zip")
        half = len(data) // 2
        taken = client.ask(AlbumAddZip("Zip", data[:half]))
        again = client.ask(AlbumAddZip("Zip", data[:half], taken.upload, 0))
        assert again.received == half
        with refused(ErrorCode.INVALID_REQUEST):
            client.ask(AlbumAddZip("Zip", b"x", taken.upload, half + 1))
        end = client.ask(AlbumAddZip("Zip", data[half - 5 :], taken.upload, half - 5, last=True))
        assert end.ingested is not None
        assert end.ingested.added == 1

    def test_a_folder_of_the_server_below_its_root_only(self, albums: AlbumClient, tmp_path: Path) -> None:
        inside = tmp_path / "import" / "holiday"
        (inside / "day 1").mkdir(parents=True)
        (inside / "day 1" / "a.png").write_bytes(portrait(ADA))
        (inside / "b.png").write_bytes(b"broken")
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret" / "s.png").write_bytes(portrait(BEN))
        (inside / "link.png").symlink_to(tmp_path / "secret" / "s.png")
        (tmp_path / "import" / "out").symlink_to(tmp_path / "secret")
        albums.create("Import")
        ingested = albums.import_folder("Import", "holiday")
        assert (ingested.added, ingested.skipped_total) == (1, 2)
        assert [photo.name for photo in albums.all_photos("Import")] == ["holiday/day 1/a.png"]
        for outside in ("../secret", str(tmp_path / "secret"), "out", "missing", "a\x00b"):
            with refused(ErrorCode.INVALID_REQUEST):
                albums.import_folder("Import", outside)

    def test_the_folders_that_it_could_be(self, albums: AlbumClient, tmp_path: Path) -> None:
        root = tmp_path / "import"
        for name in ("holiday/day 2", "holiday/day 1", "holiday/.trash", "empty"):
            (root / name).mkdir(parents=True)
        for name in ("a.png", "b.JPG", "notes.txt", ".hidden.png"):
            (root / "holiday" / name).touch()
        (tmp_path / "secret").mkdir()
        (root / "out").symlink_to(tmp_path / "secret")
        top = albums.folders()
        assert (top.allowed, top.folders, top.total, top.pictures) == (True, ("empty", "holiday"), 2, 0)
        holiday = albums.folders("holiday")
        assert (holiday.folders, holiday.pictures) == (("day 1", "day 2"), 2)
        for outside in ("../secret", str(tmp_path / "secret"), "out", "missing", "holiday/a.png"):
            with refused(ErrorCode.INVALID_REQUEST):
                albums.folders(outside)

    def test_quotas(self, tmp_path: Path) -> None:
        limits = AlbumLimits(albums=1, photos=2, photo_bytes=2000)
        with album_service(tmp_path, limits=limits) as service, serving_albums(service) as client:
            client.albums.create("Full")
            with refused(ErrorCode.TOO_LARGE):
                client.albums.create("Another")
            client.albums.add("Full", "a", portrait(1))
            client.albums.add("Full", "b", portrait(2))
            client.albums.add("Full", "a again", portrait(1))
            with refused(ErrorCode.TOO_LARGE):
                client.albums.add("Full", "c", portrait(3))
            with refused(ErrorCode.INVALID_IMAGE):
                client.albums.add("Full", "large", portrait(4) + bytes(2000))
            assert client.albums.remove("Full", [client.albums.photos("Full").photos[0].photo]).photos == 1
            client.albums.add("Full", "c", portrait(3))


class TestAlbums:
    def test_names_of_albums(self, albums: AlbumClient) -> None:
        albums.create("  Zoë's   trip ")
        with refused(ErrorCode.EXISTS):
            albums.create("Zoe\u0308's trip")
        with refused(ErrorCode.UNKNOWN_ALBUM):
            albums.status("nowhere")
        albums.create("other")
        with refused(ErrorCode.EXISTS):
            albums.rename("other", "Zoë's trip")
        assert albums.rename("other", "Another").album == "Another"
        assert [info.album for info in albums.list().albums] == ["Another", "Zoë's trip"]
        for name in ("", " ", "x" * 101, "a\x07b"):
            with refused(ErrorCode.INVALID_REQUEST):
                albums.create(name)

    def test_what_is_not_there(self, trip: AlbumClient) -> None:
        with refused(ErrorCode.INVALID_REQUEST):
            trip.photo("Trip", 999)
        with refused(ErrorCode.INVALID_REQUEST):
            trip.face("Trip", 999)
        with refused(ErrorCode.UNKNOWN_PERSON):
            trip.label("Trip", 999, "Nobody")
        with refused(ErrorCode.INVALID_REQUEST):
            trip.move("Trip", [999], of(trip, ADA).person)

    def test_another_album_is_another_world(self, trip: AlbumClient) -> None:
        trip.create("Empty")
        photo, ada = trip.photos("Trip").photos[0].photo, of(trip, ADA)
        with refused(ErrorCode.INVALID_REQUEST):
            trip.photo("Empty", photo)
        with refused(ErrorCode.UNKNOWN_PERSON):
            trip.label("Empty", ada.person, "Ada")
        with refused(ErrorCode.INVALID_REQUEST):
            trip.export("Empty", photos=[photo])

    def test_removed_photos_take_their_faces_along(self, trip: AlbumClient) -> None:
        ben = of(trip, BEN)
        mine = [photo.photo for photo in trip.all_photos("Trip", person=ben.person)]
        removed = trip.remove("Trip", mine)
        assert (removed.photos, removed.faces) == (3, 4)
        assert trip.status("Trip").people == 1
        with refused(ErrorCode.INVALID_REQUEST):
            trip.photo("Trip", mine[0])


class TestProcessing:
    def test_everybody_who_asks_hears_of_it_and_it_is_done_once(self, tmp_path: Path) -> None:
        begin = threading.Event()
        engine = SyntheticEngine(model="Facenet512", before_embedding=lambda _: begin.wait(10))
        heard: dict[str, list[Progress]] = {"one": [], "other": []}

        def follow(name: str, client: FaceClient) -> None:
            client.albums.process("Trip", on_progress=lambda news: tell(name, news))

        def tell(name: str, news: Progress) -> None:
            heard[name].append(news)
            if all(heard.values()):
                begin.set()

        with (
            album_service(tmp_path, engine=engine) as service,
            serving_albums(service) as one,
            serving_albums(service) as other,
        ):
            one.albums.create("Trip")
            for number in range(4):
                one.albums.add("Trip", f"{number}.png", portrait(number))
            clients = (("one", one), ("other", other))
            threads = [threading.Thread(target=follow, args=pair) for pair in clients]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(20)
                assert not thread.is_alive()
            assert all(heard.values())
            assert heard["one"][0].details["stage"] in ("waiting", "faces")
            assert one.albums.status("Trip").waiting == 0
        assert engine.looked_at == 4

    def test_without_waiting(self, albums: AlbumClient) -> None:
        albums.create("Trip")
        albums.add("Trip", "a", portrait(ADA))
        albums.process("Trip", wait=False)
        assert albums.process("Trip").waiting == 0

    def test_an_album_deleted_while_it_is_processed(self, tmp_path: Path) -> None:
        reached, go_on = threading.Event(), threading.Event()

        def hold(_: int) -> None:
            reached.set()
            go_on.wait(10)

        engine = SyntheticEngine(model="Facenet512", before_embedding=hold)
        with album_service(tmp_path, engine=engine) as service, serving_albums(service) as client:
            client.albums.create("Trip")
            client.albums.add("Trip", "a", portrait(ADA))
            outcome: list[ServerRefused] = []

            def process() -> None:
                try:
                    client.albums.process("Trip")
                except ServerRefused as error:
                    outcome.append(error)

            thread = threading.Thread(target=process)
            thread.start()
            assert reached.wait(10)
            client.albums.delete("Trip")
            go_on.set()
            thread.join(10)
            assert [error.code for error in outcome] == [ErrorCode.UNKNOWN_ALBUM]
            assert client.albums.list().albums == ()

    def test_a_server_that_stops_says_so_and_the_next_one_goes_on(self, tmp_path: Path) -> None:
        reached, go_on = threading.Event(), threading.Event()

        def hold(_: int) -> None:
            reached.set()
            go_on.wait(10)

        engine = SyntheticEngine(model="Facenet512", before_embedding=hold)
        outcome: list[ServerRefused] = []

        def process(client: FaceClient) -> None:
            try:
                client.albums.process("Trip")
            except ServerRefused as error:
                outcome.append(error)

        with album_service(tmp_path, engine=engine) as service, contextlib.ExitStack() as stack:
            client = stack.enter_context(serving_albums(service))
            client.albums.create("Trip")
            for number in range(5):
                client.albums.add("Trip", f"{number}", portrait(number))
            thread = threading.Thread(target=process, args=(client,))
            thread.start()
            assert reached.wait(10)
            stack.close()
            thread.join(10)
            assert [error.code for error in outcome] == [ErrorCode.BUSY]
            go_on.set()
        engine = SyntheticEngine(model="Facenet512")
        with album_service(tmp_path, engine=engine) as service, serving_albums(service) as client:
            assert client.albums.process("Trip").people == 5
        assert engine.looked_at < 5


class TestExport:
    def test_an_album_with_labels_and_sidecars(self, trip: AlbumClient) -> None:
        trip.label("Trip", of(trip, ADA).person, "Ada & <co>")
        archive = exported(trip, "Trip")
        assert archive.testzip() is None
        names = archive.namelist()
        assert names == sorted(set(names), key=names.index)
        assert archive.read("day 1/ada 1.png") == portrait(ADA, shade=1)
        labels = json.loads(archive.read("labels.json"))
        assert [person["name"] for person in labels["people"]] == ["Ada & <co>"]
        assert {photo["file"] for photo in labels["photos"]} == {n for n in names if n.endswith(".png")}
        both = next(photo for photo in labels["photos"] if photo["file"] == "both.png")
        assert both["people"] == ["Ada & <co>"]
        assert sorted(face["box"] for face in both["faces"]) == [list(LEFT), list(RIGHT)]
        assert "day 2/ben 0.png.xmp" not in names
        root = ElementTree.fromstring(archive.read("both.png.xmp"))
        texts = [element.text for element in root.iter() if element.tag.endswith(("}li", "}Name")) and element.text]
        assert texts == ["Ada & <co>"] * 2

    def test_a_person_a_search_and_some_photos(self, trip: AlbumClient) -> None:
        ben = of(trip, BEN)
        mine = ["both.png", "day 2/ben 0.png", "day 2/ben 1.png"]
        assert exported(trip, "Trip", people=[ben.person], sidecars=False).namelist() == mine
        wanted = [AlbumWanted((AlbumSample(portrait(BEN)),))]
        assert sorted(exported(trip, "Trip", wanted=wanted, sidecars=False).namelist()) == mine
        together = [ben.person, of(trip, ADA).person]
        assert exported(trip, "Trip", people=together, together="all", sidecars=False).namelist() == ["both.png"]
        photo = trip.photos("Trip").photos[-1]
        assert exported(trip, "Trip", photos=[photo.photo], sidecars=False).namelist() == [photo.name]

    def test_names_do_not_meet_and_can_be_unpacked_anywhere(self, albums: AlbumClient) -> None:
        albums.create("Names")
        names = [
            "A.png",
            "a.PNG",
            "a.png",
            "CON.png",
            "x/aux",
            "x",
            "x/y.png",
            "what?.png",
            "end. ",
            "é.png",
            "e\u0301.png",
        ]
        for number, name in enumerate(names):
            albums.add("Names", name, portrait(1, shade=number))
        inside = exported(albums, "Names", sidecars=False).namelist()
        assert len({name.casefold() for name in inside}) == len(names)
        assert "_CON.png" in inside
        assert all("?" not in name and not name.startswith("/") for name in inside)
        assert all(name.lower().endswith(".png") for name in inside)

    def test_any_piece_in_any_order(self, trip: AlbumClient, client: FaceClient) -> None:
        from facewire.protocol.albums.export import AlbumExportRead

        export = trip.export("Trip")
        whole = b"".join(trip.read_export(export))
        assert len(whole) == export.size_bytes
        for offset in (*range(0, len(whole), 97), len(whole) - 1, len(whole), len(whole) + 5):
            piece = client.ask(AlbumExportRead(export.export, offset, 300))
            assert piece.data == whole[offset : offset + 300]

    def test_a_download_goes_on_after_a_restart_of_the_server(self, tmp_path: Path) -> None:
        with album_service(tmp_path) as service, serving_albums(service) as client:
            client.albums.create("Trip")
            client.albums.add("Trip", "a.png", portrait(ADA))
            export = client.albums.export("Trip")
            first = next(client.albums.read_export(export))[:50]
        (tmp_path / "out").mkdir()
        target = tmp_path / "out" / "trip.zip"
        (tmp_path / "out" / f"trip.zip.{export.export[:12]}.part").write_bytes(first)
        with album_service(tmp_path) as service, serving_albums(service) as client:
            client.albums.save_export(export, target)
        assert zipfile.ZipFile(target).testzip() is None
        assert list((tmp_path / "out").iterdir()) == [target]

    def test_an_export_of_what_is_gone(self, trip: AlbumClient) -> None:
        export = trip.export("Trip")
        trip.delete("Trip")
        with refused(ErrorCode.INVALID_REQUEST):
            list(trip.read_export(export))


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def exported(albums: AlbumClient, album: str, **options: object) -> zipfile.ZipFile:
    export = albums.export(album, **options)  # type: ignore[arg-type]
    return zipfile.ZipFile(io.BytesIO(b"".join(albums.read_export(export))))
