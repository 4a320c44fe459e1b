"""The page's own files: read, hashed and compressed once, at the start.

Pages name them below a hash of all of them (`/static/HASH/js/album.js`), so a browser may keep them for a year, and
relative imports stay within one version. `/static/js/album.js` is the newest, revalidated at each use: the upload
worker needs an address that stays.
"""

from __future__ import annotations

import gzip
import hashlib
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

STATIC = Path(__file__).with_name("static")

# Not the system's own table, which may lack them: with nosniff, browsers refuse modules of any other type.
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
KEEP = "public, max-age=31536000, immutable"
_ASK = "no-cache"  # kept, but revalidated by ETag
_VERSION = re.compile(r"([0-9a-f]{16})/(.+)")
_IMPORT = re.compile(r'(?:^|;)(?:import|export)\b(?:[^;"=]*\bfrom)?\s*"(\.\.?/[^"]+)"', re.MULTILINE)
_FIRST = re.compile(r"/\* first: \*/(.*?)/\* :first \*/", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file; `packed` is the same in gzip."""

    type: str
    body: bytes
    packed: bytes
    digest: str

    @classmethod
    def of(cls, kind: str, body: bytes) -> Asset:
        """Compresses it."""
        return cls(kind, body, gzip.compress(body, 9, mtime=0), hashlib.sha256(body).hexdigest()[:16])

    def answer(self, headers: Headers, cache: str) -> Response:
        """The file as the browser takes it, or that the browser has it."""
        packed = len(self.packed) < len(self.body) and takes_gzip(headers.get("accept-encoding", ""))
        tag = f'"{self.digest}{"-gzip" if packed else ""}"'
        named = {"Cache-Control": cache, "ETag": tag, "Vary": "Accept-Encoding"}
        if is_known(headers, tag):
            return Response(status_code=304, headers=named)
        if packed:
            named["Content-Encoding"] = "gzip"
        return Response(self.packed if packed else self.body, headers=named, media_type=self.type)


class Assets:
    """All files of a folder. `version`: the hash in their addresses; `first_styles`: of app.css, what a first screen
    needs."""

    def __init__(self, folder: Path = STATIC) -> None:
        files = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES)
        self._assets: Mapping[str, Asset] = {
            path.relative_to(folder).as_posix(): Asset.of(_TYPES[path.suffix], path.read_bytes()) for path in files
        }
        self._imported = {name: self._imports(name) for name in self._assets if name.endswith(".js")}
        self.first_styles = first_of(self._assets["app.css"].body.decode()) if "app.css" in self._assets else ""
        every = "".join(f"{name} {asset.digest}\n" for name, asset in self._assets.items())
        self.version = hashlib.sha256(every.encode()).hexdigest()[:16]

    def address(self, name: str) -> str:
        """Where browsers find a file for good."""
        return f"/static/{self.version}/{name}"

    def modules(self, name: str) -> Sequence[str]:
        """The modules that a module imports, directly or not, nearest first; none of one that isn't there."""
        return self._imported.get(name, ())

    def answer(self, path: str, headers: Headers) -> Response:
        """The answer to a request for the rest of an address. A path is only looked up among the names."""
        version, name = found.groups() if (found := _VERSION.fullmatch(path)) else ("", path)
        asset = self._assets.get(name)
        if asset is None:
            raise HTTPException(404)
        if version not in ("", self.version):
            # A page of another version, before or beside this one: its modules go on together, without a version
            return RedirectResponse(f"/static/{name}", 307)
        return asset.answer(headers, KEEP if version else _ASK)

    def _imports(self, name: str) -> Sequence[str]:
        found = [name]
        for module in found:  # which grows meanwhile
            for imported in _IMPORT.findall(self._assets[module].body.decode()):
                other = posixpath.normpath(posixpath.join(posixpath.dirname(module), imported))
                if other not in found:
                    found.append(other)
        return found[1:]


def first_of(styles: str) -> str:
    """What a style sheet has between its marks, in that order, with less white space."""
    marked = "".join(_FIRST.findall(styles))
    return re.sub(r"\s*([{};,])\s*", r"\1", re.sub(r"\s+", " ", _COMMENT.sub("", marked))).strip()


def takes_gzip(accepted: str) -> bool:
    """Does Accept-Encoding name gzip, other than to refuse it?"""
    for one in accepted.lower().split(","):
        name, _, weight = one.partition(";")
        if name.strip() == "gzip":
            return not re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight)
    return False


def is_known(headers: Headers, tag: str) -> bool:
    """Does the browser have the version with this ETag?"""
    return tag in {one.strip().removeprefix("W/") for one in headers.get("if-none-match", "").split(",")}


def assets_of(request: Request) -> Assets:
    """The files of the page that was asked."""
    assets = request.app.state.assets
    assert isinstance(assets, Assets)
    return assets


async def _asset(request: Request) -> Response:
    return assets_of(request).answer(request.path_params["path"], request.headers)


ROUTES = [Route("/static/{path:path}", _asset)]
