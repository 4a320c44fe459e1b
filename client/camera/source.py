"""What is watched: a stream's URL, a device's number or a video file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Kind = Literal["stream", "device", "file"]

_SCHEMES = ("rtsp", "rtsps", "http", "https")
_OTHER_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


class BadSource(ValueError):
    """What was typed is no camera, device or file."""


@dataclass(frozen=True, slots=True)
class Source:
    """`where`: as the reader needs it; `shown`: as anybody may see it, without a password."""

    kind: Kind
    where: str
    shown: str

    @property
    def live(self) -> bool:
        """Does it go on for ever, whether or not anybody reads it?"""
        return self.kind != "file"


def parse_source(text: str) -> Source:
    """The camera that was typed. Raises BadSource, without a password in its message."""
    if text.isascii() and text.isdigit():
        return Source("device", text, f"device {text}")
    if "://" in text:
        return _stream(text)
    if Path(text).is_file():
        return Source("file", text, text)
    if _OTHER_SCHEME.match(text):
        raise BadSource(f"not a camera: only {', '.join(_SCHEMES)} URLs, device numbers and video files are read")
    raise BadSource(f"no such video file: {text}")


def _stream(text: str) -> Source:
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadSource("not a valid URL") from None  # its message may quote a password
    if parts.scheme not in _SCHEMES:
        raise BadSource(f"{parts.scheme}:// is not supported, only {', '.join(_SCHEMES)}")
    if not host:
        raise BadSource("the URL names no host")
    address = f"[{host}]" if ":" in host else host
    shown = urlunsplit((parts.scheme, address + ("" if port is None else f":{port}"), parts.path, "", ""))
    return Source("stream", text, shown)  # a query may hold a key, too
