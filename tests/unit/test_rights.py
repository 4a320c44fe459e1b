"""Which right each operation takes. Whoever adds one adds it here: a right that is given by mistake is a leak."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from facewire.protocol.gallery_messages import Enrol, Erase, History, Merge, Remove, Rename, Show, Split
from facewire.protocol.messages import RequestBody, VerifyPerson
from facewire.protocol.rights import RIGHTS, all_of, any_of, missing
from facewire.protocol.schema import REQUEST_OF
from facewire.server.access.sight import check_sight
from facewire.server.access.tokens import master
from facewire.server.errors import UnknownPerson

NEEDED = {
    "ping": "", "hello": "",
    "identify": "identify", "detect": "identify", "embed": "identify", "verify": "identify",
    "verify_person": "identify", "identify_video": "identify",
    "enrol": "enrol",
    "people": "enrol or manage", "show": "enrol or manage",
    "rename": "manage", "merge": "manage", "split": "manage", "remove": "manage", "erase": "manage",
    "undo": "manage", "history": "manage",
    "health": "operate", "stats": "operate",
    "album.recognise": "albums, identify", "album.enrol": "albums, enrol",
    **dict.fromkeys(
        [
            "album.list", "album.status", "album.photos", "album.days", "album.photo", "album.face", "album.faces",
            "album.people", "album.search", "album.export", "album.export_read", "album.photo_read",
        ],
        "albums or view",
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", sorted(REQUEST_OF))
def test_every_operation_takes_a_right(op: str) -> None:
    assert missing(REQUEST_OF[op].needs, ()) == NEEDED.get(op, "albums" if op.startswith("album.") else "undeclared")
    assert missing(REQUEST_OF[op].needs, RIGHTS) == ""


def test_alternatives_and_all() -> None:
    assert missing(any_of("enrol", "manage"), ("manage",)) == ""
    assert missing(all_of("albums", "enrol"), ("albums",)) == "enrol"


def test_text_in_requests_is_the_name_of_a_person_or_known_not_to_be() -> None:
    """A token that sees only some people is refused by the names in a request: see server/access/sight.py."""
    bodies: list[Any] = [body for op, body in REQUEST_OF.items() if not op.startswith("album.")]
    texts = {field.name for body in bodies for field in fields(body) if "str" in str(field.type)}
    assert texts == {"name", "names", "to", "into"} | {"token", "contains", "labels"}


@pytest.mark.parametrize(
    "body",
    [
        Show("Eve"), Rename("Ada", "Eve"), Rename("Eve", "Ada"), Merge(("Ada", "Eve"), "Ada"), Merge(("Ada",), "Eve"),
        Split("Ada", (1,), "Eve"), Remove("Eve"), Erase("Eve"), Enrol("Eve", b"x"), History(name="Eve"),
        VerifyPerson("Eve", b"x"),
    ],
    ids=lambda body: body.op,
)  # fmt: skip
def test_names_that_a_token_does_not_see_are_refused(body: RequestBody) -> None:
    with pytest.raises(UnknownPerson):
        check_sight(body, replace(master("x"), people=frozenset({"Ada"})))
    check_sight(body, replace(master("x"), people=frozenset({"Ada", "Eve"})))
