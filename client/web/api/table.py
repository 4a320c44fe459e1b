"""Which operation of the wire has which route: one line each. Everything else follows from the protocol's types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_type_hints

from facewire.protocol.schema import REQUEST_OF

Sends = Literal["json", "picture", "original", "zip"]


@dataclass(frozen=True, slots=True)
class Route:
    """The operation `op` at `path`.

    `sends`: what is answered, "original" for a picture or a file however large; `batch`: several pictures in one
    request at `path`/batch, too; `fixed`: keys that the API sets itself; `slow`: may take minutes, so only a few run at
    a time.
    """

    op: str
    path: str
    sends: Sends = "json"
    batch: bool = False
    slow: bool = False
    fixed: Mapping[str, object] = field(default_factory=dict)

    @property
    def shape(self) -> Any:
        """The request's class, a dataclass."""
        return REQUEST_OF[self.op]

    @property
    def method(self) -> str:
        """GET for what changes nothing and takes no picture."""
        return "GET" if self.shape.repeatable and not self.takes_pictures else "POST"

    @property
    def keys(self) -> dict[str, Any]:
        """The keys that a caller may give, with their types."""
        hints = get_type_hints(self.shape, include_extras=True)
        return {each.name: hints[each.name] for each in fields(self.shape) if each.name not in self.fixed}

    @property
    def shared_keys(self) -> dict[str, Any]:
        """The keys that a batch gives once for all its pictures."""
        return {key: hint for key, hint in self.keys.items() if hint is not bytes}

    @property
    def takes_pictures(self) -> bool:
        """Is any key, at any depth, the bytes of a file?"""
        return any("bytes" in str(each.type) or each.name == "wanted" for each in fields(self.shape))

    @property
    def raw(self) -> str | None:
        """The key that a body of bytes alone stands for, if there is one such key."""
        found = [key for key, hint in get_type_hints(self.shape).items() if hint in (bytes, bytes | None)]
        return found[0] if len(found) == 1 else None


ROUTES = (
    Route("ping", "/ping"),
    Route("health", "/health"),
    Route("stats", "/stats"),
    Route("identify", "/identify", batch=True),
    Route("identify_video", "/identify/video", slow=True),
    Route("detect", "/detect", batch=True),
    Route("embed", "/embed", batch=True),
    Route("verify", "/verify"),
    Route("verify_person", "/verify/person"),
    Route("people", "/people"),
    Route("show", "/people/show"),
    Route("enrol", "/people/enrol"),
    Route("rename", "/people/rename"),
    Route("merge", "/people/merge"),
    Route("split", "/people/split"),
    Route("remove", "/people/remove"),
    Route("erase", "/people/erase"),
    Route("undo", "/people/undo"),
    Route("history", "/people/history"),
    Route("album.list", "/albums"),
    Route("album.create", "/albums/create"),
    Route("album.rename", "/albums/rename"),
    Route("album.delete", "/albums/delete"),
    Route("album.status", "/albums/status"),
    Route("album.add", "/albums/add"),
    Route("album.add_zip", "/albums/add_zip", slow=True),
    Route("album.add_video", "/albums/add_video", slow=True),
    Route("album.import", "/albums/import", slow=True),
    Route("album.folders", "/albums/folders"),
    Route("album.remove", "/albums/remove"),
    Route("album.process", "/albums/process", fixed={"wait": False}),  # ask `status` instead
    Route("album.photos", "/albums/photos"),
    Route("album.days", "/albums/days"),
    Route("album.favourite", "/albums/favourite"),
    Route("album.photo", "/albums/photo", sends="original"),
    Route("album.faces", "/albums/faces"),
    Route("album.face", "/albums/face", sends="picture"),
    Route("album.people", "/albums/people"),
    Route("album.names", "/albums/names"),
    Route("album.label", "/albums/label"),
    Route("album.merge", "/albums/merge"),
    Route("album.split", "/albums/split"),
    Route("album.move", "/albums/move"),
    Route("album.not", "/albums/not"),
    Route("album.different", "/albums/different"),
    Route("album.hide", "/albums/hide"),
    Route("album.stranger", "/albums/stranger"),
    Route("album.draw_face", "/albums/draw_face"),
    Route("album.redraw_face", "/albums/redraw_face"),
    Route("album.remove_face", "/albums/remove_face"),
    Route("album.undo", "/albums/undo"),
    Route("album.history", "/albums/history"),
    Route("album.suggest", "/albums/suggest"),
    Route("album.recognise", "/albums/recognise"),
    Route("album.enrol", "/albums/enrol"),
    Route("album.search", "/albums/search"),
    Route("album.export", "/albums/export"),
    Route("album.export_read", "/albums/download", sends="zip", fixed={"offset": 0, "size": 1}),
)
"""Names of people and albums are never part of a path: they may contain a slash, or be "..". A GET asks, a POST
changes something or carries a picture."""

NO_ROUTE = {
    "hello": "the header Authorization carries the token",
    "album.photo_read": "/albums/photo sends an original however large, and the part of a video that Range asks for",
}
"""Operations without a route, and why."""
