"""The vocabulary as a whole: what every operation must have."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import pytest

import facewire.protocol.codec  # noqa: F401 - registers every request
from facewire.protocol.errors import InvalidRequest
from facewire.protocol.gallery_messages import Enrol, History, Merge, People, Remove, Show, Split, Undo
from facewire.protocol.messages import Identify
from facewire.protocol.schema import REQUEST_OF, Asks, answer_of


def test_every_request_has_an_answer_and_its_own_op() -> None:
    requests = [kind for kind in Asks.__subclasses__() if REQUEST_OF.get(kind.op) is kind]
    assert len(requests) == len(REQUEST_OF) > 40
    assert {op: shape.op for op, shape in REQUEST_OF.items()} == {op: op for op in REQUEST_OF}
    for shape in REQUEST_OF.values():
        assert is_dataclass(answer_of(shape)), shape


def test_no_field_takes_the_envelopes_keys() -> None:
    shapes: list[Any] = list(REQUEST_OF.values())
    taken = {field.name for shape in shapes for field in fields(shape)}
    assert taken.isdisjoint({"id", "op"})


@pytest.mark.parametrize("k", [0, 101, -1])
def test_identify_checks_k(k: int) -> None:
    with pytest.raises(InvalidRequest):
        Identify(b"", k=k)


def test_people_checks_its_page() -> None:
    for offset, limit in ((-1, 1), (0, 0), (0, 1001)):
        with pytest.raises(InvalidRequest):
            People(offset=offset, limit=limit)


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        (Enrol, {"name": "Ann"}),
        (Enrol, {"name": "Ann", "image": b"a", "images": (b"a",)}),
        (Enrol, {"name": "Ann", "images": (b"a",) * 101}),
        (Enrol, {"name": "Ann", "images": (b"a", b"b"), "labels": ("one",)}),
        (Enrol, {"name": "Ann", "image": b"a", "labels": ("x" * 1001,)}),
        (Enrol, {"name": "Ann", "images": (b"a",), "at": (1.0, 2.0)}),
        (Enrol, {"name": "Ann", "images": (b"a", b"b"), "points": ((1.0, 2.0),)}),
        (Enrol, {"name": "Ann", "image": b"a", "points": ((1.0, 2.0),)}),
        (Show, {"name": "Ann", "limit": 101}),
        (Merge, {"names": (), "into": "Ann"}),
        (Split, {"name": "Ann", "templates": (), "to": "Bob"}),
        (Split, {"name": "Ann", "templates": (2**53 + 1,), "to": "Bob"}),
        (Remove, {"name": "Ann", "templates": (0,)}),
        (Undo, {"count": 0}),
        (Undo, {"last": 2**64}),
        (History, {"limit": 1001}),
        (History, {"before": 0}),
    ],
)
def test_requests_about_the_gallery_check_their_ranges(shape: type, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        shape(**fields)
