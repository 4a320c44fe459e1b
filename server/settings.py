"""One frozen `Settings`: flags override FACEWIRE_* variables, which override defaults. Each is declared where it is
used."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from facewire.protocol.arguments import BriefParser, TakesArguments, flags, read, take_environment
from facewire.protocol.messages import FMR_RANGE
from facewire.protocol.settings import LONGEST_WAIT_S, PORT_OR_ANY, PROBABILITY, between, setting
from facewire.server.albums.settings import AlbumSettings, album_settings
from facewire.server.gallery.address import Database, database
from facewire.server.logs import LogFormat
from facewire.server.recognition.impostors import DEFAULT_FMR
from facewire.server.tcp.certificates import TlsFiles
from facewire.server.tcp.limits import TcpLimits
from facewire.server.vision.models import MODELS
from facewire.server.vision.opening import VisionSettings

OPERATION = ("log_level", "log_format", "audit_log", "metrics_port", "metrics_host")
DEFAULT_FPIR = 0.01
DEFAULT_DB = Path("data/facialdb.db")
FIRST_PERSON = "enrol the first person: python client_app.py enrol NAME PICTURE"

DESCRIPTION = """\
Answers who is in a picture, and how they feel, over a TCP socket (protocol/README.md).
The line "listening on HOST:PORT" says when it is ready; Ctrl-C or SIGTERM stops it within 5 seconds."""

EPILOG = """\
examples:
  python scripts/create_db.py PEOPLE_FOLDER     build the database first (--empty: with nobody in it)
  python server_app.py --port 5050              serve it to this machine
  python client_app.py photo.jpg                ask it
  python server_app.py --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem   serve other machines, too

Every flag can also be set in the environment: --max-connections 8 is FACEWIRE_MAX_CONNECTIONS=8.
exit codes: 0 stopped as asked, 2 usage error or the model is not the database's, 3 something is missing or broken"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The server's whole configuration. `model` None: the model the database was built with."""

    host: str = setting("127.0.0.1", help="address to listen on (default: only this machine)")
    port: int = setting(5050, range=PORT_OR_ANY, help="0 picks a free one")
    insecure: bool = setting(
        False, help="let other machines connect without TLS: whoever is between can read what is sent"
    )
    tls: TlsFiles = field(default_factory=TlsFiles)
    tcp: TcpLimits = field(default_factory=TcpLimits)
    db: Database = setting(
        DEFAULT_DB, parse=database, metavar="DB", help="database of create_db.py: a file, or milvus://HOST:PORT/NAME"
    )
    fpir: float = setting(
        DEFAULT_FPIR, range=PROBABILITY, help="how often a stranger may be taken for somebody enrolled"
    )
    fmr: float = setting(
        DEFAULT_FMR, range=between(*FMR_RANGE, metavar="P"),
        help="how often `verify` may call two different people the same, of people at large; among people of one sex,"
        " age and appearance it is some ten times as often",
    )  # fmt: skip
    model: str | None = setting(
        None, metavar="NAME", help=f"one of {', '.join(MODELS)}; by default the one the database was built with"
    )
    vision: VisionSettings = field(default_factory=VisionSettings)
    albums: AlbumSettings
    tokens: Path | None = setting(
        None, metavar="FILE", help="admit only clients with one of the tokens that scripts/tokens.py keeps in this file"
    )
    audit_log: Path | None = setting(
        None, metavar="FILE",
        help="append a line of JSON here for each identification and change: who asked, from where, how it ended",
    )  # fmt: skip
    token: str | None = None  # environment only: a flag would be visible to anybody who lists processes
    log_level: Literal["debug", "info", "warning", "error"] = setting("info")
    log_format: LogFormat = setting("text", help="json: one object a line, for programs that collect logs")
    metrics_port: int | None = setting(
        None, range=PORT_OR_ANY, metavar="PORT",
        help="serve Prometheus' metrics over HTTP on this port; 0 picks a free one (default: not at all)",
    )  # fmt: skip
    metrics_host: str = setting(
        "127.0.0.1", metavar="HOST", help="address for that: whoever reaches it can read the metrics"
    )


def parse(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from flags, environment and defaults, in that order of precedence; an invalid value prints one line and
    exits with code 2."""
    parser = build_parser()
    take_environment(parser, Settings, environment)
    args = parser.parse_args(argv)
    if args.no_albums and (args.albums or args.album_import_root):
        parser.error("--no-albums goes without --albums and --album-import-root")
    tcp = read(TcpLimits, args)
    vision = vision_settings(args)
    return read(
        Settings,
        args,
        tcp=tcp,
        tls=read(TlsFiles, args),
        vision=replace(vision, limits=replace(vision.limits, max_bytes=tcp.max_frame)),
        albums=album_settings(args, tcp.max_frame, vision.limits.max_pixels),
        token=environment.get("FACEWIRE_TOKEN") or None,
    )


def build_parser() -> argparse.ArgumentParser:
    """The flags of server_app.py."""
    parser = BriefParser(
        "server_app.py", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # else `--token SECRET` would be taken for `--tokens FILE`, and the secret end in the log
    )  # fmt: skip
    parser.tell_version()
    network = parser.add_argument_group("network")
    flags(network, Settings, only=("host", "port", "insecure"))
    flags(network, TlsFiles)
    flags(network, Settings, only=("tokens",))
    flags(network, TcpLimits)
    flags(parser, Settings, only=("db", "fpir", "fmr"))
    networks = parser.add_argument_group("networks")
    flags(networks, Settings, only=("model",))
    flags(networks, VisionSettings)
    flags(parser.add_argument_group("albums"), AlbumSettings)
    flags(parser.add_argument_group("operation"), Settings, only=OPERATION)
    return parser


def add_model_argument(where: TakesArguments, help: str, *, flag: str = "--model") -> None:
    """Add the flag that selects a model, as read by `vision_settings`."""
    where.add_argument(flag, dest="model", metavar="NAME", help=f"one of {', '.join(MODELS)}; {help}")


def add_vision_arguments(
    parser: argparse.ArgumentParser,
    *,
    model_help: str | None = None,
    emotions: bool = True,
    without: Collection[str] = (),
) -> None:
    """Add the flags that select the networks and how they run, for every command that opens an analyser. `emotions`:
    whether emotions are needed. `without`: settings that the command chooses itself.

    `model_help`: text after the list of models; None if the model has its own flag elsewhere.
    """
    networks = parser.add_argument_group("networks")
    if model_help is not None:
        add_model_argument(networks, model_help)
    flags(networks, VisionSettings, without=(*without, *(() if emotions else ("emotion",))))
    if not emotions:
        parser.set_defaults(emotion="off")


def vision_settings(args: argparse.Namespace) -> VisionSettings:
    """The settings parsed from the flags of `add_vision_arguments`."""
    settings = read(VisionSettings, args)
    return replace(settings, model=args.model) if args.model else settings


def unhurried(settings: VisionSettings) -> VisionSettings:
    """For batch work: no picture is given up because others take long."""
    return replace(settings, decoding=replace(settings.decoding, patience_s=LONGEST_WAIT_S))
