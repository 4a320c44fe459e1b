"""What a token sees that is limited to some people or albums: the rest does not exist for it.

Answers are filtered, not the search: a face is compared with everybody, as the error rate that was promised is that of
the whole gallery, and then a match with somebody unseen is `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from facewire.protocol.albums.collection import MAX_ALBUM_PAGE, AlbumList, AlbumRename, AlbumsListed
from facewire.protocol.albums.enrolling import AlbumEnrol, AlbumRecognise
from facewire.protocol.albums.looking import AlbumNames, AlbumNamesListed
from facewire.protocol.gallery_messages import (
    MAX_PAGE,
    Changed,
    Enrolled,
    History,
    HistoryListed,
    People,
    PeopleListed,
    PersonShown,
    Rejection,
    Show,
    Undo,
)
from facewire.protocol.messages import MAX_CANDIDATES, Identified, IdentifiedFace, Identify, RequestBody, Result
from facewire.protocol.videos import IdentifyVideo, VideoIdentified, VideoPerson
from facewire.server.access.tokens import Token
from facewire.server.errors import Forbidden, Rejected, UnknownAlbum, UnknownPerson, UnknownTemplate
from facewire.server.names import tidy

AnyFace = TypeVar("AnyFace", IdentifiedFace, VideoPerson)

_WITH_EVERYBODY = (Undo, AlbumRecognise, AlbumEnrol)
_NAMES_OTHERS = frozenset({"nearer_to_another", "similar_name"})
_NAMES = ("name", "names", "to", "into")
_NOBODY = "nobody of that name is enrolled"
_UNSEEN = "it is too much like somebody whom this token does not see"


def check_sight(body: RequestBody, token: Token) -> None:
    """Raises UnknownPerson, UnknownAlbum for what the token does not see; Forbidden for what concerns everybody."""
    if token.people is not None:
        if isinstance(body, _WITH_EVERYBODY) or (isinstance(body, History) and body.name is None):
            raise Forbidden(f"token {token.name} sees only some people, and {body.op} is about all")
        if token.albums is None and body.op.startswith("album."):
            raise Forbidden(f"token {token.name} sees only some people, and {body.op} may name others")
        for name in _people_in(body):
            if tidy(name) not in token.people:
                raise UnknownPerson(f"token {token.name} sees nobody called '{tidy(name)}'")
    if token.albums is not None:
        for name in _albums_in(body):
            if tidy(name) not in token.albums:
                raise UnknownAlbum(f"token {token.name} sees no album '{tidy(name)}'")


def within_sight(body: RequestBody, token: Token | None, handle: Callable[[Any], Result]) -> Result:
    """What `handle` answers to `body`, without what the token does not see."""
    people = token.people if token is not None else None
    albums = token.albums if token is not None else None
    if albums is not None and isinstance(body, AlbumList):
        found = [each for each in _all_albums(body.contains, handle) if each.album in albums]
        return AlbumsListed(tuple(found[body.offset : body.offset + body.limit]), len(found))
    if albums is not None and isinstance(body, AlbumNames):
        visible = tuple(name for name in (body.albums or sorted(albums)) if tidy(name) in albums)
        return handle(replace(body, albums=visible)) if visible else AlbumNamesListed(())
    if people is None:
        return handle(body)
    if isinstance(body, People):
        seen = [each for each in _all_people(body.contains, handle) if each.name in people]
        return PeopleListed(tuple(seen[body.offset : body.offset + body.limit]), len(seen))
    if isinstance(body, History):
        events = [each for each in _all_events(body, handle) if people.issuperset(each.names)]
        page = [each for each in events if body.before is None or each.id < body.before]
        return HistoryListed(tuple(page[: body.limit]), len(events))
    if isinstance(body, Identify):
        return _identified(handle(replace(body, k=MAX_CANDIDATES)), body.k, people)
    try:
        return _seen(handle(body), people)
    except UnknownTemplate:
        if isinstance(body, Show):  # one that is not there answers like one that is somebody else's
            raise UnknownPerson(_NOBODY) from None
        raise


def asked_within(body: RequestBody, token: Token | None) -> tuple[RequestBody, Callable[[Result], Result]]:
    """For a request that is answered later: what to ask instead, and what the token sees of the answer to that."""
    if token is None or token.people is None or not isinstance(body, IdentifyVideo):
        return body, lambda result: result
    people = token.people
    return replace(body, k=MAX_CANDIDATES), lambda result: _in_video(result, body.k, people)


def without_hints(error: Exception, token: Token | None) -> Exception:
    """The same error, if the token is limited without what it says about others, such as names that are similar."""
    if token is None or (token.people is None and token.albums is None):
        return error
    match error:
        case UnknownPerson():
            return UnknownPerson(_NOBODY)
        case UnknownAlbum():
            return UnknownAlbum("there is no album of that name")
        case Rejected() if error.reason in _NAMES_OTHERS:
            return Rejected(_UNSEEN, reason=error.reason)
        case _:
            return error


def _people_in(body: RequestBody) -> Iterable[str]:
    """Every name in a request about the gallery, by what such fields are called there; so a new one is covered, too."""
    if body.op.startswith("album."):
        return
    for field in _NAMES:
        value = getattr(body, field, None)
        if value is not None:
            yield from (value,) if isinstance(value, str) else value


def _albums_in(body: RequestBody) -> Iterable[str]:
    album = getattr(body, "album", None)
    renamed = (body.to,) if isinstance(body, AlbumRename) else ()
    return (*((album,) if isinstance(album, str) else ()), *renamed)


def _all_people(contains: str, handle: Callable[[Any], Result]) -> Iterable[Any]:
    offset = 0
    while True:
        page = handle(People(offset, MAX_PAGE, contains))
        assert isinstance(page, PeopleListed)
        yield from page.people
        offset += len(page.people)
        if offset >= page.total or not page.people:
            return


def _all_albums(contains: str, handle: Callable[[Any], Result]) -> Iterable[Any]:
    offset = 0
    while True:
        page = handle(AlbumList(offset, MAX_ALBUM_PAGE, contains))
        assert isinstance(page, AlbumsListed)
        yield from page.albums
        offset += len(page.albums)
        if offset >= page.total or not page.albums:
            return


def _all_events(body: History, handle: Callable[[Any], Result]) -> Iterable[Any]:
    before = None
    while True:
        page = handle(replace(body, limit=MAX_PAGE, before=before))
        assert isinstance(page, HistoryListed)
        yield from page.events
        if len(page.events) < MAX_PAGE:
            return
        before = page.events[-1].id


def _identified(result: Result, k: int, people: Collection[str]) -> Result:
    assert isinstance(result, Identified)
    return replace(result, faces=tuple(_face(face, k, people) for face in result.faces))


def _in_video(result: Result, k: int, people: Collection[str]) -> Result:
    assert isinstance(result, VideoIdentified)
    return replace(result, people=tuple(_face(person, k, people) for person in result.people))


def _face(face: AnyFace, k: int, people: Collection[str]) -> AnyFace:
    seen = tuple(candidate for candidate in face.candidates if candidate.name in people)[:k]
    if not face.candidates or face.candidates[0].name in people:
        return replace(face, candidates=seen)
    return replace(
        face, candidates=seen, decision="unknown", name=None, similarity=None, distance=None, margin=None,
        false_match=None,
    )  # fmt: skip


def _seen(result: Result, people: Collection[str]) -> Result:
    match result:
        case PersonShown() if result.person.name not in people:  # asked for without its accents, or in another case
            raise UnknownPerson(_NOBODY)
        case Changed():
            return replace(result, note="")  # names somebody else
        case Enrolled():
            hidden = tuple(map(_without_names, result.rejected)), tuple(map(_without_names, result.doubts))
            return replace(result, rejected=hidden[0], doubts=hidden[1])
        case _:
            return result


def _without_names(rejection: Rejection) -> Rejection:
    return replace(rejection, message=_UNSEEN) if rejection.reason in _NAMES_OTHERS else rejection
