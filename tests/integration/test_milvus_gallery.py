"""A gallery in the real Milvus: several servers, a Milvus that comes and goes, other collections."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

# Where FACEWIRE_REQUIRE_MILVUS is set, tests/integration/test_milvus_server.py fails without it.
pytest.importorskip("pymilvus", reason="needs pymilvus (requirements-cluster.txt)")

from pymilvus import MilvusClient

from facewire.client import FaceClient, ServerRefused
from facewire.scripts.milvus_serving import Milvus
from facewire.server.errors import Busy, StartError, StorageFailed
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.building import Building
from facewire.server.gallery.milvus.contract import drop
from facewire.server.gallery.milvus.gallery import MilvusGallery, connected
from facewire.server.gallery.milvus.journal import Draft
from facewire.server.gallery.milvus.tables import RECORDS
from facewire.server.gallery.opening import open_gallery
from facewire.server.gallery.records import NewPicture
from tests.support.galleries import picture
from tests.support.living_server import SPEC, serving
from tests.support.synthetic_engine import embedding_of, portrait
from tests.support.waiting import PATIENCE_S, eventually


def fresh(port: int, timeout_s: float = PATIENCE_S) -> MilvusAddress:
    return MilvusAddress("127.0.0.1", port, f"test_{uuid.uuid4().hex}", timeout_s=timeout_s)


@pytest.fixture(scope="module")
def only(milvus: Milvus) -> Iterator[MilvusGallery]:
    """One for all tests, as making one takes six seconds."""
    with MilvusGallery.create(fresh(milvus.port), SPEC) as created:
        yield created


@pytest.fixture
def gallery(only: MilvusGallery) -> MilvusGallery:
    """Nobody is in it; its journal holds what earlier tests did."""
    for person in only.people()[0]:
        only.remove(person.name)
    return only


def picture_of(number: int) -> NewPicture:
    """One of as many faces as are asked for."""
    return picture(f"{number}.png", embedding_of(number))


def named(client: FaceClient, number: int) -> tuple[str, str | None]:
    """The decision about a face, and who is nearest."""
    face = client.identify(portrait(number, shade=7), k=1).faces[0]
    return face.decision, face.name


def test_a_change_is_in_force_on_the_other_server(gallery: MilvusGallery) -> None:
    with MilvusGallery.open(gallery.address) as another, serving(gallery) as one, serving(another) as other:
        another.watch()
        with one.client() as here, other.client() as there:
            version = another.version
            here.enrol("Ann", portrait(1))
            assert named(here, 1) == ("match", "Ann")
            assert eventually(lambda: named(there, 1) == ("match", "Ann"))
            there.rename("Ann", "Anna")
            assert eventually(lambda: named(here, 1) == ("match", "Anna"))
            assert eventually(lambda: another.version > version)


def test_one_new_person_of_two_servers_is_one_person(gallery: MilvusGallery) -> None:
    with MilvusGallery.open(gallery.address) as another, ThreadPoolExecutor(2) as pool:
        both = [pool.submit(one.enrol, "Ann", [picture_of(at)]) for at, one in enumerate((gallery, another))]
        assert len({done.result().person.id for done in both}) == 1
        assert eventually(lambda: gallery.person("Ann") == another.person("Ann"))
        ann = gallery.person("Ann")
        assert ann is not None
        assert (ann.images, ann.templates) == (2, 2)


def test_a_merge_that_was_cut_off_can_be_asked_for_again(gallery: MilvusGallery) -> None:
    for name, numbers in (("Ann", range(3)), ("Bob", range(3, 9))):
        gallery.enrol(name, [picture_of(number) for number in numbers])
    drafted = gallery.edits.merge(["Bob"], "Ann")
    moving = [new for _, new in drafted.templates.values() if new is not None]
    halfway = Draft("merge", drafted.subjects, drafted.target, drafted.detail)
    for one in moving[:3]:  # what a server that was killed then has written
        halfway.put_template(None, one)
    gallery.commit(halfway)
    assert [gallery.person(name).templates for name in ("Ann", "Bob")] == [6, 3]  # type: ignore[union-attr]
    assert gallery.merge(["Bob"], "Ann").people[0].templates == 9
    assert gallery.person("Bob") is None


def test_a_change_that_was_begun_is_not_refused_as_if_it_were_not(gallery: MilvusGallery) -> None:
    drafted, _, _ = gallery.edits.enrol("Ann", [picture_of(1)], copies=False)
    there = MilvusClient(f"http://127.0.0.1:{gallery.address.port}")
    there.release_collection(gallery.address.name + RECORDS)  # which is written to, but not read from
    try:
        with pytest.raises(Busy):
            gallery.person("Ann")
        with pytest.raises(StorageFailed, match="in the middle of a change"):
            gallery.commit(drafted)
    finally:
        there.load_collection(gallery.address.name + RECORDS)
        there.close()
    ann = gallery.person("Ann")
    assert ann is not None
    assert ann.templates == 1


@pytest.mark.parametrize("enrolled_first", [True, False])
def test_a_picture_enrolled_while_another_server_merges_its_person_is_not_lost(
    gallery: MilvusGallery, enrolled_first: bool
) -> None:
    gallery.enrol("Ann", [picture_of(1)])
    gallery.enrol("Bob", [picture_of(2)])
    drafts = [gallery.edits.enrol("Bob", [picture_of(3)], copies=True)[0], gallery.edits.merge(["Bob"], "Ann")]
    for draft in drafts if enrolled_first else reversed(drafts):
        gallery.commit(draft)
    people = {record.name: record.templates for record in gallery.people()[0]}
    assert people == ({"Ann": 3} if enrolled_first else {"Ann": 2, "Bob": 1})
    assert gallery.search(picture_of(3).templates[0].embedding, 1)[0].similarity > 0.999


def test_a_search_finds_who_is_behind_one_person_with_many_templates(gallery: MilvusGallery) -> None:
    gallery.enrol("Ann", [picture_of(number) for number in range(100)], copies=True)
    gallery.enrol("Bob", [picture_of(200)])
    gallery.enrol("Cleo", [picture_of(201)])
    probe = picture_of(0).templates[0].embedding
    found = [match.name for match in gallery.search(probe, 3)]
    assert found[0] == "Ann"
    assert sorted(found) == ["Ann", "Bob", "Cleo"]


def test_names_that_would_break_a_filter(gallery: MilvusGallery) -> None:
    names = ['O"Brien', "back\\slash", "it's", "a' or id > 0 or '", "{x}", "日本 語"]
    for number, name in enumerate(names):
        gallery.enrol(name, [picture_of(number)])
    assert [record.name for record in gallery.people()[0]] == sorted(names, key=str.casefold)
    for name in names:
        assert gallery.history(9, name=name)[1] == 1
        assert gallery.remove(name).event.subjects == (name,)
    assert gallery.counts().people == 0


def test_a_gallery_of_another_model_or_version_or_kind_is_refused(milvus: Milvus) -> None:
    newer = json.dumps({"kind": "facewire gallery", "version": 99, "spec": SPEC.to_json(), "cohort": ""})
    for description, said in (("something", "not a facewire gallery"), (newer, "written by a newer facewire")):
        address = fresh(milvus.port)
        there = connected(address)
        there.create("", 2, (), description=description)
        there.close()
        with pytest.raises(StartError, match=said):
            open_gallery(address)
    with pytest.raises(StartError, match=r"no gallery at .*create_db.py") as missing:
        open_gallery(fresh(milvus.port))
    assert missing.value.exit_code == 2


def test_a_collection_that_is_replaced_or_dropped_under_a_running_server(milvus: Milvus) -> None:
    with MilvusGallery.create(fresh(milvus.port), SPEC) as gallery, serving(gallery) as server:
        gallery.enrol("Ann", [picture_of(1)])
        building = Building(gallery.address)
        building.create(replace(SPEC, model="ArcFace"))
        building.close()
        with server.client() as client:
            for change in (lambda: client.enrol("Bob", portrait(2)), lambda: client.identify(portrait(1))):
                with pytest.raises(ServerRefused, match="to ArcFace since it was opened: restart") as refused:
                    change()
                assert refused.value.code == "model_mismatch"
            drop_it(gallery)
            with pytest.raises(StorageFailed):
                gallery.refresh()
            for question in (client.people, lambda: client.identify(portrait(1))):
                with pytest.raises(ServerRefused, match="was dropped while in use: restore a backup") as refused:
                    question()
                assert refused.value.code == "storage"
            there = connected(gallery.address)
            there.create("", 2, (), description="something")
            there.close()
            with pytest.raises(StorageFailed, match="not a facewire gallery"):
                gallery.refresh()
            version = gallery.version
            drop_it(gallery)
            building = Building(gallery.address)
            building.create(SPEC)
            building.close()
            gallery.refresh()
            client.enrol("Cleo", portrait(3))
            assert named(client, 3) == ("match", "Cleo")
            assert [person.name for person in client.people().people] == ["Cleo"]
            assert gallery.version > version


def drop_it(gallery: MilvusGallery) -> None:
    there = connected(gallery.address)
    drop(there)
    there.close()


def test_no_milvus_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = fresh(silent.getsockname()[1], timeout_s=1)
        with pytest.raises(StartError, match="Milvus answers but refuses the connection: set FACEWIRE_MILVUS_TOKEN"):
            open_gallery(address)
    with pytest.raises(StartError, match=r"nothing is listening there \(Connection refused\): start Milvus"):
        open_gallery(address)
