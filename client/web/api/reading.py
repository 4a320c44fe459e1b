"""Reads a request of the API as the wire's request: from the address, from JSON, from a form, or from bytes alone.

Nothing is ever fetched: a picture is sent, and a URL in its place is refused.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, NoReturn, Union, get_args, get_origin, get_type_hints

from starlette.datastructures import UploadFile
from starlette.requests import Request

from facewire.client.web.api.table import Route
from facewire.client.web.bodies import BodyError, check_plain, parse_json, read_body
from facewire.client.web.forms import read_form
from facewire.protocol.gallery_messages import MAX_IMAGES

MAX_FIELDS = 200  # parts of a form that are not files: a hundred labels, and more
# The wire's limits for a request: a message beyond them costs its connection, which others share.
_MAX_ELEMENTS = 16_384
_MAX_LIST = 4_096
_MAX_TEXT = 4_096  # bytes of UTF-8
_MAX_MARKS = 4 * _MAX_ELEMENTS  # commas and brackets, of which some may be in texts
_JSON = "application/json"
_FORM = "multipart/form-data"
_BYTES = re.compile(r"(image|video)/.*|application/(octet-stream|zip)")
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

Keys = dict[str, Any]


async def read_keys(request: Request, route: Route, keys: Mapping[str, Any], in_address: Keys, limit: int) -> Keys:
    """The keys of a request with their plain values, as from_plain takes them; `keys`: those there are, with their
    types; `limit`: bytes of all pictures together. Raises BodyError."""
    given = {} if route.method == "GET" else await _body(request, route.raw if route.raw in keys else None, keys, limit)
    twice = sorted(given.keys() & in_address)
    if twice:
        _refuse(f"'{twice[0]}' is in the address and in the body")
    found = {**in_address, **given}
    check_plain(found, "this")
    _check_size(found)
    return found


async def _body(request: Request, raw: str | None, keys: Mapping[str, Any], limit: int) -> Keys:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _JSON:
        said = await read_body(request, _as_base64(limit))
        return await asyncio.to_thread(_from_json, said, keys)
    if kind == _FORM:
        return await _from_form(request, keys, limit)
    if raw is not None and _BYTES.fullmatch(kind):
        return {raw: await read_body(request, limit)}
    ways = f"{_JSON}, or {_FORM}" + (", or the file alone as image/* or application/octet-stream" if raw else "")
    raise BodyError(415, "invalid_request", f"the request body must be {ways}")


def _as_base64(size: int) -> int:
    return size * 4 // 3 + 256 * 1024  # and the other keys


def _from_json(said: bytes, keys: Mapping[str, Any]) -> Keys:
    # Counted before any object is made: 30 MB of empty lists would become a gigabyte
    if sum(map(said.count, (b",", b"[", b"{"))) > _MAX_MARKS:
        raise BodyError(413, "too_large", f"this has more than {_MAX_ELEMENTS} values")
    value = parse_json(said, "this")
    if not isinstance(value, dict):
        _refuse("send a JSON object")
    _no_urls(value, keys)
    return {key: with_bytes(keys[key], item, key, _decoded) if key in keys else item for key, item in value.items()}


async def _from_form(request: Request, keys: Mapping[str, Any], limit: int) -> Keys:
    form = await read_form(request, limit, max_files=MAX_IMAGES, max_fields=MAX_FIELDS)
    try:
        files: dict[str, list[bytes]] = {}
        texts: dict[str, list[str]] = {}
        for name, item in form.multi_items():
            if isinstance(item, UploadFile):
                files.setdefault(name, []).append(await item.read())
            else:
                texts.setdefault(name, []).append(item)
    finally:
        await form.close()
    _no_urls(texts, keys)
    named = set[str]()

    def file(name: object, path: str) -> bytes:
        if not isinstance(name, str) or len(files.get(name, [])) != 1:
            _refuse(f"'{path}' must be the name of one file of this form")
        named.add(name)
        return files[name][0]

    found: Keys = {
        key: with_bytes(keys[key], _from_texts(keys[key], each, key), key, file) if key in keys else each
        for key, each in texts.items()
    }
    for key, each in files.items():
        if key not in named or key in keys:
            found[key] = each if _is_list(_bare(keys.get(key))) else _only(each, key)
    return found


def _from_texts(hint: Any, texts: Sequence[str], key: str) -> Any:
    """The value of a form's fields of one name: JSON, but for text; a list may also be given as several fields."""
    bare = _bare(hint)
    if not _is_list(bare):
        return _from_text(bare, _only(texts, key), key)
    (item, *_) = get_args(bare)
    if len(texts) == 1 and texts[0].lstrip().startswith("["):
        return parse_json(texts[0], f"'{key}'")
    return [_from_text(_bare(item), each, key) for each in texts]


def _from_text(bare: Any, text: str, key: str) -> Any:
    takes_text = bare is str or (get_args(bare) and all(isinstance(one, str) for one in _literals(bare)))
    return text if takes_text else parse_json(text, f"'{key}'")


def _literals(hint: Any) -> list[Any]:
    return [one for each in get_args(hint) for one in (_literals(each) if get_args(each) else [each])]


def with_bytes(hint: Any, value: Any, path: str, read: Any) -> Any:
    """The same with bytes wherever the type has them, by `read(value, path)`."""
    bare = _bare(hint)
    if bare is bytes:
        return None if value is None else read(value, path)
    if _is_list(bare) and isinstance(value, list):
        (item, *_) = get_args(bare)
        return [with_bytes(item, each, f"{path}[{n}]", read) for n, each in enumerate(value)]
    if is_dataclass(bare) and isinstance(value, dict):
        hints = get_type_hints(bare)
        known = {each.name for each in fields(bare)}
        return {
            key: with_bytes(hints[key], each, f"{path}.{key}", read) if key in known else each
            for key, each in value.items()
        }
    return value


def _decoded(value: object, path: str) -> bytes:
    if not isinstance(value, str):
        _refuse(f"'{path}' must be a picture's bytes as base64")
    data_url = _DATA_URL.match(value[:200])
    if data_url is None and _URL.match(value[:40]):
        _refuse(f"'{path}' is a URL, and none is fetched: send the picture's bytes as base64")
    try:
        return base64.b64decode(value[data_url.end() if data_url else 0 :], validate=True)
    except (binascii.Error, ValueError):
        _refuse(f"'{path}' is not base64")


def _no_urls(given: Mapping[str, object], keys: Mapping[str, Any]) -> None:
    for key in given:
        if key not in keys and "url" in key.lower():
            _refuse(f"unknown key '{key[:40]}': no URL is fetched; send the picture's bytes")


def _bare(hint: Any) -> Any:
    """A type without its ranges, and without None."""
    if get_origin(hint) is Annotated:
        return _bare(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType):
        (inner, *_) = (one for one in get_args(hint) if one is not types.NoneType)
        return _bare(inner)
    return hint


def _is_list(bare: Any) -> bool:
    return get_origin(bare) is tuple


def _only(each: Sequence[Any], key: str) -> Any:
    if len(each) != 1:
        _refuse(f"'{key[:40]}' was given {len(each)} times")
    return each[0]


def _check_size(value: object) -> None:
    """Holds a request to the wire's limits."""
    left, count = [value], 0
    while left:
        item = left.pop()
        if isinstance(item, str) and len(item.encode()) > _MAX_TEXT:
            raise BodyError(413, "too_large", f"a text value exceeds {_MAX_TEXT} bytes")
        if isinstance(item, (list, dict)):
            count += len(item)
            if len(item) > _MAX_LIST or count > _MAX_ELEMENTS:
                raise BodyError(
                    413,
                    "too_large",
                    f"a list has more than {_MAX_LIST} values, or the request more than {_MAX_ELEMENTS}",
                )
            left += item if isinstance(item, list) else item.values()


def _refuse(message: str) -> NoReturn:
    raise BodyError(400, "invalid_request", message)


def in_address(given: object) -> Keys:
    """What a query model read, without what was not given."""
    dump = getattr(given, "model_dump", None)
    found: Keys = {} if dump is None else json.loads(json.dumps(dump(exclude_unset=True)))
    return found
