"""`verify_person`: one picture against one enrolled person, over the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facewire.client import FaceClient
from facewire.client.errors import NoFace, UnknownPerson, UnknownTemplate
from facewire.protocol.errors import InvalidRequest
from facewire.server.recognition.impostors import nearest_of, priors
from tests.support.living_server import living_server
from tests.support.synthetic_engine import draw, portrait

TWO = draw((5, (4.0, 8.0, 20.0, 24.0)), (9, (36.0, 8.0, 22.0, 24.0)))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FaceClient]:
    """Ann has one picture, Cleo four."""
    with living_server(tmp_path / "g.db") as server, server.client() as client:
        client.enrol("Ann", portrait(1))
        client.enrol_many("Cleo", [portrait(3, shade=shade) for shade in (0, 3, 6, 9)], accept=["all"])
        yield client


def test_the_person_and_somebody_else(client: FaceClient) -> None:
    own, other = client.verify_person("Ann", portrait(1, shade=2)), client.verify_person("Ann", portrait(7))
    assert (own.same, own.name, own.templates) == (True, "Ann", 1)
    assert not other.same
    for each in (own, other):
        assert each.same == (each.similarity >= each.threshold) == (each.false_match_at_large <= each.fmr)
        assert each.margin == pytest.approx(each.similarity - each.threshold)
    assert client.verify_person(" Ann ", portrait(1)).same


def test_with_one_template_it_is_verify(client: FaceClient) -> None:
    one, pair = client.verify_person("Ann", portrait(1, shade=2)), client.verify(portrait(1), portrait(1, shade=2))
    assert (one.similarity, one.threshold) == pytest.approx((pair.similarity, pair.threshold), abs=1e-6)
    assert one.false_match == pytest.approx(pair.false_match)


def test_more_templates_ask_for_more_similarity(client: FaceClient) -> None:
    one, four = client.verify_person("Ann", portrait(7)), client.verify_person("Cleo", portrait(7))
    assert four.templates == 4
    assert four.threshold > one.threshold
    at_large = priors("Facenet512", normalised=False).at_large
    assert four.threshold == pytest.approx(nearest_of(at_large.similarity_at, 4**0.85, 0.001))
    strict = client.verify_person("Cleo", portrait(7), fmr=0.0001)
    assert strict.threshold > four.threshold and strict.fmr == 0.0001


def test_the_closest_of_all_counts(client: FaceClient) -> None:
    probe = portrait(3, shade=9)
    theirs = [client.verify(portrait(3, shade=shade), probe).similarity for shade in (0, 3, 6, 9)]
    assert client.verify_person("Cleo", probe).similarity >= np.max(theirs) - 1e-6


def test_the_face_at_a_point(client: FaceClient) -> None:
    client.enrol("Nine", portrait(9))
    assert client.verify_person("Nine", TWO, at=(45.0, 20.0)).same
    assert not client.verify_person("Nine", TWO, at=(12.0, 20.0)).same


def test_what_cannot_be_compared(client: FaceClient) -> None:
    with pytest.raises(UnknownPerson, match="Nobody"):
        client.verify_person("Nobody", portrait(1))
    with pytest.raises(NoFace, match="no face was found"):
        client.verify_person("Ann", draw())
    with pytest.raises(InvalidRequest, match="fmr"):
        client.verify_person("Ann", portrait(1), fmr=0.5)
    client.remove("Ann", [1])
    with pytest.raises(UnknownTemplate, match="Ann"):
        client.verify_person("Ann", portrait(1))
