"""Pictures in (identify, detect, enrol, albums) and out (crops, thumbnails, originals)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar, get_args
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facewire.client.face_client import FaceClient
from facewire.client.web.answers import error, result
from facewire.client.web.bodies import BodyError, number, read_body, text
from facewire.client.web.gateway import gateway_of, session_of
from facewire.protocol.albums.adding import LARGEST_SIDECAR, MAX_SIDECARS, AlbumAddVideo, AlbumAddZip
from facewire.protocol.formats import format_of
from facewire.protocol.gallery_messages import Acceptable

Answer = TypeVar("Answer")

CANDIDATES = 5  # as many as fit next to a face
MAX_PIECE = 8 * 1024 * 1024  # bytes of a piece of a ZIP or a video; the page sends 2 MiB

# Formats shown as pictures; others are offered as files to save. Judged by the first bytes, as names and types are
# untrusted.
_SHOWN = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF")
KEEP = "private, max-age=86400, immutable"  # ids are never reused, so the content never changes


def picture_type(data: bytes) -> str | None:
    """The MIME type of a picture that browsers can show; None for anything else."""
    form = format_of(data)
    return form.mime if form is not None and form.key in _SHOWN else None


def picture(data: bytes, *, cache: str = KEEP) -> Response:
    """A picture as an answer."""
    kind = picture_type(data)
    if kind is None:
        headers = {"Content-Disposition": "attachment", "Cache-Control": cache}
        return Response(data, media_type="application/octet-stream", headers=headers)
    return Response(data, media_type=kind, headers={"Cache-Control": cache})


async def identify(request: Request) -> JSONResponse:
    """Identifies the faces in the uploaded picture."""
    image = await _image(request)
    wanted = min(number(request, "k", CANDIDATES), 100)
    return result(await _ask(request, lambda client: client.identify(image, k=max(1, wanted))))


async def detect(request: Request) -> JSONResponse:
    """Finds the faces in the uploaded picture."""
    image = await _image(request)
    return result(await _ask(request, lambda client: client.detect(image)))


async def enrol(request: Request) -> JSONResponse:
    """Adds the picture to `name`. `x`, `y`: a point in the face that is meant, if there are several; `accept`: reasons
    that don't prevent enrolment, comma-separated. A refused picture is listed in the answer's `rejected`."""
    name, label = text(request, "name"), text(request, "label", "")
    points = [(_coordinate(request, "x"), _coordinate(request, "y"))] if "x" in request.query_params else []
    labels, accept = [label] if label else [], _reasons(request)
    image = await _image(request)
    # Sent as a list of one: for a single `image`, the reasons would only come as an error message.
    answer = await _ask(
        request,
        lambda client: client.enrol_many(name, [image], labels=labels, accept=accept, points=points),
        changes=True,
    )
    return result(answer)


async def template_crop(request: Request) -> Response:
    """The crop of a person's first template or, with `template`, of the one with that number, whoever has it by now."""
    name, template = text(request, "name"), number(request, "template", 0)
    shown = await _ask(
        request, lambda client: client.template(name, template) if template else client.show(name, limit=1)
    )
    if not shown.templates or shown.templates[0].crop is None:
        return error(404, "unknown_template", "no picture of this face is kept")
    return picture(shown.templates[0].crop, cache=KEEP if template else "private, no-cache")


async def add_photo(request: Request) -> JSONResponse:
    """Adds the uploaded photo to an album. `modified`: its file's time; `sidecars`: the sizes of XMP files that follow
    it in the body."""
    album, name, modified = text(request, "album"), text(request, "name"), text(request, "modified", "")
    metadata, sizes = _ticked(request, "metadata"), _sizes(request)
    body = await _image(request, sum(sizes))
    image, sidecars = _parts(body, sizes)
    answer = await _ask(
        request,
        lambda client: client.albums.add(album, name, image, modified=modified, metadata=metadata, sidecars=sidecars),
        changes=True,
    )
    return result(answer)


async def add_zip_piece(request: Request) -> JSONResponse:
    """Forwards a piece of a ZIP at once, so the page never holds more than one piece."""
    piece = AlbumAddZip(
        text(request, "album"),
        await read_body(request, MAX_PIECE),
        text(request, "upload", ""),
        number(request, "offset", 0),
        _ticked(request, "last"),
        _ticked(request, "metadata"),
    )
    return result(await _ask(request, lambda client: client.ask(piece), changes=True))


async def add_video_piece(request: Request) -> JSONResponse:
    """Forwards a piece of a video of `size` bytes at once, as of a ZIP."""
    album, name, size = text(request, "album"), text(request, "name"), number(request, "size")
    upload, offset = text(request, "upload", ""), number(request, "offset", 0)
    data = await read_body(request, MAX_PIECE)
    if offset < 0 or offset + len(data) > size:
        raise BodyError(400, "invalid_request", "the piece ends behind the 'size' of the video")
    piece = AlbumAddVideo(album, name, size, data, upload, offset, text(request, "modified", ""))
    return result(await _ask(request, lambda client: client.ask(piece), changes=True))


async def album_face(request: Request) -> Response:
    """A crop of a face of an album."""
    album, face, size = text(request, "album"), number(request, "face"), number(request, "size", 160)
    return picture((await _ask(request, lambda client: client.albums.face(album, face, size))).image)


def attachment(name: str) -> str:
    """Content-Disposition for a file of that name: RFC 6266, the name in UTF-8, percent-encoded."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return f"attachment; filename*=UTF-8''{quote(last or 'photo', safe='')}"


def _sizes(request: Request) -> list[int]:
    given = [size for size in text(request, "sidecars", "").split(",") if size]
    right = len(given) <= MAX_SIDECARS and all(_SIZE.fullmatch(size) for size in given)
    sizes = [int(size) for size in given] if right else []
    if not right or any(size > LARGEST_SIDECAR for size in sizes):
        raise BodyError(400, "invalid_request", f"'sidecars' must be up to {MAX_SIDECARS} sizes of XMP files")
    return sizes


_SIZE = re.compile(r"[0-9]{1,8}")


def _parts(body: bytes, sizes: list[int]) -> tuple[bytes, list[bytes]]:
    """The picture, and the XMP files of these sizes behind it."""
    at = len(body) - sum(sizes)
    if at <= 0:
        raise BodyError(400, "invalid_request", "'sidecars' are larger than the whole request")
    image, sidecars = body[:at], []
    for size in sizes:
        sidecars.append(body[at : at + size])
        at += size
    return image, sidecars


async def _image(request: Request, more: int = 0) -> bytes:
    """The body: a picture, followed by at most `more` bytes."""
    image = await read_body(request, gateway_of(request).settings.max_picture + more)
    if not image:
        raise BodyError(400, "invalid_request", "there is no picture in this request")
    return image


async def _ask(request: Request, question: Callable[[FaceClient], Answer], *, changes: bool = False) -> Answer:
    return await gateway_of(request).ask(session_of(request), question, changes=changes)


def _reasons(request: Request) -> list[Acceptable]:
    given = [reason for reason in text(request, "accept", "").split(",") if reason]
    known: list[Acceptable] = [reason for reason in get_args(Acceptable) if reason in given]
    if len(known) < len(set(given)):
        raise BodyError(400, "invalid_request", f"'accept' must be among {', '.join(get_args(Acceptable))}")
    return known


def _ticked(request: Request, key: str) -> bool:
    return text(request, key, "0") == "1"


def _coordinate(request: Request, key: str) -> float:
    try:
        value = float(text(request, key))
    except ValueError:
        raise BodyError(400, "invalid_request", f"'{key}' must be a number") from None
    if not 0 <= value <= 100_000:
        raise BodyError(400, "invalid_request", f"'{key}' is outside any picture")
    return value


ROUTES = [
    Route("/api/identify", identify, methods=["POST"]),
    Route("/api/detect", detect, methods=["POST"]),
    Route("/api/enrol", enrol, methods=["POST"]),
    Route("/api/crop", template_crop),
    Route("/api/album/add", add_photo, methods=["POST"]),
    Route("/api/album/zip", add_zip_piece, methods=["POST"]),
    Route("/api/album/video", add_video_piece, methods=["POST"]),
    Route("/api/album/face", album_face),
]
