"""The settings of web_app.py, in one frozen object."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from facewire.client.face_client import DEFAULT_HOST, DEFAULT_TIMEOUT_S
from facewire.client.tls import Tls
from facewire.client.web.places import Limits
from facewire.protocol.address import DEFAULT_PORT, Address, parse_address
from facewire.protocol.arguments import BriefParser, flags, read
from facewire.protocol.settings import MEBIBYTE, MEBIBYTES, PORT_OR_ANY, SECONDS, setting

DEFAULT_WEB_PORT = 8000
_MAX_HELD = 256 * MEBIBYTE
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

_DESCRIPTION = """\
The web page of facewire: identify pictures and the camera, look after the people, and sort albums.
It is one more client: start a server first (python server_app.py), or both with `make web`."""

_EPILOG = """\
examples:
  python web_app.py                                      the server on this machine, the page on port 8000
  python web_app.py --server 127.0.0.1:5051 --port 8080
  python web_app.py --host 0.0.0.0 --name photos.example --tls-cert cert.pem --tls-key key.pem

Where the server asks for a token, so does the page: each visitor types it, and the page keeps none of its own.
Browsers give a page the camera only on this machine (localhost) or over TLS.

With --tls-cert the page speaks https only (TLS 1.2 or newer): a browser that asks with http:// is cut off, and cookies
are marked Secure. A certificate for trying it out:
  openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=photos.example \\
      -addext subjectAltName=DNS:photos.example -keyout key.pem -out cert.pem

To a server on another machine the page speaks TLS, if the server does (server_app.py --tls-cert):
  python web_app.py --server facewires://10.0.0.5:5050 --server-ca server-cert.pem"""


def _address(text: str) -> Address:
    try:
        return parse_address(text, None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _origin(text: str) -> str:
    said = urlsplit(text)
    if said.scheme not in ("http", "https") or not said.netloc or f"{said.scheme}://{said.netloc}" != text:
        raise argparse.ArgumentTypeError(f"'{text}' is not an origin such as https://photos.example")
    return text


@dataclass(frozen=True, slots=True)
class WebSettings:
    """`server`: where the facewire server is; `names`: host names accepted from browsers; `cors_origins`: of
    pages elsewhere that may use the API; `max_picture`: bytes
    of an uploaded picture; `timeout`: seconds to wait for the server's answer."""

    server: Address = setting(
        Address(DEFAULT_HOST, DEFAULT_PORT), metavar="HOST:PORT", parse=_address,
        help=f"the facewire server, or facewires://HOST:PORT for TLS (default: {DEFAULT_HOST}:{DEFAULT_PORT})",
    )  # fmt: skip
    server_ca: Path | None = setting(
        None, metavar="FILE", help="for the server's certificate, trust the authorities in this file (PEM)"
    )
    server_cert: Path | None = setting(None, metavar="FILE", help="show the server this certificate (PEM)")
    server_key: Path | None = setting(None, metavar="FILE", help="the key of --server-cert (PEM, no passphrase)")
    host: str = setting("127.0.0.1", help="address to listen on (default: only this machine)")
    port: int = setting(DEFAULT_WEB_PORT, range=PORT_OR_ANY, help="0 picks a free one")
    names: frozenset[str] = frozenset(_LOCAL_NAMES)
    max_picture: int = setting(  # the server's default frame size of 32 MiB, with room for names
        31 * MEBIBYTE, unit=MEBIBYTES,
        help="largest picture taken; below the server's --max-frame-mb",
    )  # fmt: skip
    timeout: float = setting(DEFAULT_TIMEOUT_S, range=SECONDS, help="seconds to wait for the server's answer")
    tls_cert: Path | None = setting(None, metavar="FILE", help="serve https with this certificate (PEM, with chain)")
    tls_key: Path | None = setting(None, metavar="FILE", help="the certificate's key (PEM, no passphrase)")
    api_only: bool = setting(False, help="serve the HTTP API (docs/http.md) without the page")
    cors_origins: frozenset[str] = frozenset()
    deepface_api: bool = setting(False, help="instead of the page, serve DeepFace's REST API (docs/deepface-api.md)")
    limits: Limits = field(default_factory=Limits)

    @property
    def tls(self) -> Tls | None:
        """How the server is asked over TLS; None: plain."""
        return Tls(self.server_ca, self.server_cert, self.server_key) if self.server.tls or self.server_ca else None

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
        "--cors-origin", action="append", default=[], metavar="ORIGIN", type=_origin,
        help="a site whose pages may use the API (https://HOST, without a path); may be repeated (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--behind-proxy", action="store_true",
        help="browsers come through a proxy, so all have its address; else one address gets half of the places",
    )  # fmt: skip
    args = parser.parse_args(argv)
    if (args.tls_cert is None) != (args.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    if (args.server_cert is None) != (args.server_key is None):
        parser.error("--server-cert and --server-key go together")
    if args.api_only and args.deepface_api:
        parser.error(
            "--api-only and --deepface-api are two APIs with the same addresses: start web_app.py once for each"
        )
    for file in (args.tls_cert, args.tls_key, args.server_ca, args.server_cert, args.server_key):
        if file is not None and not file.is_file():
            parser.error(f"there is no file {file}")
    own = [args.host] if args.host not in ("0.0.0.0", "::", "") else []
    names = frozenset({*_LOCAL_NAMES, *map(_as_in_a_url, (*own, *args.name))})
    limits = Limits(share=1.0) if args.behind_proxy else Limits()
    return read(WebSettings, args, names=names, limits=limits, cors_origins=frozenset(args.cors_origin))


def _as_in_a_url(host: str) -> str:
    return f"[{host.lower()}]" if ":" in host and not host.startswith("[") else host.lower()
