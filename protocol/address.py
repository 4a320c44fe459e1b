"""Where a server is, in one string: HOST:PORT, facewire://HOST:PORT, or facewires://HOST:PORT for TLS. Several servers
are separated by commas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_PORT = 5050
_SCHEMES = {"facewire": False, "facewires": True}


@dataclass(frozen=True, slots=True)
class Address:
    """A server's host and port, and whether it speaks TLS."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, port: int | None = DEFAULT_PORT) -> Address:
    """The address in `text`; `port`: where it names none; None: it must. Raises ValueError with one line."""
    scheme, found, _ = text.partition("://")
    try:
        if found and scheme.lower() not in _SCHEMES:
            raise ValueError
        parts = urlsplit(text if found else f"facewire://{text}")
        number = parts.port or port
        extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
        if not parts.hostname or number is None or extra:
            raise ValueError
    except ValueError:
        raise ValueError(f"must be HOST:PORT or facewires://HOST:PORT, as in 127.0.0.1:5050, not '{text}'") from None
    return Address(parts.hostname, number, _SCHEMES[parts.scheme])


def names_addresses(host: str) -> bool:
    """Whether this is more than the name or address of one host."""
    return "://" in host or "," in host


def parse_addresses(text: str | Sequence[str], port: int | None = DEFAULT_PORT) -> tuple[Address, ...]:
    """The addresses in `text`, separated by commas, or one each in a sequence; all speak TLS, or none, so that a token
    sent to one of them is not sent unencrypted to another. Raises ValueError with one line."""
    named = text.split(",") if isinstance(text, str) else text
    found = tuple(dict.fromkeys(parse_address(each.strip(), port) for each in named))
    if not found:
        raise ValueError("names no server")
    if len({address.tls for address in found}) > 1:
        raise ValueError("must all be facewires://HOST:PORT, or none")
    return found
