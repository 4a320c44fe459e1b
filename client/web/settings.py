"""The flags of web_app.py as one frozen object."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from facewire.client.commands.common import port, seconds
from facewire.client.face_client import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_TIMEOUT_S
from facewire.client.web.places import Limits
from facewire.protocol.arguments import Parser
from facewire.protocol.text import printable

DEFAULT_WEB_PORT = 8000
MEBIBYTE = 1024 * 1024
_MAX_HELD = 256 * MEBIBYTE
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

_DESCRIPTION = """\
The web page of facewire: identify pictures and the camera, look after the people, and sort albums.
It is one more client: start a server first (python server_app.py), or both with `make web`."""

_EPILOG = """\
examples:
  python web_app.py                                      the server on this machine, the page on port 8000
  python web_app.py --server 10.0.0.5:5050 --port 8080
  python web_app.py --host 0.0.0.0 --name photos.example --tls-cert cert.pem --tls-key key.pem

Where the server asks for a token, so does the page: each visitor types it, and the page keeps none of its own.
Browsers give a page the camera only on this machine (localhost) or over TLS.

With --tls-cert the page speaks https alone (TLS 1.2 or newer): a browser that asks with http:// is cut off, and cookies
are marked Secure. A certificate for trying it out:
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=photos.example \\
      -addext subjectAltName=DNS:photos.example -keyout key.pem -out cert.pem

The way from the page to the server is not encrypted, so run the two on one machine, or lay a tunnel between them:
  ssh -N -L 5050:127.0.0.1:5050 SERVER                   and --server 127.0.0.1:5050"""


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`server`: host and port of the facewire server; `names`: the host names that a browser may ask for;
    `max_picture`: bytes of one uploaded picture; `timeout`: seconds that an answer of the server may take."""

    server: tuple[str, int] = (DEFAULT_HOST, DEFAULT_PORT)
    host: str = "127.0.0.1"
    port: int = DEFAULT_WEB_PORT
    names: frozenset[str] = frozenset(_LOCAL_NAMES)
    max_picture: int = 31 * MEBIBYTE  # a frame of the server has 32 MiB unless told otherwise, less some names
    timeout: float = DEFAULT_TIMEOUT_S
    tls_cert: Path | None = None
    tls_key: Path | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def max_held(self) -> int:
        """Bytes of all uploads together that may be held: eight of the largest photos as a rule, and at least two."""
        return max(_MAX_HELD, 2 * self.max_picture)


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)} (--help explains every flag)\n")


def parse(argv: Sequence[str]) -> WebSettings:
    """Settings from flags; a wrong one ends with one line and exit code 2."""
    parser = _Parser(
        "web_app.py", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.tell_version()
    parser.add_argument(
        "--server", type=_address, default=(DEFAULT_HOST, DEFAULT_PORT), metavar="HOST:PORT",
        help=f"the facewire server (default: {DEFAULT_HOST}:{DEFAULT_PORT})",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=page_port, default=DEFAULT_WEB_PORT, help="0 picks a free one (default: 8000)")
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST",
        help="a host name under which browsers may ask for the page, besides localhost and --host; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--max-picture-mb", type=_positive, default=31, metavar="N",
        help="largest picture taken; below the server's --max-frame-mb (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=seconds, default=DEFAULT_TIMEOUT_S, metavar="S",
        help="seconds to wait for the server's answer (default: %(default)g)",
    )  # fmt: skip
    parser.add_argument(
        "--tls-cert", type=Path, metavar="FILE", help="serve https with this certificate (PEM, chain and all)"
    )
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="the certificate's key (PEM, no passphrase)")
    parser.add_argument(
        "--behind-proxy", action="store_true",
        help="browsers come through a proxy, so all have its address; else one address gets half of the places",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if (args.tls_cert is None) != (args.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    for file in (args.tls_cert, args.tls_key):
        if file is not None and not file.is_file():
            parser.error(f"there is no file {file}")
    own = [args.host] if args.host not in ("0.0.0.0", "::", "") else []
    return WebSettings(
        server=args.server,
        host=args.host,
        port=args.port,
        names=frozenset({*_LOCAL_NAMES, *map(_as_in_a_url, (*own, *args.name))}),
        max_picture=args.max_picture_mb * MEBIBYTE,
        timeout=args.timeout,
        tls_cert=args.tls_cert,
        tls_key=args.tls_key,
        limits=Limits(share=1.0 if args.behind_proxy else Limits().share),
    )


def _as_in_a_url(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host and not host.startswith("[") else host.lower()


def _address(text: str) -> tuple[str, int]:
    host, colon, number = text.rpartition(":")
    if not colon or not host or not number.isdigit() or not 1 <= int(number) <= 65_535:
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, as in 127.0.0.1:5050, not '{text}'")
    return host.strip("[]"), int(number)


def page_port(text: str) -> int:
    """An argument of argparse: the number of a TCP port, or 0 for a free one."""
    return 0 if text == "0" else port(text)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
