"""The file of tokens: JSON, mode 0600, replaced as a whole. A running server looks at it at every request."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from facewire.protocol.errors import ProtocolError
from facewire.protocol.rights import Right
from facewire.protocol.schema import from_plain
from facewire.server.access.tokens import Limits, Token
from facewire.server.durable import replacing
from facewire.server.errors import StartError

_log = logging.getLogger("facewire.access")

_VERSION = 1
MOST_TOKENS = 1000
MOST_SEEN = 1000
"""Names in a list of people or albums."""

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST = 2**63

Tokens = Mapping[str, Token]
"""By digest."""


class TokenFile:
    """The tokens as the file has them now. Thread-safe.

    A file that was deleted has no tokens. One that can't be read leaves those from before in force: it is always
    replaced as a whole, so that is somebody's slip with an editor.
    """

    def __init__(self, path: Path) -> None:
        """Raises StartError if there is a file that can't be used."""
        self._path = path
        self._lock = threading.Lock()  # guards the two below
        self._seen = _signature(path)
        self._tokens = read_tokens(path)

    def tokens(self) -> Tokens:
        """The tokens now. Costs a stat, a few microseconds."""
        seen = _signature(self._path)
        with self._lock:
            if seen != self._seen:
                self._seen = seen
                try:
                    self._tokens = read_tokens(self._path)
                except StartError as error:
                    _log.error("%s; the tokens from before stay in force", error)
                else:
                    _log.info("%s now has %d tokens", self._path, len(self._tokens))
            return self._tokens


def read_tokens(path: Path) -> Tokens:
    """The tokens in a file; none if it does not exist. Raises StartError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"the tokens in {path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        kept = json.loads(text)
        if kept["version"] != _VERSION:
            raise StartError(f"the tokens in {path} are of another version of facewire")
        tokens = [_token(entry) for entry in kept["tokens"]]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError, ProtocolError) as error:
        raise StartError(f"{path} is no file of tokens, or damaged ({error!r})") from error
    return {token.digest: token for token in tokens}


@contextmanager
def changing(path: Path) -> Iterator[dict[str, Token]]:
    """The tokens by name, to be changed; then written, unless the block raises. One process at a time. Raises
    StartError, OSError.

    The file belongs to whom it belonged before, at first to the folder's owner: a server of another user could not read
    one of root's, and would go on with the tokens from before.
    """
    lock = path.with_name(path.name + "-lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _give(lock, path.parent)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        tokens = {token.name: token for token in read_tokens(path).values()}
        yield tokens
        kept = {"version": _VERSION, "tokens": [_plain(token) for _, token in sorted(tokens.items())]}
        with replacing(path) as staging:
            staging.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            _give(staging, path if path.exists() else path.parent)
    finally:
        os.close(descriptor)


def _give(path: Path, like: Path) -> None:
    """Makes the owner of `like` that of `path`, if root writes for another user. Raises OSError."""
    about = like.stat()
    if os.geteuid() == 0 and about.st_uid != 0:
        os.chown(path, about.st_uid, about.st_gid)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _plain(token: Token) -> dict[str, Any]:
    plain = asdict(token)
    for key in ("rights", "people", "albums"):
        plain[key] = None if plain[key] is None else sorted(plain[key])
    return plain


@dataclass(frozen=True, slots=True)
class _Plain:
    """A token as it is written."""

    name: str
    digest: str
    rights: tuple[Right, ...]
    created: float
    expires: float | None
    people: tuple[str, ...] | None
    albums: tuple[str, ...] | None
    limits: Limits | None


def _token(plain: object) -> Token:
    """Whatever is not as `_plain` writes it is refused here, rather than where it is used."""
    kept: _Plain = from_plain(_Plain, plain, strict=True)
    if not _DIGEST.fullmatch(kept.digest):
        raise ValueError("a damaged digest")
    if kept.limits is not None and not all(1 <= limit < _MOST for limit in astuple(kept.limits)):
        raise ValueError("a limit out of range")
    people, albums = (None if seen is None else frozenset(seen) for seen in (kept.people, kept.albums))
    "".join((kept.name, *(people or ()), *(albums or ()))).encode()  # half a character raises UnicodeEncodeError
    rights = frozenset(kept.rights)
    return Token(kept.name, kept.digest, rights, kept.created, kept.expires, people, albums, kept.limits)
