"""The HTML: a skeleton for each view, filled by its JavaScript module; login and logout."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import asdict
from functools import partial
from urllib.parse import parse_qs

from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from facewire.client.errors import Unauthorized
from facewire.client.web.answers import FAILURES, error, failure
from facewire.client.web.assets import assets_of, takes_gzip
from facewire.client.web.bodies import read_body, text
from facewire.client.web.first_screen import PICTURES, Ask, FirstScreen, of_album, of_gallery, within_patience
from facewire.client.web.gateway import gateway_of, session_of
from facewire.client.web.guard import policy, set_session
from facewire.client.web.operations import asked
from facewire.client.web.rendering import TEMPLATES
from facewire.protocol.clutter import ANY_CASE, EXACT, PATTERN
from facewire.protocol.formats import EXTENSIONS, FORMATS, HEAD_BYTES, NAMES, VIDEO_EXTENSIONS, VIDEO_FORMATS, Format

_MAX_FORM = 16 * 1024
_LEVEL = 5  # of gzip: half a millisecond
_WRONG_TOKEN = "The server does not know this token. Whoever runs it can give you one."
_NO_VIEW = "This token is good, but nothing on this page is for it."
_NO_RIGHT = "Your token may not use this part of the page."

_VIEWS: Mapping[str, frozenset[str]] = {
    "identify": frozenset(("identify",)),
    "people": frozenset(("enrol", "manage")),
    "albums": frozenset(("albums", "view")),
}
"""The sections, and the rights of which one opens each."""


def _signatures(formats: Iterable[Format]) -> list[list[dict[str, object]]]:
    return [
        [{"offset": magic.offset, "hex": magic.value.hex()} for magic in signature]
        for form in formats
        for signature in form.signatures
    ]


# The files that the page lets people choose. Phones offer their photos only for "image/*".
_ACCEPT = ",".join(("image/*", *sorted(EXTENSIONS)))
_FORMATS = {
    "names": NAMES,
    "accept": _ACCEPT,
    "extensions": sorted(EXTENSIONS),
    "head": HEAD_BYTES,
    "clutter": {"exact": sorted(EXACT), "anyCase": sorted(ANY_CASE), "pattern": f"^(?:{PATTERN})$"},
    "signatures": _signatures(FORMATS),
    "videos": {
        "accept": ",".join((_ACCEPT, "video/mp4", "video/quicktime", *sorted(VIDEO_EXTENSIONS))),
        "extensions": sorted(VIDEO_EXTENSIONS),
        "signatures": _signatures(VIDEO_FORMATS),
    },
}


def _sections(rights: Collection[str]) -> list[str]:
    return [section for section, any_of in _VIEWS.items() if not any_of.isdisjoint(rights)]


async def home(request: Request) -> Response:
    """Redirects to the first view that the token opens."""
    (first, *_) = [*_sections(session_of(request).rights), "login"]
    return RedirectResponse(f"/{first}", 303)


async def identify(request: Request) -> Response:
    """The Identify view."""
    return await _view(request, "identify", "Identify")


async def people(request: Request) -> Response:
    """The gallery."""
    return await _view(request, "people", "People", first=of_gallery)


async def person(request: Request) -> Response:
    """A person of the gallery."""
    return await _view(request, "person", text(request, "name"), section="people")


async def albums(request: Request) -> Response:
    """The albums."""
    return await _view(request, "albums", "Albums")


async def album(request: Request) -> Response:
    """An album."""
    name = text(request, "album")
    return await _view(request, "album", name, section="albums", first=lambda ask, rights: of_album(ask, rights, name))


async def login(request: Request) -> Response:
    """Shows the login form, and handles its submission."""
    if request.method == "GET":
        return _render(request, "login", "Log in", problem="")
    fields = await _fields(request)
    if not session_of(request).is_csrf(fields.get("csrf", "")):
        return _render(request, "login", "Log in", status=403, problem="This form had expired. Try again.")
    gateway, token = gateway_of(request), fields.get("token", "")
    try:
        if not await gateway.asks_for_token():
            return RedirectResponse("/", 303)  # no token to remember
        welcome = await gateway.guesses.try_token(token)
    except Unauthorized:
        return _render(request, "login", "Log in", status=401, problem=_WRONG_TOKEN)
    except FAILURES as reason:
        problem = f"The server can't be reached: {reason}"
        return _render(request, "login", "Log in", status=failure(reason).status_code, problem=problem)
    if not _sections(welcome.rights):
        return _render(request, "login", "Log in", status=403, problem=_NO_VIEW)
    gateway.sessions.forget(session_of(request).id)
    response = RedirectResponse("/", 303)
    set_session(request, response, gateway.sessions.log_in(token, welcome.rights))
    return response


async def logout(request: Request) -> Response:
    """Forgets the token. A form without scripts, so that nobody stays logged in because a script failed."""
    session = session_of(request)
    if not session.is_csrf((await _fields(request)).get("csrf", "")):
        return RedirectResponse("/identify", 303)  # an old or forged form: ignore it
    gateway_of(request).sessions.forget(session.id)
    response = RedirectResponse("/login", 303)
    response.headers["Clear-Site-Data"] = '"storage"'  # deletes pictures still waiting to be uploaded
    return response


async def session(request: Request) -> Response:
    """The session data that views have in their HTML, for the worker that uploads while no view is open."""
    return JSONResponse(
        {"csrf": session_of(request).masked_csrf(), "max_picture": gateway_of(request).settings.max_picture}
    )


async def favicon(_: Request) -> Response:
    """The icon at the URL that browsers request regardless of the HTML."""
    return RedirectResponse("/static/icon.svg", 308)


async def http_error(request: Request, what: Exception) -> Response:
    """HTTP errors such as 404 and 405: JSON for the API, a page for people."""
    assert isinstance(what, HTTPException)
    if request.scope["path"].startswith(("/api/", "/static/")):
        return error(what.status_code, "invalid_request", what.detail)
    return _render(request, "lost", "Nothing here", status=what.status_code)


async def _fields(request: Request) -> dict[str, str]:
    """A form's fields; the first of each name."""
    body = await read_body(request, _MAX_FORM)
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


async def _view(
    request: Request, name: str, title: str, section: str | None = None,
    first: Callable[[Ask, Collection[str]], Awaitable[FirstScreen | None]] | None = None,
) -> Response:  # fmt: skip
    """A view, with its first screen where it has one; or a redirect to the login if the server requires a token. If
    the server is offline, the view says so."""
    try:
        await gateway_of(request).ask(session_of(request), lambda client: client.ping())
        if (section or name) not in _sections(session_of(request).rights):
            return _render(request, "lost", "Not for this token", status=403, section="none", problem=_NO_RIGHT)
        screen = first and await within_patience(first(partial(asked, request), session_of(request).rights))
    except Unauthorized:
        return RedirectResponse("/login", 303)
    except FAILURES:
        return _render(request, name, title, section=section or name, offline=True)
    return _render(request, name, title, section=section or name, first=screen)


def _render(
    request: Request, name: str, title: str, *, status: int = 200, section: str = "", offline: bool = False,
    problem: str = "", first: FirstScreen | None = None,
) -> HTMLResponse:  # fmt: skip
    gateway, session, assets = gateway_of(request), session_of(request), assets_of(request)
    page = TEMPLATES.get_template(f"{name}.html").render(
        title=title,
        view=name,
        sections=_sections(session.rights),
        rights=" ".join(sorted(session.rights)),
        section=section,
        csrf=session.masked_csrf(),
        logged_in=session.token is not None,
        server=str(gateway.settings.server),
        server_port=gateway.settings.server.port,
        offline=offline,
        problem=problem,
        max_picture=gateway.settings.max_picture,
        accept=_ACCEPT,
        formats=_FORMATS,
        asset=assets.address,
        modules=assets.modules(f"js/{name}.js"),
        first=first and first.shown,
        answers=[asdict(answer) for answer in first.answers] if first else [],
        first_styles=Markup(assets.first_styles),
        pictures=PICTURES,
    )
    headers = {"Vary": "Accept-Encoding"}
    if first:
        headers["Content-Security-Policy"] = policy(assets.first_styles)
    if not takes_gzip(request.headers.get("accept-encoding", "")):
        return HTMLResponse(page, status, headers)
    return HTMLResponse(gzip.compress(page.encode(), _LEVEL), status, {**headers, "Content-Encoding": "gzip"})


ROUTES = [
    Route("/", home),
    Route("/identify", identify),
    Route("/people", people),
    Route("/person", person),
    Route("/albums", albums),
    Route("/album", album),
    Route("/login", login, methods=["GET", "POST"]),
    Route("/logout", logout, methods=["POST"]),
    Route("/api/session", session),
]
