"""The settings of web_app.py, in one frozen object."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from facewire.client.face_client import DEFAULT_HOST, DEFAULT_PORT, DEFAULT_TIMEOUT_S
from facewire.client.web.places import Limits
from facewire.protocol.arguments import BriefParser, flags, read
from facewire.protocol.settings import MEBIBYTE, MEBIBYTES, PORT, PORT_OR_ANY, SECONDS, setting

DEFAULT_WEB_PORT = 8000
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


def _address(text: str) -> tuple[str, int]:
    host, colon, number = text.rpartition(":")
    if not colon or not host or not number.isdigit() or not PORT.holds(int(number)):
        raise argparse.ArgumentTypeError(f"must be HOST:PORT, as in 127.0.0.1:5050, not '{text}'")
    return host.strip("[]"), int(number)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`server`: host and port of the facewire server; `names`: host names accepted from browsers; `max_picture`: bytes
    of an uploaded picture; `timeout`: seconds to wait for the server's answer."""

    server: tuple[str, int] = setting(
        (DEFAULT_HOST, DEFAULT_PORT), metavar="HOST:PORT", parse=_address,
        help=f"the facewire server (default: {DEFAULT_HOST}:{DEFAULT_PORT})",
    )  # fmt: skip
    host: str = setting("127.0.0.1", help="address to listen on (default: this machine only)")
    port: int = setting(DEFAULT_WEB_PORT, range=PORT_OR_ANY, help="0 picks a free one")
    names: frozenset[str] = frozenset(_LOCAL_NAMES)
    max_picture: int = setting(  # the server's default frame size of 32 MiB, with room for names
        31 * MEBIBYTE, unit=MEBIBYTES,
        help="largest picture taken; below the server's --max-frame-mb",
    )  # fmt: skip
    timeout: float = setting(DEFAULT_TIMEOUT_S, range=SECONDS, help="seconds to wait for the server's answer")
    tls_cert: Path | None = setting(None, metavar="FILE", help="serve https with this certificate (PEM, chain and all)")
    tls_key: Path | None = setting(None, metavar="FILE", help="the certificate's key (PEM, no passphrase)")
    limits: Limits = field(default_factory=Limits)

    @property
    def max_held(self) -> int:
        """Most bytes held for all uploads together: eight of the largest photos as a rule, at least two."""
        return max(_MAX_HELD, 2 * self.max_picture)


def parse(argv: Sequence[str]) -> WebSettings:
    """Settings from flags. A wrong flag exits with one line and code 2."""
    parser = BriefParser(
        "web_app.py", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.tell_version()
    flags(parser, WebSettings)
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST",
        help="a host name under which browsers may ask for the page, besides localhost and --host; may be repeated",
    )  # fmt: skip
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
    names = frozenset({*_LOCAL_NAMES, *map(_as_in_a_url, (*own, *args.name))})
    limits = Limits(share=1.0) if args.behind_proxy else Limits()
    return read(WebSettings, args, names=names, limits=limits)


def _as_in_a_url(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host and not host.startswith("[") else host.lower()
