"""What a view shows first, for the page itself: asked of the server before the page is sent, shown before any script
has come, and given to the scripts as the answers to what they ask first (static/js/page_answers.js)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from facewire.client.errors import Unauthorized
from facewire.client.web.answers import FAILURES
from facewire.client.web.words import month_name

Ask = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Asks the server for an operation by name and keys, as the page's scripts do, for this browser."""

PATIENCE_S = 2.0  # a page without a first screen is better than one that comes late
PICTURES = 24  # tiles with a picture: what a large screen shows at first
_FEW = 12  # album_people.js folds people who are in one photo each away where there are more
_LEFT_OUT: tuple[type[Exception], ...] = (TimeoutError, *FAILURES)
_UNREAD = "sha256"  # of a photo: nothing that is shown needs it, and it can't be compressed


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says to an operation with these keys, without bytes."""

    op: str
    keys: Mapping[str, Any]
    answer: Any


@dataclass(frozen=True, slots=True)
class FirstScreen:
    """`shown`: what the template draws; `answers`: what the scripts needn't ask."""

    shown: Mapping[str, Any]
    answers: tuple[Answer, ...]


class _Questions:
    """Asks, and remembers the answers."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.answers: list[Answer] = []

    async def __call__(self, op: str, **keys: Any) -> Any:
        answer = await self._ask(op, keys)
        self.answers.append(Answer(op, keys, answer))
        return answer


async def within_patience(screen: Awaitable[FirstScreen | None]) -> FirstScreen | None:
    """The first screen; None if the server refuses, fails or takes too long: then the scripts ask, and say why.

    Raises Unauthorized.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await screen
    except Unauthorized:
        raise
    except _LEFT_OUT:
        return None


async def of_album(ask: Ask, rights: Collection[str], album: str) -> FirstScreen | None:
    """The people and the photos of an album: which of them is shown, only the browser knows (`#/photos`). None while
    there is work in progress, of which the page shows more. `rights`: of the token."""
    question = _Questions(ask)
    some = {"album": album, "show": "all", "favourites": False, "since": "", "until": ""}
    info, once, listed, days = await asyncio.gather(
        question("album.status", album=album),
        question("album.people", album=album, hidden=False, once="only", limit=1),
        question("album.photos", **some, order="days", limit=200),
        question("album.days", **some, offset=0, limit=1000),
    )
    if info["processing"] or info["adding"] or info["waiting"]:
        return None
    if info["album"] != album:
        return None  # a page with names in it repeats nothing of its address: see BREACH in 0085
    fold = once["total"] > _FEW
    people, known = await asyncio.gather(
        question(
            "album.people", album=album, hidden=False, order="faces", once="without" if fold else "with", limit=100
        ),
        _recognised(question, rights, info),
    )
    for photo in listed["photos"]:
        del photo[_UNREAD]
    timeline = _timeline(days["days"])
    shown = {
        "info": info,
        "once": once["total"] if fold else 0,
        "known": known,
        "people": people["people"],
        "people_total": people["total"],
        "sections": _sections(listed["photos"], days["days"]),
        "photos_total": listed["total"],
        "timeline": timeline,
        "months": sum(len(year["months"]) for year in timeline),
    }
    return FirstScreen(shown, tuple(question.answers))


async def of_gallery(ask: Ask, _: Collection[str]) -> FirstScreen | None:
    """The people of the gallery."""
    question = _Questions(ask)
    page = await question("people", limit=100, contains="")
    shown = {"people": page["people"], "people_total": page["total"]}
    return FirstScreen(shown, tuple(question.answers))


async def _recognised(question: _Questions, rights: Collection[str], info: Mapping[str, Any]) -> int:
    """How many people of the album the gallery can name, to those who may name them."""
    if not info["people"] or not {"identify", "albums"}.issubset(rights):
        return 0
    return len((await question("album.recognise", album=info["album"]))["matches"])


def _sections(photos: list[Any], days: list[Any]) -> list[dict[str, Any]]:
    """The photos under their days, as far as they go; without days if none is known."""
    if not any(day["day"] for day in days):
        return [{"day": None, "count": None, "first": 0, "photos": photos}]
    sections, begin = [], 0
    for day in days:
        if begin >= len(photos):
            break
        some = photos[begin : begin + day["photos"]]
        sections.append({"day": day["day"], "count": day["photos"], "first": begin, "photos": some})
        begin += day["photos"]
    return sections


def _timeline(days: list[Any]) -> list[dict[str, Any]]:
    """The years, the newest first, each with its months, as timeline.js draws them."""
    years: list[dict[str, Any]] = []
    last = None
    for day in days:
        key = day["day"] and day["day"][:7]
        year = key and key[:4]
        if not years or years[-1]["year"] != year:
            years.append({"year": year, "months": []})
        if key != last or not years[-1]["months"]:
            years[-1]["months"].append({"name": month_name(key) if key else None, "photos": 0})
        years[-1]["months"][-1]["photos"] += day["photos"]
        last = key
    return years
