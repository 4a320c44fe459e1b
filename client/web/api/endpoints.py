"""The routes of the table, as FastAPI's."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import make_dataclass
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field, create_model
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from facewire.client.face_client import FaceClient
from facewire.client.web.answers import FAILURES, told
from facewire.client.web.api import problems
from facewire.client.web.api.downloads import download
from facewire.client.web.api.models import BASE64, answer_model, query_model, request_model, to_json
from facewire.client.web.api.reading import Keys, in_address, read_keys
from facewire.client.web.api.table import ROUTES, Route
from facewire.client.web.api.tokens import token_of
from facewire.client.web.bodies import BodyError
from facewire.client.web.gateway import gateway_of
from facewire.client.web.originals import original
from facewire.client.web.pictures import picture
from facewire.client.web.pool import Overloaded
from facewire.protocol.albums.looking import AlbumPhoto, AlbumPicture
from facewire.protocol.gallery_messages import MAX_IMAGES
from facewire.protocol.messages import RequestBody
from facewire.protocol.schema import from_plain

MAX_SLOW = 4  # at a time; each occupies one of a token's sixteen threads
BATCH_WINDOW = 4  # pictures of one request under way at once, so that it leaves threads to others

Endpoint = Callable[..., Coroutine[Any, Any, Response]]


def add_operations(api: FastAPI) -> None:
    """Adds every route of the table."""
    slow = asyncio.Semaphore(MAX_SLOW)
    for route in ROUTES:
        _add(api, route, route.path, _operation(route, slow), _answers(route))
        if route.batch:
            _add(api, route, f"{route.path}/batch", _batch(route), _batch_answers(route), batch=True)


def _add(api: FastAPI, route: Route, path: str, endpoint: Endpoint, answers: Any, *, batch: bool = False) -> None:
    name = f"{route.op}.batch" if batch else route.op
    doc = inspect.cleandoc(route.shape.__doc__ or "")
    body = None
    if route.method == "POST":
        model, raw = (_batch_model(route), None) if batch else (request_model(route), route.raw)
        body = {"requestBody": _bodies(model, raw)}
    api.add_api_route(
        path, endpoint, methods=[route.method], name=name, operation_id=name, openapi_extra=body,
        summary=f"{name}: {doc.splitlines()[0]}", description=doc, tags=[path.split("/")[1]],
        responses={**answers, "default": _PROBLEM}, response_class=Response,
    )  # fmt: skip


_PROBLEM: dict[str, Any] = {
    "description": "A problem (RFC 9457)",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def _answers(route: Route) -> dict[int | str, Any]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    if route.sends == "json":
        return {200: {"description": "The answer", "model": answer_model(route)}}
    kinds = {"zip": ["application/zip"], "original": ["image/*", "video/*", "application/octet-stream"]}.get(
        route.sends, ["image/*", "application/octet-stream"]
    )
    found: dict[int | str, Any] = {200: {"description": "The file", "content": dict.fromkeys(kinds, binary)}}
    if route.sends in ("zip", "original"):
        found[206] = {"description": "The part of the file that was asked for", "content": dict.fromkeys(kinds, binary)}
    return found


def _operation(route: Route, slow: asyncio.Semaphore) -> Endpoint:
    async def operate(request: Request, given: object = None) -> Response:
        gateway, token = gateway_of(request), token_of(request)
        keys = await read_keys(request, route, route.keys, in_address(given), gateway.settings.max_picture)
        body: RequestBody = from_plain(route.shape, {**keys, **route.fixed}, strict=True)
        ask = partial(gateway.ask_as, token, changes=not route.shape.repeatable)
        if route.sends == "zip":
            return await download(request, keys["export"], ask)
        if isinstance(body, AlbumPhoto) and not body.size:
            return await original(request, body.album, body.photo, ask)
        answer = await (_few(slow, partial(ask, partial(_asked, body))) if route.slow else ask(partial(_asked, body)))
        return picture(answer.image) if isinstance(answer, AlbumPicture) else JSONResponse(to_json(answer))

    return _signed(operate, query_model(route))


async def _few(slow: asyncio.Semaphore, ask: Callable[[], Awaitable[Any]]) -> Any:
    if slow.locked():
        raise Overloaded("too many long operations are under way; try again later")
    async with slow:
        return await ask()


def _asked(body: RequestBody, client: FaceClient) -> Any:
    return client.ask(body)


def _signed(endpoint: Endpoint, query: type[BaseModel] | None) -> Endpoint:
    """The endpoint with the signature that FastAPI reads: the keys in the address as a model."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    wanted = [inspect.Parameter("request", kind, annotation=Request)]
    if query is not None:
        wanted.append(inspect.Parameter("given", kind, annotation=Annotated[query, Query()]))
    endpoint.__signature__ = inspect.Signature(wanted)  # type: ignore[attr-defined]
    return endpoint


# ---- several pictures in one request


def _batch_keys(route: Route) -> dict[str, Any]:
    return {"images": tuple[bytes, ...], **route.shared_keys}


def _batch_model(route: Route) -> type[BaseModel]:
    single = request_model(route)
    others: dict[str, Any] = {
        key: (each.annotation, each) for key, each in single.model_fields.items() if key != "image"
    }
    images: Any = (list[BASE64], Field(min_length=1, max_length=MAX_IMAGES))
    return create_model(f"{route.shape.__name__}Batch", __config__=single.model_config, images=images, **others)


def _batch_answers(route: Route) -> dict[int | str, Any]:
    result: Any = (answer_model(route) | None, ...)
    one = create_model(
        f"{route.shape.__name__}Outcome",
        __doc__="`result`, or why there is none: `problem`.",
        status=(int, ...), result=result, problem=(problems.Problem | None, ...),
    )  # fmt: skip
    several = create_model(f"{route.shape.__name__}Outcomes", results=(list[one], ...))  # type: ignore[valid-type]
    return {200: {"description": "One result per picture, in order", "model": several}}


def _batch(route: Route) -> Endpoint:
    keys = _batch_keys(route)
    shape = make_dataclass("Batch", [("images", keys["images"])])

    async def operate(request: Request) -> Response:
        gateway, token = gateway_of(request), token_of(request)
        given = await read_keys(request, route, keys, {}, gateway.settings.max_picture)
        images = from_plain(shape, {"images": given.pop("images", None)}, strict=True).images
        if not 1 <= len(images) <= MAX_IMAGES:
            raise BodyError(400, "invalid_request", f"'images' must be 1 to {MAX_IMAGES} pictures, not {len(images)}")
        bodies = [_one(route, given, image) for image in images]
        window = asyncio.Semaphore(BATCH_WINDOW)

        async def outcome(body: RequestBody) -> dict[str, object]:
            async with window:
                try:
                    answer = await gateway.ask_as(token, partial(_asked, body))
                except FAILURES as what:
                    why = told(what)
                    return {"status": why[0], "result": None, "problem": problems.plain(*why)}
            return {"status": HTTPStatus.OK, "result": to_json(answer), "problem": None}

        return JSONResponse({"results": await asyncio.gather(*map(outcome, bodies))})

    return _signed(operate, None)


def _one(route: Route, given: Keys, image: bytes) -> RequestBody:
    body: RequestBody = from_plain(route.shape, {**given, "image": image}, strict=True)
    return body


# ---- the document


def _bodies(model: type[BaseModel], raw: str | None) -> dict[str, Any]:
    """How a body may be sent. Definitions are moved to the document's components by app.py."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    content: dict[str, Any] = {
        "application/json": {"schema": schema},
        "multipart/form-data": {"schema": _as_form(schema)},
    }
    if raw is not None:
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return {"required": True, "content": content}


def _as_form(schema: Any) -> Any:
    """The same with files in place of base64."""
    if isinstance(schema, list):
        return [_as_form(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("contentEncoding") == "base64":
        return {"type": "string", "format": "binary"}
    return {key: _as_form(item) for key, item in schema.items() if key != "$defs"}


def failed(what: Exception) -> JSONResponse:
    """BodyError, or one of FAILURES, as an answer."""
    if isinstance(what, BodyError):
        return problems.problem(what.status, what.code, str(what), what.retry_after_ms)
    return problems.failure(what)
