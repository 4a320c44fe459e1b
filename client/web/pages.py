"""The HTML: a skeleton for each view, filled by its JavaScript module; login and logout."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from facewire.client.errors import Unauthorized
from facewire.client.web.answers import FAILURES, error, failure
from facewire.client.web.bodies import read_body, text
from facewire.client.web.gateway import gateway_of, session_of
from facewire.client.web.guard import csrf_is_right, set_session
from facewire.protocol.clutter import ANY_CASE, EXACT, PATTERN
from facewire.protocol.formats import EXTENSIONS, FORMATS, HEAD_BYTES, NAMES

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined
)
_MAX_FORM = 16 * 1024
_WRONG_TOKEN = "The server does not know this token. It is the one in its FACEWIRE_TOKEN."

# The files that the page lets people choose. Phones offer their photos only for "image/*".
_ACCEPT = ",".join(("image/*", *sorted(EXTENSIONS)))
_FORMATS = json.dumps(
    {
        "names": NAMES,
        "accept": _ACCEPT,
        "extensions": sorted(EXTENSIONS),
        "head": HEAD_BYTES,
        "clutter": {"exact": sorted(EXACT), "anyCase": sorted(ANY_CASE), "pattern": f"^(?:{PATTERN})$"},
        "signatures": [
            [{"offset": magic.offset, "hex": magic.value.hex()} for magic in signature]
            for form in FORMATS
            for signature in form.signatures
        ],
    }
)


async def home(_: Request) -> Response:
    """Redirects to Identify."""
    return RedirectResponse("/identify", 303)


async def identify(request: Request) -> Response:
    """The Identify view."""
    return await _view(request, "identify", "Identify")


async def people(request: Request) -> Response:
    """The gallery."""
    return await _view(request, "people", "People")


async def person(request: Request) -> Response:
    """A person of the gallery."""
    return await _view(request, "person", text(request, "name"), section="people")


async def albums(request: Request) -> Response:
    """The albums."""
    return await _view(request, "albums", "Albums")


async def album(request: Request) -> Response:
    """An album."""
    return await _view(request, "album", text(request, "album"), section="albums")


async def login(request: Request) -> Response:
    """Shows the login form, and handles its submission."""
    if request.method == "GET":
        return _render(request, "login", "Log in", problem="")
    fields = await _fields(request)
    if not csrf_is_right(fields.get("csrf", ""), session_of(request)):
        return _render(request, "login", "Log in", status=403, problem="This form was too old. Try once more.")
    gateway, token = gateway_of(request), fields.get("token", "")
    response = RedirectResponse("/identify", 303)
    try:
        if not await gateway.asks_for_token():
            return response  # no token to remember
        await gateway.guesses.try_token(token)
    except Unauthorized:
        return _render(request, "login", "Log in", status=401, problem=_WRONG_TOKEN)
    except FAILURES as reason:
        problem = f"The server can't be asked: {reason}"
        return _render(request, "login", "Log in", status=failure(reason).status_code, problem=problem)
    gateway.sessions.forget(session_of(request).id)
    set_session(request, response, gateway.sessions.log_in(token))
    return response


async def logout(request: Request) -> Response:
    """Forgets the token. A form without scripts, so that nobody stays logged in because a script failed."""
    session = session_of(request)
    if not csrf_is_right((await _fields(request)).get("csrf", ""), session):
        return RedirectResponse("/identify", 303)  # an old or forged form: ignore it
    gateway_of(request).sessions.forget(session.id)
    response = RedirectResponse("/login", 303)
    response.headers["Clear-Site-Data"] = '"storage"'  # deletes pictures still waiting to be uploaded
    return response


async def session(request: Request) -> Response:
    """The session data that views have in their HTML, for the worker that uploads while no view is open."""
    return JSONResponse({"csrf": session_of(request).csrf, "max_picture": gateway_of(request).settings.max_picture})


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


async def _view(request: Request, name: str, title: str, section: str | None = None) -> Response:
    """A view, or a redirect to the login if the server requires a token. If the server is offline, the view says so."""
    try:
        await gateway_of(request).ask(session_of(request), lambda client: client.ping())
    except Unauthorized:
        return RedirectResponse("/login", 303)
    except FAILURES:
        return _render(request, name, title, section=section or name, offline=True)
    return _render(request, name, title, section=section or name)


def _render(
    request: Request, name: str, title: str, *, status: int = 200, section: str = "", offline: bool = False,
    problem: str = "",
) -> HTMLResponse:  # fmt: skip
    gateway, session = gateway_of(request), session_of(request)
    host, port = gateway.settings.server
    page = _TEMPLATES.get_template(f"{name}.html").render(
        title=title,
        view=name,
        section=section,
        csrf=session.csrf,
        logged_in=session.token is not None,
        server=f"{host}:{port}",
        server_port=port,
        offline=offline,
        problem=problem,
        max_picture=gateway.settings.max_picture,
        accept=_ACCEPT,
        formats=_FORMATS,
    )
    return HTMLResponse(page, status)


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
