"""One frozen `Settings`: defaults < FACEWIRE_* environment < flags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from facewire.protocol.arguments import Parser
from facewire.protocol.messages import FMR_RANGE
from facewire.protocol.text import printable
from facewire.server.albums.settings import AlbumSettings, add_album_arguments, album_settings
from facewire.server.recognition.impostors import DEFAULT_FMR
from facewire.server.tcp.limits import TcpLimits
from facewire.server.vision.decoding.decoder import DecodingSettings
from facewire.server.vision.image import MEGAPIXEL, ImageLimits
from facewire.server.vision.models import MODELS
from facewire.server.vision.opening import VisionSettings

DEFAULT_PORT = 5050
DEFAULT_FPIR = 0.01
DEFAULT_DB = Path("data/facialdb.db")
MEBIBYTE = 1024 * 1024
LONGEST_WAIT_S = 86_400  # a day; sockets refuse waits of some centuries

DESCRIPTION = """\
Answers who is in a picture, and how they feel, over a TCP socket (protocol/README.md).
The line "listening on HOST:PORT" says when it is ready; Ctrl-C or SIGTERM stops it within 5 seconds."""

EPILOG = """\
examples:
  python scripts/create_db.py PEOPLE_FOLDER     build the database first
  python server_app.py --port 5050              serve it to this machine
  python client_app.py photo.jpg                ask it

Every flag can also be set in the environment: --max-connections 8 is FACEWIRE_MAX_CONNECTIONS=8.
exit codes: 0 stopped as asked, 2 wrong usage or the model is not the database's, 3 something is missing or broken"""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the server can be told. `model` None: the one the database was built with."""

    host: str
    port: int
    db: Path
    model: str | None
    vision: VisionSettings
    tcp: TcpLimits
    albums: AlbumSettings
    fpir: float
    fmr: float
    token: str | None
    log_level: str


def parse(argv: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from flags over environment over defaults; a wrong value ends with one line and exit code 2."""
    parser = build_parser()
    _take_defaults_from(parser, environment)
    args = parser.parse_args(argv)
    vision = vision_settings(args)
    max_frame = args.max_frame_mb * MEBIBYTE
    return Settings(
        host=args.host,
        port=args.port,
        db=args.db,
        model=args.model,
        vision=replace(vision, limits=replace(vision.limits, max_bytes=max_frame)),
        tcp=TcpLimits(
            max_connections=args.max_connections,
            max_per_address=args.max_per_address,
            max_buffered=args.max_buffered_mb * MEBIBYTE,
            max_frame=max_frame,
            idle_timeout_s=args.idle_timeout,
            request_timeout_s=args.request_timeout,
            max_wait_s=args.max_wait,
            workers=args.workers,
        ),
        albums=album_settings(args, max_frame, vision.limits.max_pixels),
        fpir=args.fpir,
        fmr=args.fmr,
        token=environment.get("FACEWIRE_TOKEN") or None,
        log_level=args.log_level,
    )


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        """One line: argparse's own would put some twenty lines of flags before it."""
        self.exit(2, f"{self.prog}: {printable(message)} (--help explains every flag)\n")


def build_parser() -> argparse.ArgumentParser:
    """The flags of server_app.py."""
    parser = _Parser(
        "server_app.py", description=DESCRIPTION, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.tell_version()
    limits = TcpLimits()
    network = parser.add_argument_group("network")
    network.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    network.add_argument("--port", type=_port, default=DEFAULT_PORT, help="0 picks a free one (default: %(default)s)")
    network.add_argument(
        "--max-connections",
        type=positive,
        default=limits.max_connections,
        metavar="N",
        help="clients at a time; for one more, the one that is silent longest is let go (default: %(default)s)",
    )
    network.add_argument(
        "--max-per-address", type=positive, default=limits.max_per_address, metavar="N",
        help="of these, clients of one address; behind a gateway or the page all have one (default: no limit)",
    )  # fmt: skip
    network.add_argument(
        "--max-frame-mb", type=positive, default=limits.max_frame // MEBIBYTE, metavar="N",
        help="largest request in MiB (default: %(default)s)",
    )  # fmt: skip
    network.add_argument(
        "--max-buffered-mb", type=positive, default=limits.max_buffered // MEBIBYTE, metavar="N",
        help="memory in MiB for requests that are arriving, and as much for those that wait (default: %(default)s)",
    )  # fmt: skip
    network.add_argument(
        "--idle-timeout", type=_seconds, default=limits.idle_timeout_s, metavar="S",
        help="seconds after which a silent client is let go (default: %(default)s)",
    )  # fmt: skip
    network.add_argument(
        "--request-timeout", type=_seconds, default=limits.request_timeout_s, metavar="S",
        help="seconds a request may wait for its turn, and long work for its next step (default: %(default)s)",
    )  # fmt: skip
    network.add_argument(
        "--max-wait", type=_seconds, default=limits.max_wait_s, metavar="S",
        help="a request expected to wait longer is told `busy` at once, and when to ask again (default: %(default)s)",
    )  # fmt: skip
    network.add_argument(
        "--workers", type=positive, default=limits.workers, metavar="N",
        help="pictures decoded and searched for faces at a time (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--db", type=Path, default=DEFAULT_DB, help="database of create_db.py (default: %(default)s)")
    add_decision_arguments(parser)
    parser.add_argument(
        "--fmr", type=_false_match_rate, default=DEFAULT_FMR, metavar="P",
        help="how often `verify` may call two different people the same, of people at large; among people of one sex,"
        " age and appearance it is some ten times as often (default: %(default)s)",
    )  # fmt: skip
    add_vision_arguments(parser, model_help="by default the one the database was built with")
    add_album_arguments(parser, positive)
    parser.add_argument(
        "--log-level", default="info", choices=("debug", "info", "warning", "error"), help="(default: %(default)s)"
    )
    return parser


def add_decision_arguments(parser: argparse.ArgumentParser) -> None:
    """How strict the decisions are."""
    parser.add_argument(
        "--fpir", type=_probability, default=DEFAULT_FPIR, metavar="P",
        help="how often a stranger may be taken for somebody enrolled (default: %(default)s)",
    )  # fmt: skip


def add_vision_arguments(
    parser: argparse.ArgumentParser,
    *,
    model_help: str,
    emotions: bool = True,
    model_flag: str = "--model",
    model_group: argparse._ActionsContainer | None = None,
) -> None:
    """The flags that say which networks run and how; shared by all that open an analyser, `emotions` or not.

    `model_flag`, `model_group`: what the model's flag is called, and what it stands with, where that is another.
    """
    defaults = VisionSettings()
    group = parser.add_argument_group("networks")
    (model_group or group).add_argument(
        model_flag, dest="model", metavar="NAME", help=f"one of {', '.join(MODELS)}; {model_help}"
    )
    group.add_argument(
        "--weights-dir", type=Path, default=None, metavar="DIR",
        help="where the weights lie; else $DEEPFACE_HOME/.deepface/weights, installed packages, a download",
    )  # fmt: skip
    group.add_argument(
        "--weights-mirror",
        default=None,
        metavar="URL",
        help="fetch missing weights from URL/FILE instead of their home",
    )
    group.add_argument(
        "--no-download", action="store_true", help="never fetch weights: what is not on this machine is an error"
    )
    group.add_argument(
        "--runtime", choices=("openvino", "tensorflow"), default=defaults.runtime, help="(default: %(default)s)"
    )
    group.add_argument(
        "--detector", choices=("auto", "yunet", "dlib"), default=defaults.detector,
        help="auto: YuNet, or dlib's where YuNet's weights can't be had (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--detect-size", type=positive, default=defaults.canvas, metavar="PX",
        help="longest side at which a picture is searched for faces; larger finds smaller faces (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--detect-tiles", type=positive, default=defaults.tiles, metavar="N",
        help="a picture more than twice as long as wide (a panorama) is searched in up to N tiles of that size, each "
        "at the cost of half a large photo; 1: in one piece, where small faces are lost (default: %(default)s)",
    )  # fmt: skip
    if emotions:
        group.add_argument(
            "--emotion",
            choices=("facewire", "deepface", "off"),
            default=defaults.emotion,
            help="our own network, DeepFace's, or none (default: %(default)s)",
        )
    else:
        parser.set_defaults(emotion="off")
    group.add_argument(
        "--max-megapixels", type=positive, default=defaults.limits.max_pixels // MEGAPIXEL, metavar="N",
        help="largest picture decoded (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--decoders", type=positive, default=defaults.decoding.processes, metavar="N",
        help="processes that decode pictures (default: one a core, at least 2)",
    )  # fmt: skip
    group.add_argument(
        "--decode-memory-mb", type=positive, default=defaults.decoding.memory // MEBIBYTE, metavar="N",
        help="MiB that all pictures decoded at a time may take; larger ones wait (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--cache-dir", type=Path, default=defaults.cache_dir, metavar="DIR",
        help="where converted networks are kept (default: %(default)s)",
    )  # fmt: skip


def vision_settings(args: argparse.Namespace) -> VisionSettings:
    """What `add_vision_arguments` parsed."""
    defaults = VisionSettings()
    return VisionSettings(
        model=args.model or defaults.model,
        weights_dir=args.weights_dir,
        mirror=args.weights_mirror,
        runtime=args.runtime,
        detector=args.detector,
        canvas=args.detect_size,
        tiles=args.detect_tiles,
        emotion=args.emotion,
        cache_dir=args.cache_dir,
        limits=ImageLimits(max_pixels=args.max_megapixels * MEGAPIXEL),
        decoding=DecodingSettings(args.decoders, args.decode_memory_mb * MEBIBYTE),
        downloads=not args.no_download,
    )


def unhurried(settings: VisionSettings) -> VisionSettings:
    """For work on many pictures, where none is given up because others take long."""
    return replace(settings, decoding=replace(settings.decoding, patience_s=LONGEST_WAIT_S))


def _take_defaults_from(parser: argparse.ArgumentParser, environment: Mapping[str, str]) -> None:
    """FACEWIRE_PORT=6000 is --port 6000. argparse runs a string default through the flag's own type."""
    for action in parser._actions:
        name = f"FACEWIRE_{action.dest.upper()}"
        # An empty one counts as not set: that is how compose files and units leave one out.
        value = environment.get(name)
        if action.option_strings and value and action.dest not in ("help", "version"):
            if action.choices is not None and value not in action.choices:
                parser.error(f"{name} must be one of {', '.join(map(str, action.choices))}, not '{value}'")
            action.default = value if action.nargs != 0 else value.lower() in ("1", "true", "yes")


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:  # which argparse would answer with this function's name
        raise argparse.ArgumentTypeError(f"must be a whole number, not '{text}'") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, not '{text}'") from error


def _port(text: str) -> int:
    value = _whole_number(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, not {text}")
    return value


def positive(text: str) -> int:
    """An argument of argparse: a whole number from 1 on."""
    value = _whole_number(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 < value <= LONGEST_WAIT_S:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most {LONGEST_WAIT_S} seconds, not {text}")
    return value


def _false_match_rate(text: str) -> float:
    value = _number(text)
    least, most = FMR_RANGE
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"must be from {least:f} to {most}, not {text}")
    return value


def _probability(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, not {text}")
    return value
