"""Settings: defaults, under FACEWIRE_* environment, under flags; what is wrong is one line and exit code 2."""

from __future__ import annotations

import argparse
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from facewire.server.settings import Settings, build_parser, parse
from facewire.server.tcp.limits import TcpLimits
from facewire.server.vision.opening import VisionSettings

# flag, a value, where it ends up, and what it is there
EVERY_FLAG: list[tuple[str, str, str, Any]] = [
    ("--host", "::1", "host", "::1"),
    ("--port", "6000", "port", 6000),
    ("--max-connections", "3", "tcp.max_connections", 3),
    ("--max-per-address", "2", "tcp.max_per_address", 2),
    ("--max-buffered-mb", "9", "tcp.max_buffered", 9 * 2**20),
    ("--max-wait", "1.25", "tcp.max_wait_s", 1.25),
    ("--max-frame-mb", "2", "tcp.max_frame", 2 * 2**20),
    ("--idle-timeout", "1.5", "tcp.idle_timeout_s", 1.5),
    ("--request-timeout", "2.5", "tcp.request_timeout_s", 2.5),
    ("--workers", "7", "tcp.workers", 7),
    ("--db", "other.db", "db", Path("other.db")),
    ("--fpir", "0.001", "fpir", 0.001),
    ("--fmr", "0.0001", "fmr", 0.0001),
    ("--model", "Dlib", "model", "Dlib"),
    ("--weights-dir", "weights", "vision.weights_dir", Path("weights")),
    ("--weights-mirror", "http://mirror", "vision.mirror", "http://mirror"),
    ("--runtime", "tensorflow", "vision.runtime", "tensorflow"),
    ("--detector", "dlib", "vision.detector", "dlib"),
    ("--detect-size", "640", "vision.canvas", 640),
    ("--detect-tiles", "4", "vision.tiles", 4),
    ("--emotion", "off", "vision.emotion", "off"),
    ("--max-megapixels", "5", "vision.limits.max_pixels", 5_000_000),
    ("--decoders", "3", "vision.decoding.processes", 3),
    ("--decode-memory-mb", "5", "vision.decoding.memory", 5 * 1024 * 1024),
    ("--cache-dir", "cache", "vision.cache_dir", Path("cache")),
    ("--albums", "pictures", "albums.root", Path("pictures")),
    ("--album-import-root", "photos", "albums.import_root", Path("photos")),
    ("--max-albums", "3", "albums.limits.albums", 3),
    ("--max-album-photos", "4", "albums.limits.photos", 4),
    ("--max-album-gb", "5", "albums.limits.album_bytes", 5 * 2**30),
    ("--max-zip-gb", "6", "albums.limits.zip_bytes", 6 * 2**30),
    ("--log-level", "debug", "log_level", "debug"),
]


def value_at(settings: Settings, place: str) -> Any:
    found: Any = settings
    for name in place.split("."):
        found = getattr(found, name)
    return found


def variable(flag: str) -> str:
    return "FACEWIRE_" + flag.removeprefix("--").replace("-", "_").upper()


def told(argv: list[str], environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that ends a start with these."""
    with pytest.raises(SystemExit) as stopped:
        parse(argv, environment)
    captured = capsys.readouterr()
    assert stopped.value.code == 2
    assert captured.out == ""
    assert captured.err.startswith("server_app.py: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_defaults() -> None:
    settings = parse([], {})
    assert (settings.host, settings.port, settings.db) == ("127.0.0.1", 5050, Path("data/facialdb.db"))
    assert (settings.model, settings.token, settings.fpir) == (None, None, 0.01)
    assert settings.tcp == TcpLimits()
    assert settings.vision == VisionSettings()


def test_the_table_above_has_every_flag() -> None:
    flags = {option for action in build_parser()._actions for option in action.option_strings if option[:2] == "--"}
    assert flags - {"--help", "--version", "--no-download"} == {flag for flag, *_ in EVERY_FLAG}


@pytest.mark.parametrize(("flag", "text", "place", "value"), EVERY_FLAG)
def test_flags_over_environment_over_defaults(flag: str, text: str, place: str, value: Any) -> None:
    default = value_at(parse([], {}), place)
    assert default != value
    assert value_at(parse([flag, text], {}), place) == value
    assert value_at(parse([], {variable(flag): text}), place) == value
    if default is not None:
        in_units = {
            "tcp.max_frame": "32",
            "tcp.max_buffered": "256",
            "vision.limits.max_pixels": "100",
            "vision.decoding.memory": "1024",
            "albums.limits.album_bytes": "200",
            "albums.limits.zip_bytes": "8",
        }
        written = in_units.get(place, str(default))
        assert value_at(parse([flag, written], {variable(flag): text}), place) == default


@pytest.mark.parametrize("flag", [flag for flag, *_ in EVERY_FLAG])
def test_an_empty_variable_is_none(flag: str) -> None:
    assert parse([], {variable(flag): ""}) == parse([], {})


@pytest.mark.parametrize(
    ("text", "downloads"), [("1", False), ("true", False), ("YES", False), ("0", True), ("", True)]
)
def test_a_switch_in_the_environment(text: str, downloads: bool) -> None:
    assert parse([], {"FACEWIRE_NO_DOWNLOAD": text}).vision.downloads is downloads


def test_a_switch_as_a_flag() -> None:
    assert parse(["--no-download"], {}).vision.downloads is False
    assert parse([], {}).vision.downloads is True


def test_the_token_comes_from_the_environment_only(capsys: pytest.CaptureFixture[str]) -> None:
    """A flag would show it to everybody who lists processes."""
    assert parse([], {"FACEWIRE_TOKEN": "open sesame"}).token == "open sesame"
    assert parse([], {"FACEWIRE_TOKEN": ""}).token is None
    assert "--token" in told(["--token", "open sesame"], {}, capsys)


def test_a_picture_may_be_as_large_as_a_frame() -> None:
    settings = parse(["--max-frame-mb", "64"], {})
    assert settings.vision.limits.max_bytes == settings.tcp.max_frame == 64 * 2**20


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        parse([], {}).port = 1  # type: ignore[misc]


WRONG = [
    ("--port", "65536", "0 to 65535"),
    ("--port", "-1", "0 to 65535"),
    ("--port", "http", "whole number, not 'http'"),
    ("--max-connections", "0", "at least 1"),
    ("--max-connections", "1.5", "whole number"),
    ("--max-frame-mb", "0", "at least 1"),
    ("--workers", "-3", "at least 1"),
    ("--idle-timeout", "0", "more than 0"),
    ("--idle-timeout", "soon", "number, not 'soon'"),
    ("--idle-timeout", "nan", "more than 0"),
    ("--request-timeout", "inf", "at most 86400"),
    ("--fpir", "0", "between 0 and 1"),
    ("--fpir", "1", "between 0 and 1"),
    ("--fpir", "never", "number, not 'never'"),
    ("--fmr", "0", "from 0.000001 to 0.1"),
    ("--fmr", "nan", "from 0.000001 to 0.1"),
    ("--fmr", "1", "from 0.000001 to 0.1"),
    ("--detect-size", "0", "at least 1"),
    ("--max-megapixels", "none", "whole number"),
    ("--runtime", "abacus", "openvino"),
    ("--detector", "eyes", "yunet"),
    ("--emotion", "on", "facewire"),
    ("--log-level", "loud", "warning"),
]


@pytest.mark.parametrize(("flag", "text", "explained"), WRONG)
def test_a_wrong_value_is_one_line(flag: str, text: str, explained: str, capsys: pytest.CaptureFixture[str]) -> None:
    from_flag = told([f"{flag}={text}"], {}, capsys)
    assert flag in from_flag
    assert explained in from_flag
    from_environment = told([], {variable(flag): text}, capsys)
    assert flag in from_environment or variable(flag) in from_environment
    assert explained in from_environment


@pytest.mark.parametrize("argv", [["--prot", "1"], ["stray"], ["--port"]])
def test_wrong_usage_is_one_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--help" in told(argv, {}, capsys)


def test_help_explains_everything(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(["--help"], {})
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    for action in build_parser()._actions:
        assert all(option in shown for option in action.option_strings)
        assert action.help not in (None, argparse.SUPPRESS)
    assert "exit codes" in shown
    assert "%(" not in shown
