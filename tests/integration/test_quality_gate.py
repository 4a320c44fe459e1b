"""The quality gate over a real socket: what is refused, with its numbers, and how it is enrolled all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from facewire.client import FaceClient
from facewire.client.cli import main as facewire
from facewire.client.errors import NotEnrolled, ServerRefused
from facewire.protocol.gallery_messages import Acceptable, Shortcoming
from facewire.server.recognition.enrolment import LIMITS
from tests.support.living_server import Living, living_server
from tests.support.servers import RawClient
from tests.support.synthetic_engine import PIXEL, draw, portrait, tiny

SMALL = Shortcoming("too_small", 6.0 * PIXEL, LIMITS.side)
TWO = draw((5, (4.0, 8.0, 20.0, 24.0)), (9, (36.0, 8.0, 22.0, 24.0)))


@pytest.fixture
def living(tmp_path: Path) -> Iterator[Living]:
    with living_server(tmp_path / "g.db") as server:
        yield server


@pytest.fixture
def client(living: Living) -> Iterator[FaceClient]:
    with living.client() as client:
        yield client


def test_good_pictures_are_enrolled_and_the_others_say_why(client: FaceClient) -> None:
    answer = client.enrol_many("Ann", [tiny(1), portrait(1), TWO, draw(), portrait(1, shade=5), portrait(1)])
    assert [one.index for one in answer.templates] == [1, 4]
    assert [(one.index, one.reason) for one in answer.rejected] == [
        (0, "too_small"), (2, "several_faces"), (3, "no_face"), (5, "duplicate"),
    ]  # fmt: skip
    assert [one.shortcomings for one in answer.rejected] == [
        (SMALL,),
        (Shortcoming("several_faces", 2, 1),),
        (),
        (Shortcoming("duplicate", 0.0, 0.12),),
    ]
    assert "18 px, at least 24" in answer.rejected[0].message


def test_a_picture_alone_is_an_error_that_says_what_to_do(client: FaceClient) -> None:
    with pytest.raises(NotEnrolled, match=r"too small \(18 px, at least 24\): send a better picture"):
        client.enrol("Ann", tiny(1))
    assert list(client.all_people()) == []


@pytest.mark.parametrize("accept", [["too_small"], ["all"], ["blurred", "too_small"]])
def test_what_is_accepted_is_enrolled(client: FaceClient, accept: list[Acceptable]) -> None:
    assert len(client.enrol("Ann", tiny(1), accept=accept).templates) == 1


def test_accepting_one_reason_forgives_no_other(client: FaceClient) -> None:
    with pytest.raises(NotEnrolled):
        client.enrol("Ann", tiny(1), accept=["blurred"])


def test_several_faces_and_copies_can_be_accepted_too(client: FaceClient) -> None:
    client.enrol("Ann", portrait(1))
    assert len(client.enrol("Bob", TWO, accept=["several_faces"]).templates) == 1
    copy = portrait(1, extension=".jpg")
    assert client.enrol("Ann", copy).rejected[0].reason == "duplicate"
    assert client.enrol("Ann", copy, accept=["duplicate"]).rejected == ()
    again = client.enrol("Ann", copy, accept=["all"])  # the same bytes twice are never kept
    assert [(one.reason, one.shortcomings[0].measured) for one in again.rejected] == [("duplicate", 0.0)]
    assert client.show("Ann").person.templates == 2


def test_somebody_elses_picture_is_refused_unless_it_is_known_better(client: FaceClient) -> None:
    client.enrol("Ann", portrait(1))
    client.enrol_many("Bob", [portrait(12), portrait(12, shade=1)])
    with pytest.raises(NotEnrolled, match=r"it matches Bob \(similarity 1.000, a match from 0\.\d+\)"):
        client.enrol("Ann", portrait(12, shade=2))
    asked = client.identify(portrait(12, shade=2)).faces[0]  # now: a template more raises the threshold
    answer = client.enrol_many("Ann", [portrait(1, shade=1), portrait(12, shade=2)])
    assert [one.index for one in answer.templates] == [0]
    (refused,) = answer.rejected
    (why,) = refused.shortcomings
    assert (refused.index, refused.reason, why.reason) == (1, "nearer_to_another", "nearer_to_another")
    assert why.measured == pytest.approx(1, abs=1e-4)
    assert why.limit < why.measured
    assert why.limit == pytest.approx(asked.threshold, abs=1e-6), "the threshold that identify decides by"
    twin = client.enrol("Ann", portrait(12, shade=2), accept=["nearer_to_another"])
    assert len(twin.templates) == 1
    assert twin.doubts == ()
    # From now on Ann has a match of her own among her templates, like any twin.
    assert client.enrol("Ann", portrait(12, shade=3)).rejected == ()


def test_a_new_name_for_a_known_face_is_enrolled_with_a_doubt(client: FaceClient) -> None:
    client.enrol("Bob", portrait(12))
    answer = client.enrol("Robert", portrait(12, shade=1), label="r.png")
    assert len(answer.templates) == 1
    assert [(one.index, one.reason) for one in answer.doubts] == [(0, "nearer_to_another")]
    assert "it matches Bob" in answer.doubts[0].message


def test_the_wire_itself(living: Living) -> None:
    with RawClient(living.address) as raw:
        answer = raw.ask(id=1, op="enrol", name="Ann", images=[tiny(1)])
        assert answer["result"]["rejected"] == [
            {
                "index": 0,
                "reason": "too_small",
                "message": "the face is too small (18 px, at least 24): send a better picture",
                "shortcomings": [{"reason": "too_small", "measured": 18.0, "limit": 24.0}],
            }
        ]
        assert raw.ask(id=2, op="enrol", name="Ann", image=tiny(1))["error"]["code"] == "rejected"
        assert raw.ask(id=3, op="enrol", name="Ann", image=tiny(1), accept=["ugly"])["error"]["code"] == (
            "invalid_request"
        )
        assert raw.ask(id=4, op="enrol", name="Ann", image=tiny(1), accept=["too_small"])["ok"]


def test_a_reason_that_is_none_is_refused_by_name(client: FaceClient) -> None:
    with pytest.raises(ServerRefused, match="accept"):
        client.enrol("Ann", portrait(1), accept=[cast(Acceptable, "ugly")])


def test_the_command_says_reasons_and_takes_them_back(
    living: Living, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("small.png", tiny(1)), ("good.png", portrait(1)), ("alike.png", portrait(1, shade=3))):
        (tmp_path / name).write_bytes(data)
    server = ["--host", living.address[0], "--port", str(living.address[1])]
    assert facewire(["enrol", "Ann", str(tmp_path / "small.png"), str(tmp_path / "good.png"), *server]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("small.png: too_small: the face is too small (18 px, at least 24): send a better picture"
                             " (--accept too_small enrols it all the same)")  # fmt: skip
    assert lines[1].endswith("good.png: enrolled")
    assert facewire(["enrol", "Ann", str(tmp_path / "small.png"), "--accept", "too_small", *server]) == 0
    capsys.readouterr()
    assert facewire(["enrol", "Anna", str(tmp_path / "alike.png"), *server]) == 0
    assert "alike.png: enrolled, but it matches Ann (" in capsys.readouterr().out
