"""`client_app.py camera SOURCE`: who comes, who is it, and who leaves?"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sqlite3
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from facewire.client.camera.source import BadSource, Source, parse_source
from facewire.client.commands.common import (
    EXIT_ALL_MATCHED,
    EXIT_FAILED,
    Commands,
    PlainRun,
    Usage,
    argument,
    complain,
)
from facewire.client.face_client import FaceClient
from facewire.client.tls import Tls
from facewire.protocol.arguments import number, seconds, whole
from facewire.protocol.settings import between

if TYPE_CHECKING:
    from facewire.client.camera.drawing import View
    from facewire.client.camera.sinks import Sink
    from facewire.client.camera.watching import Draw

COMMANDS: Commands[PlainRun] = Commands()

_NEEDED = ("av", "cv2", "numpy")
_LONGEST_NAME = 100

_EPILOG = """\
Prints a line of JSON an event: appeared, named, stranger, left; camera_lost and camera_back. A live camera is watched
until Ctrl-C, through every loss of the stream or the server; a file until its end. docs/cameras.md says more.

environment: FACEWIRE_CAMERA_SOURCE (a URL with a password, which a command line would show to others),
FACEWIRE_WEBHOOK_SECRET, FACEWIRE_MQTT_PASSWORD, FACEWIRE_TOKEN

examples:
  client_app.py camera rtsp://10.0.0.7/stream1 --name "Front door"
  client_app.py camera 0 --draw http://127.0.0.1:8090
  client_app.py camera rtsp://10.0.0.7/stream1 --mqtt mqtt://homeassistant.local --record-nothing
  client_app.py camera visit.mp4 --save faces/
"""


@COMMANDS.add(
    "camera",
    "Watches a camera: says who appears, who they are, and who leaves.",
    argument(
        "source", nargs="?", default=os.environ.get("FACEWIRE_CAMERA_SOURCE"), metavar="SOURCE",
        help="an rtsp:// or http:// URL, a device's number, or a video file",
    ),
    argument("--name", help="the camera's name in events (default: the source, without its password)"),
    argument(
        "--rate", type=number(between(0.1, 30)), default=5.0, metavar="N",
        help="look at no more than this many frames a second; fewer if the server takes longer (default: %(default)g)",
    ),
    argument(
        "--width", type=whole(between(160, 7680)), default=1280, metavar="PX",
        help="scale down wider frames before sending (default: %(default)s)",
    ),
    argument("--gone", type=seconds, default=3.0, metavar="S",
             help="seconds out of sight after which somebody has left (default: %(default)g)"),
    argument("--cooldown", type=seconds, default=60.0, metavar="S",
             help="seconds out of sight before the same person is named again (default: %(default)g)"),
    argument("--silence", type=seconds, default=10.0, metavar="S",
             help="seconds without a picture after which a stream counts as lost (default: %(default)g)"),
    argument("--quiet", action="store_true", help="print no events"),
    argument("--webhook", metavar="URL", help="POST every event there, signed with FACEWIRE_WEBHOOK_SECRET"),
    argument("--outbox", type=Path, metavar="FILE",
             help="where events wait for the webhook (default: a file in ~/.local/state/facewire)"),
    argument("--mqtt", metavar="URL", help="publish to a broker, mqtt://[USER@]HOST[:PORT] or mqtts://"),
    argument("--mqtt-ca", type=Path, metavar="FILE", help="mqtts: trust the authorities in this file (PEM)"),
    argument("--save", type=Path, metavar="DIR", help="write everybody's best picture there, keeping the last 5000"),
    argument("--draw", metavar="WHERE", help="show frames with names: `window`, or http://127.0.0.1:PORT"),
    argument("--record-nothing", action="store_true", help="keep no pictures, and send them only to the server"),
    epilog=_EPILOG,
)  # fmt: skip
def camera(arguments: argparse.Namespace) -> int:
    """Watches until Ctrl-C, or a file's end; gives the exit code. Raises Usage and ClientError."""
    source = _checked(arguments)
    # Here, as a thin client has neither of these
    from facewire.client.camera.frames import Camera, CameraSettings
    from facewire.client.camera.observer import Observer, Rules
    from facewire.client.camera.watching import CannotWatch, Pace, Watching

    name = arguments.name or source.shown
    rules = Rules(gone_s=arguments.gone, cooldown_s=arguments.cooldown, record=not arguments.record_nothing)
    step_s = 1 / arguments.rate
    with ExitStack() as stack:
        view = _view(arguments, stack)
        sinks = _sinks(arguments, source, name, stack)
        client = _client(arguments)
        stack.callback(client.close)
        frames = Camera(source, CameraSettings(arguments.width, step_s, arguments.silence))
        stack.callback(frames.close)
        watching = Watching(
            name, source.shown, frames, client, Observer(name, rules, live=source.live), sinks, complain,
            Pace(source.live, step_s), view, _drawer(view),
        )  # fmt: skip
        try:
            watching.run()
        except CannotWatch as error:
            complain(str(error))
            return EXIT_FAILED
    return EXIT_ALL_MATCHED


def _checked(arguments: argparse.Namespace) -> Source:
    """The source. Raises Usage for what can't be."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing or (arguments.mqtt and importlib.util.find_spec("paho") is None):
        raise Usage("cameras need more packages: pip install 'facewire[camera]'")
    if arguments.source is None:
        raise Usage("name a SOURCE: a URL, a device's number or a video file")
    if arguments.record_nothing and arguments.save is not None:
        raise Usage("--save keeps pictures, --record-nothing keeps none")
    if arguments.name is not None and not 0 < len(arguments.name) <= _LONGEST_NAME:
        raise Usage(f"--name takes 1 to {_LONGEST_NAME} characters")
    try:
        return parse_source(arguments.source)
    except BadSource as error:
        raise Usage(str(error)) from error


def _client(arguments: argparse.Namespace) -> FaceClient:
    """One that doesn't ask again by itself: a newer frame is better than the same again. Raises Usage."""
    if (arguments.cert is None) != (arguments.key is None):
        raise Usage("--cert and --key go together")
    wanted = arguments.tls or arguments.ca or arguments.cert
    return FaceClient(
        arguments.host, arguments.port, timeout=arguments.timeout, token=arguments.token,
        tls=Tls(arguments.ca, arguments.cert, arguments.key) if wanted else None,
    )  # fmt: skip


def _sinks(arguments: argparse.Namespace, source: Source, name: str, stack: ExitStack) -> list[Sink]:
    """Those that were asked for, each closed by `stack`. Raises Usage."""
    from facewire.client.camera.saving import saving
    from facewire.client.camera.sinks import json_lines

    sinks: list[Sink] = []
    if not arguments.quiet:
        sinks.append(json_lines(complain))
        stack.callback(sinks[-1].close)
    if arguments.save is not None:
        try:
            sinks.append(saving(arguments.save, complain))
        except OSError as error:
            raise Usage(f"--save {arguments.save}: {error.strerror}") from error
        stack.callback(sinks[-1].close)
    if arguments.webhook is not None:
        sinks.append(_webhook(arguments, source))
        stack.callback(sinks[-1].close)
    if arguments.mqtt is not None:
        sinks.append(_mqtt(arguments, name))
        stack.callback(sinks[-1].close)
    return sinks


def _webhook(arguments: argparse.Namespace, source: Source) -> Sink:
    from facewire.client.camera.outbox import Outbox, OutboxInUse
    from facewire.client.camera.webhook import BadUrl, Webhook

    secret = os.environ.get("FACEWIRE_WEBHOOK_SECRET")
    if not secret:
        raise Usage("set FACEWIRE_WEBHOOK_SECRET, with which the receiver checks the signature")
    path = arguments.outbox
    if path is None:
        state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
        both = f"{source.where}\n{arguments.webhook}".encode()
        path = state / "facewire" / f"outbox-{sha256(both).hexdigest()[:12]}.db"
    try:
        return Webhook(arguments.webhook, secret, Outbox(path), complain)
    except (BadUrl, OutboxInUse) as error:
        raise Usage(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        raise Usage(f"--outbox {path}: {getattr(error, 'strerror', None) or error}") from error


def _mqtt(arguments: argparse.Namespace, name: str) -> Sink:
    from facewire.client.camera.mqtt import BadBroker, Mqtt, parse_broker

    password = os.environ.get("FACEWIRE_MQTT_PASSWORD") or None
    pictures = not arguments.record_nothing
    try:
        return Mqtt(name, parse_broker(arguments.mqtt), password, arguments.mqtt_ca, complain, pictures=pictures)
    except BadBroker as error:
        raise Usage(str(error)) from error


def _view(arguments: argparse.Namespace, stack: ExitStack) -> View | None:
    if arguments.draw is None:
        return None
    from facewire.client.camera.drawing import BadView, open_view

    try:
        view = open_view(arguments.draw)
    except BadView as error:
        raise Usage(str(error)) from error
    stack.callback(view.close)
    return view


def _drawer(view: View | None) -> Draw | None:
    if view is None:
        return None
    from facewire.client.render import draw

    return draw
