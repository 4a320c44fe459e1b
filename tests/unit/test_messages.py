"""The vocabulary as a whole: what every operation must have."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest

from protocol.codec import REQUEST_OF
from protocol.errors import InvalidRequest
from protocol.gallery_messages import People
from protocol.messages import ANSWER_OF, Identify, RequestBody, Result


def test_every_request_has_an_answer_and_its_own_op() -> None:
    assert set(REQUEST_OF) == set(ANSWER_OF)
    assert len(REQUEST_OF) == len(get_args(RequestBody))
    assert set(ANSWER_OF.values()) == set(get_args(Result))


def test_no_field_takes_the_envelopes_keys() -> None:
    taken = {field.name for shape in REQUEST_OF.values() for field in fields(shape)}
    assert taken.isdisjoint({"id", "op"})


@pytest.mark.parametrize("k", [0, 101, -1])
def test_identify_checks_k(k: int) -> None:
    with pytest.raises(InvalidRequest):
        Identify(b"", k=k)


def test_people_checks_its_page() -> None:
    for wrong in ({"offset": -1}, {"limit": 0}, {"limit": 1001}):
        with pytest.raises(InvalidRequest):
            People(**wrong)
