"""What a request to DeepFace's API asks for: its fields, and its pictures.

They come as JSON, as a form, or as a form with files. Pictures are the files themselves or data URIs; no URL is fetched
and no path opened.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from facewire.client.web.bodies import parse_json, read_body

Embedding = list[float]

_NO = frozenset({"", "false", "0", "no", "off", "none", "null"})
_ROOM = 64 * 1024  # of a request besides its pictures
_MOST_PICTURES = 16
_MOST_FIELDS = 32
_DETECTORS = ("yunet", "skip")
_HOW = "send the picture itself: as a file of a form, or as data:image/jpeg;base64,... in JSON"


class NoPicture(Exception):
    """The request has no picture where one belongs. DeepFace answers this under another key than Refused."""


class Refused(Exception):
    """Something was asked for that is not possible here; the message names it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`fields`: by name, as they were sent; `files`: the pictures of a form."""

    fields: Mapping[str, object]
    files: Mapping[str, bytes]

    def picture(self, key: str) -> bytes:
        """One picture. Raises NoPicture and Refused."""
        found = self.picture_or_embedding(key)
        if isinstance(found, list):
            raise Refused(f"'{key}' is a list: one picture is needed")
        return found

    def picture_or_embedding(self, key: str) -> bytes | Embedding:
        """One picture, or an embedding. Raises NoPicture and Refused."""
        if self.files:
            if key not in self.files:
                raise NoPicture(f"Request form data doesn't have {key}")
            if not self.files[key]:
                raise NoPicture(f"No file uploaded for '{key}'")
            return self.files[key]
        said = self._said(key)
        if isinstance(said, list) and all(isinstance(one, int | float) for one in said):
            return [float(one) for one in said]
        return _picture(key, said)

    def pictures(self, key: str) -> list[bytes]:
        """One picture or a list of them. Raises NoPicture and Refused."""
        said = None if self.files else self._said(key)
        if not isinstance(said, list):
            return [self.picture(key)]
        if len(said) > _MOST_PICTURES:
            raise Refused(f"'{key}' has {len(said)} pictures; {_MOST_PICTURES} are taken at a time")
        return [_picture(key, one) for one in said]

    def is_list(self, key: str) -> bool:
        """Are there several pictures?"""
        return isinstance(self.fields.get(key), list)

    def text(self, key: str) -> str | None:
        """A text; None: not said. Raises Refused."""
        said = self.fields.get(key)
        if said is not None and not isinstance(said, str):
            raise Refused(f"'{key}' must be a string")
        return said

    def flag(self, key: str, default: bool) -> bool:
        """True or false; of a form, also as a word."""
        said = self.fields.get(key, default)
        return said.strip().lower() not in _NO if isinstance(said, str) else bool(said)

    def number(self, key: str, *, least: int) -> int | None:
        """A whole number; None: not said. Raises Refused."""
        said = self.fields.get(key)
        if said is None:
            return None
        if isinstance(said, str) and said.strip().lstrip("-").isdecimal() and len(said) <= 10:
            said = int(said)
        if isinstance(said, bool) or not isinstance(said, int) or said < least:
            raise Refused(f"'{key}' must be a whole number from {least} up")
        return said

    @property
    def detector(self) -> str:
        """How faces are found. Raises Refused."""
        said = self.text("detector_backend")
        if said not in (None, *_DETECTORS):
            raise Refused(
                f"detector_backend '{said}' is not available: faces are found with 'yunet', or taken for granted with"
                " 'skip'; leave it out, or name one of these"
            )
        return said or "yunet"

    def _said(self, key: str) -> object:
        said = self.fields.get(key)
        if not said:
            where = "either json or form data request" if self.fields else "request in either json or form data"
            raise NoPicture(f"'{key}' not found in {where}")
        return said


async def asked_by(request: Request, largest: int) -> Asked:
    """Reads a request; `largest`: bytes of a picture. Raises BodyError and NoPicture."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_body(request, 2 * (largest * 4 // 3 + _ROOM))  # two pictures in base64
    if kind == "application/json":
        said = parse_json(body, "this")
        if not isinstance(said, dict):
            raise NoPicture("empty input set passed")
        return Asked(said, {})
    if kind == "application/x-www-form-urlencoded":
        return _urlencoded(body)
    if kind == "multipart/form-data":
        return await _form(request.headers, body)
    return Asked({}, {})


def _urlencoded(body: bytes) -> Asked:
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise NoPicture(f"the form can't be read: {error}") from error
    return Asked({name: values[0] for name, values in fields.items()}, {})


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 40  # the body is in memory and bounded already: pictures are never written to a disk


async def _form(headers: Headers, body: bytes) -> Asked:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    try:
        parser = _InMemory(headers, pieces(), max_files=2, max_fields=_MOST_FIELDS, max_part_size=max(1, len(body)))
        form = await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise NoPicture(f"the form can't be read: {getattr(error, 'message', error)}") from error
    items = form.multi_items()
    files = {name: await value.read() for name, value in items if isinstance(value, UploadFile)}
    await form.close()
    return Asked({name: value for name, value in items if isinstance(value, str)}, files)


def _picture(key: str, said: object) -> bytes:
    if not isinstance(said, str):
        raise Refused(f"'{key}' must be a string or a file")
    if not said.startswith("data:image/"):
        if said.lower().startswith(("http://", "https://", "ftp://", "file:")):
            raise Refused(f"'{key}' is a URL, and this server fetches none: {_HOW}")
        raise Refused(f"'{key}' is no data URI, and this server opens no file by its path: {_HOW}")
    _, comma, encoded = said.partition(",")
    if not comma:
        raise Refused(f"'{key}': format error in base64 encoded string")
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"'{key}' is not base64: {error}") from error
