"""A gallery that changes while it serves: in force at once, for everybody, and on the disk."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.client import AlreadyExists, Conflict, NoFace, SeveralFaces, UnknownPerson, UnknownTemplate
from facewire.client.face_client import FaceClient
from tests.support.living_server import SPEC, living_server
from tests.support.synthetic_engine import colour, draw, embedding_of, portrait

TWO = draw((5, (4.0, 8.0, 20.0, 24.0)), (9, (36.0, 8.0, 22.0, 24.0)))


def who(client: FaceClient, number: int) -> str | None:
    """Whom the server takes a picture of that colour for; another picture than any that is enrolled."""
    (face,) = client.identify(portrait(number, shade=200), emotion=False).faces
    return face.name


def test_a_change_is_in_force_for_another_client_when_its_answer_arrives(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as one, server.client() as other:
        for number in range(1, 9):
            assert who(other, number) is None
            one.enrol(f"P{number}", portrait(number))
            assert who(other, number) == f"P{number}"
        one.rename("P1", "Ann")
        assert who(other, 1) == "Ann"
        one.merge(["P2", "P3"], "Ann")
        assert [who(other, number) for number in (1, 2, 3)] == ["Ann"] * 3
        (moved,) = [t.id for t in one.all_templates("Ann") if t.id == 3]
        one.split("Ann", [moved], "Cleo")
        assert [who(other, number) for number in (1, 2, 3)] == ["Ann", "Ann", "Cleo"]
        one.remove("Ann", [1])
        assert [who(other, number) for number in (1, 2)] == [None, "Ann"]
        one.remove("Cleo")
        assert who(other, 3) is None
        one.undo()
        assert who(other, 3) == "Cleo"
        one.undo(3)
        assert [who(other, number) for number in (1, 2, 3)] == ["Ann", "P2", "P3"]
        one.erase("Ann")
        assert [who(other, number) for number in (1, 2, 3)] == [None, "P2", "P3"]
        with pytest.raises(Conflict):
            other.undo()


def test_it_is_all_there_after_a_restart(tmp_path: Path) -> None:
    db = tmp_path / "g.db"
    with living_server(db) as server, server.client() as client:
        client.enrol_many("Ann", [portrait(1), portrait(2)], labels=["a.png", "b.png"])
        client.split("Ann", [2], "Bob")
        before, past = client.people(), client.history()
    with living_server(db) as server, server.client() as client:
        assert (client.people(), client.history()) == (before, past)
        assert [who(client, number) for number in (1, 2)] == ["Ann", "Bob"]
        client.undo()
        assert who(client, 2) == "Ann"


def test_a_group_picture_is_enrolled_face_by_face(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        with pytest.raises(SeveralFaces, match="2 faces"):
            client.enrol("Ann", TWO)
        left = client.enrol("Ann", TWO, at=(14.0, 20.0)).templates[0]
        right = client.enrol("Bob", TWO, at=(47.0, 20.0)).templates[0]
        assert (left.box, right.box) == ((4.0, 8.0, 20.0, 24.0), (36.0, 8.0, 22.0, 24.0))
        with pytest.raises(NoFace):
            client.enrol("Cleo", TWO, at=(30.0, 2.0))
        assert [who(client, number) for number in (5, 9)] == ["Ann", "Bob"]


def test_partial_success_says_which_and_why(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        answer = client.enrol_many("Ann", [portrait(1), draw(), b"broken", TWO, portrait(1), portrait(2)])
        assert [one.index for one in answer.templates] == [0, 5]
        assert [(one.index, one.reason) for one in answer.rejected] == [
            (1, "no_face"), (2, "invalid_image"), (3, "several_faces"), (4, "duplicate"),
        ]  # fmt: skip
        assert answer.person is not None
        assert (answer.person.templates, answer.person.images) == (2, 2)
        nothing = client.enrol_many("Bob", [draw(), portrait(1)[:20]])
        assert (nothing.person, nothing.templates, nothing.event) == (None, (), None)
        assert [person.name for person in client.all_people()] == ["Ann"]


def test_templates_are_shown_with_their_faces(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        client.enrol_many("Ann", [portrait(number) for number in range(1, 6)], labels=[f"{n}.png" for n in range(1, 6)])
        shown = client.show("Ann", 1, 2)
        assert [template.image for template in shown.templates] == ["2.png", "3.png"]
        assert shown.person.templates == 5
        for number, template in zip((2, 3), shown.templates, strict=True):
            assert template.crop is not None
            crop = cv2.imdecode(np.frombuffer(template.crop, np.uint8), cv2.IMREAD_COLOR)
            assert crop is not None
            assert np.abs(crop.mean(axis=(0, 1)) - colour(number)).max() < 6
        assert [t.crop for t in client.show("Ann", crops=False).templates] == [None] * 5
        assert [t.id for t in client.all_templates("Ann")] == [1, 2, 3, 4, 5]


def test_the_first_template_of_each_is_told_with_the_person(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        client.enrol_many("Ann", [portrait(number) for number in range(1, 4)])
        client.enrol("Bob", portrait(5))
        client.split("Ann", [1], "Cleo")
        client.merge(["Bob"], "Ann")
        client.enrol("Dora", portrait(7))
        client.remove("Dora", [client.show("Dora").templates[0].id])
        told = {person.name: person.first for person in client.all_people()}
        assert told == {"Ann": 2, "Cleo": 1, "Dora": 0}
        assert {name: client.show(name).person.first for name in told} == told


def test_people_are_counted_and_paged_and_sought(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        for number, name in enumerate(("Ann Lee", "bob", "Zoë Lee", "Čapek"), 1):
            client.enrol(name, portrait(number))
        first = client.people(0, 2)
        assert ([person.name for person in first.people], first.total) == (["Ann Lee", "bob"], 4)
        lees = client.people(contains="LEE")
        assert ([person.name for person in lees.people], lees.total) == (["Ann Lee", "Zoë Lee"], 2)
        assert [person.name for person in client.all_people("zoe\u0308")] == ["Zoë Lee"]


def test_refusals_are_typed(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        client.enrol("Ann", portrait(1))
        client.enrol("Bob", portrait(2))
        with pytest.raises(UnknownPerson):
            client.remove("Cleo")
        with pytest.raises(UnknownTemplate):
            client.remove("Ann", [2])
        with pytest.raises(AlreadyExists, match="merge"):
            client.rename("Ann", "Bob")
        assert len(client.history().events) == 2


def test_undo_does_not_take_back_what_the_asker_has_not_seen(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as one, server.client() as other:
        seen = one.enrol("Ann", portrait(1)).event
        assert seen is not None
        other.enrol("Bob", portrait(2))
        with pytest.raises(Conflict, match="the last change is 2"):
            one.undo(last=seen.id)
        assert one.people().total == 2


def test_the_journal_tells_it_all(tmp_path: Path) -> None:
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        client.enrol_many("Ann", [portrait(1), portrait(2)])
        client.enrol("Bob", portrait(3))
        client.rename("Ann", "Anna")
        client.merge(["Bob"], "Anna")
        client.split("Anna", [1, 2], "Cleo")
        client.remove("Cleo", [1])
        client.remove("Cleo")
        client.undo(2)
        assert [event.text for event in client.history().events] == [
            "undid 2 changes",
            "removed Cleo (1 template)",
            "removed 1 template of Cleo",
            "moved 2 templates of Anna to Cleo",
            "merged Bob into Anna (1 template)",
            "renamed Ann to Anna",
            "enrolled Bob (1 template)",
            "enrolled Ann (2 templates)",
        ]
        events = client.history().events
        assert [event.undone for event in events] == [False, True, True, *[False] * 5]
        assert [event.undoable for event in events] == [False, False, False, *[True] * 5]
        page = client.history(2, before=events[1].id)
        assert (page.events, page.total) == (events[2:4], 8)
        # A person is found by every name they had.
        assert [event.op for event in client.history(name="Anna").events] == ["split", "merge", "rename", "enrol"]


def test_clients_that_change_it_all_at_once_lose_nothing(tmp_path: Path) -> None:
    """Every answer is true when it comes, and in the end everything is as every answer said."""
    db = tmp_path / "g.db"
    failures: list[BaseException] = []

    def live(first: int) -> None:
        try:
            with server.client() as client:
                for number in range(first, first + 6):
                    client.enrol(f"P{number}", portrait(number))
                    assert who(client, number) == f"P{number}"
                    client.rename(f"P{number}", f"Q{number}")
                    assert who(client, number) == f"Q{number}"
                    if number % 2:
                        client.remove(f"Q{number}")
                        assert who(client, number) is None
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    with living_server(db) as server:
        threads = [threading.Thread(target=live, args=(first,)) for first in (1, 11, 21, 31)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        memory = server.gallery.people()
    with living_server(db) as server, server.client() as client:
        assert server.gallery.people() == memory
        assert client.people().total == 12
        assert client.history().total == 4 * (6 + 6 + 3)


def test_templates_are_the_same_as_those_of_create_db(tmp_path: Path) -> None:
    """Through the batcher, mirrored view and all, comes what the engine says of the face."""
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        client.enrol_many("Ann", [portrait(number) for number in range(1, 12)])
        expected = np.stack([embedding_of(number) for number in range(1, 12)])
        assert np.allclose(server.gallery.templates().embeddings, expected, atol=1e-6)
        assert dataclasses.asdict(server.gallery.spec) == dataclasses.asdict(SPEC)
