"""The API's ASGI application, with its OpenAPI document (`openapi.json`) and a page that shows it (`docs`)."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from facewire.client.web.answers import FAILURES
from facewire.client.web.api import reference_page
from facewire.client.web.api.endpoints import add_operations, failed
from facewire.client.web.api.guard import ApiGuard
from facewire.client.web.api.problems import PREFIX, Problem, problem
from facewire.client.web.bodies import BodyError
from facewire.client.web.gateway import Gateway
from facewire.client.web.settings import WebSettings
from facewire.protocol.errors import ErrorCode
from facewire.protocol.version import VERSION

_DESCRIPTION = (
    "Who is in this picture, and how do they feel? The operations of facewire's wire over HTTP. "
    "Pictures are sent as a file of a form, as the body alone, or as base64 in JSON; no URL is ever fetched."
)


def create_api(settings: WebSettings, gateway: Gateway) -> FastAPI:
    """The API, to be mounted at PREFIX."""
    api = FastAPI(
        title="facewire", version=VERSION, description=_DESCRIPTION, docs_url=None, redoc_url=None,
        exception_handlers={
            BodyError: _failed,
            ClientDisconnect: _left,
            HTTPException: _http_error,
            RequestValidationError: _invalid,
            **dict.fromkeys(FAILURES, _failed),
        },
        middleware=[
            Middleware(ApiGuard, names=settings.names, origins=settings.cors_origins),
            *_cors(settings),
        ],
    )  # fmt: skip
    api.state.gateway = gateway
    add_operations(api)
    reference_page.add_page(api)
    _describe(api)
    return api


def _cors(settings: WebSettings) -> list[Middleware]:
    if not settings.cors_origins:
        return []
    headers = ["Authorization", "Content-Type", "Range"]
    return [
        Middleware(
            CORSMiddleware, allow_origins=sorted(settings.cors_origins), allow_methods=["GET", "POST"],
            allow_headers=headers, expose_headers=["Retry-After", "Content-Disposition"],
        )
    ]  # fmt: skip


def _describe(api: FastAPI) -> None:
    """FastAPI's own document, with what it can't know: the definitions of bodies that we read ourselves, problems, and
    tokens."""

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            document = get_openapi(
                title=api.title, version=api.version, description=api.description, routes=api.routes,
                servers=[{"url": PREFIX}],
            )  # fmt: skip
            components = document.setdefault("components", {})
            schemas = components.setdefault("schemas", {})
            _move_definitions(document["paths"], schemas)
            problem_schema = Problem.model_json_schema()
            schemas["Problem"] = problem_schema
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}, {}]
            api.openapi_schema = document
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _move_definitions(part: Any, schemas: dict[str, Any]) -> None:
    """Moves the definitions of schemas to the document's, and drops FastAPI's own answer to invalid requests."""
    if isinstance(part, list):
        for item in part:
            _move_definitions(item, schemas)
    elif isinstance(part, dict):
        for name, schema in part.pop("$defs", {}).items():
            schemas.setdefault(name, schema)
        if "responses" in part and "default" in part["responses"]:
            part["responses"].pop("422", None)
        for item in part.values():
            _move_definitions(item, schemas)


async def _failed(_: Request, what: Exception) -> Response:
    response = failed(what)
    if isinstance(what, BodyError):
        response.headers["connection"] = "close"  # data still arriving is read and discarded: see connections.py
    return response


async def _left(_: Request, __: Exception) -> Response:
    return Response(status_code=400)  # never read by anybody


async def _http_error(_: Request, what: Exception) -> Response:
    assert isinstance(what, HTTPException)
    code = ErrorCode.UNSUPPORTED_OP if what.status_code in (404, 405) else ErrorCode.INVALID_REQUEST
    response = problem(what.status_code, code, what.detail)
    response.headers.update(what.headers or {})
    return response


async def _invalid(_: Request, what: Exception) -> Response:
    assert isinstance(what, RequestValidationError)
    first = what.errors()[0]
    key = ".".join(str(part)[:40] for part in first["loc"][1:])
    if first["type"] == "extra_forbidden":
        return problem(400, ErrorCode.INVALID_REQUEST, f"unknown key '{key}'")
    return problem(400, ErrorCode.INVALID_REQUEST, f"'{key}': {first['msg'].lower()}")
