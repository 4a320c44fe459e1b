"""The page that shows the OpenAPI document: plain HTML and a style sheet of our own, without scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_FOLDER = Path(__file__).with_name("reference")
_TEMPLATES = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined)


def add_page(api: FastAPI) -> None:
    """Adds the page and its style sheet."""

    @api.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        document = api.openapi()
        operations = [
            {**operation, "method": method.upper(), "path": path, "keys": _keys(operation)}
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]
        return HTMLResponse(
            _TEMPLATES.get_template("docs.html").render(
                info=document["info"],
                root=document["servers"][0]["url"],
                operations=operations,
                schemas=document["components"]["schemas"],
            )
        )

    @api.get("/docs.css", include_in_schema=False)
    async def style() -> Response:
        return Response((_FOLDER / "docs.css").read_bytes(), media_type="text/css")


def _keys(operation: dict[str, Any]) -> list[dict[str, str]]:
    """The keys of a request, from its address or its body."""
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return [
            {"name": each["name"], "type": _type(each["schema"]), "required": "required" if each["required"] else ""}
            for each in operation.get("parameters", [])
        ]
    schema = content["application/json"]["schema"]
    required = schema.get("required", ())
    return [
        {"name": name, "type": _type(each), "required": "required" if name in required else ""}
        for name, each in schema.get("properties", {}).items()
    ]


def type_of(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    return _type(schema)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("contentEncoding") == "base64":
        return "picture"
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        inner = schema["prefixItems"] if "prefixItems" in schema else [schema.get("items", {})]
        return f"[{', '.join(_type(each) for each in inner)}]"
    if "minimum" in schema or "maximum" in schema:
        return f"{schema.get('type')} ({schema.get('minimum', '')} to {schema.get('maximum', '')})"
    return str(schema.get("const", schema.get("type", "any")))


_TEMPLATES.filters["type_of"] = type_of
