"""What a client may ask again by itself when its answer was lost. Whoever adds an operation says here which it is: a
change that is made twice is a bug nobody sees."""

from __future__ import annotations

import pytest

import facewire.protocol.codec  # noqa: F401 - it registers every operation
from facewire.protocol.schema import REQUEST_OF

REPEATABLE = {
    "ping", "hello", "health", "stats",
    "identify", "identify_video", "detect", "embed", "verify", "verify_person",
    "people", "show", "history",
    "album.list", "album.status", "album.folders", "album.photos", "album.days", "album.names", "album.photo",
    "album.face", "album.faces", "album.photo_read",
    "album.people", "album.search", "album.suggest", "album.history", "album.export_read",
}  # fmt: skip
ONCE = {
    "enrol", "rename", "merge", "split", "remove", "erase", "undo",
    "album.create", "album.rename", "album.delete", "album.add", "album.add_zip", "album.import", "album.remove",
    "album.process", "album.label", "album.merge", "album.split", "album.move", "album.not", "album.different",
    "album.hide", "album.stranger", "album.favourite", "album.undo", "album.recognise", "album.enrol", "album.export",
    "album.draw_face", "album.redraw_face", "album.remove_face", "album.add_video",
}  # fmt: skip


def test_every_operation_is_listed_once() -> None:
    assert set(REQUEST_OF) == REPEATABLE | ONCE
    assert not REPEATABLE & ONCE


@pytest.mark.parametrize("op", sorted(REQUEST_OF))
def test_what_is_asked_again_changes_nothing(op: str) -> None:
    assert REQUEST_OF[op].repeatable == (op in REPEATABLE)
