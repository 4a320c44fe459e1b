"""Settings: defaults, under FACEWIRE_* environment, under flags; what is wrong is one line and exit code 2."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest

from facewire.protocol.arguments import BriefParser, Declared, declared, flags, read
from facewire.protocol.settings import Unit, setting
from facewire.server.settings import Settings, parse
from facewire.server.tcp.limits import TcpLimits
from facewire.server.vision.opening import VisionSettings

DECLARED = [each for each in declared(Settings) if each.hint is not bool]
FLAGS = [each.flag for each in DECLARED]


def another(each: Declared) -> tuple[str, Any]:
    """What could be typed for a setting, other than its default, and what it is then."""
    if get_origin(each.hint) is Literal:
        return (chosen := next(choice for choice in get_args(each.hint) if choice != each.default)), chosen
    if each.hint in (int, float):
        number = each.hint((each.default or 0) // each.setting.unit.size + 1) if each.hint is int else each.default / 2
        return str(number), number * each.setting.unit.size
    return "other", each.hint("other")


# flag, a value, where it ends up, and what it is there
UNITS: list[tuple[str, str, str, Any]] = [
    ("--max-buffered-mb", "9", "tcp.max_buffered", 9 * 2**20),
    ("--max-frame-mb", "2", "tcp.max_frame", 2 * 2**20),
    ("--max-wait", "1.25", "tcp.max_wait_s", 1.25),
    ("--max-megapixels", "5", "vision.limits.max_pixels", 5_000_000),
    ("--decode-memory-mb", "5", "vision.decoding.memory", 5 * 1024 * 1024),
    ("--max-album-gb", "5", "albums.limits.album_bytes", 5 * 2**30),
    ("--max-video-mb", "7", "albums.limits.video_bytes", 7 * 2**20),
    ("--max-zip-gb", "6", "albums.limits.zip_bytes", 6 * 2**30),
    ("--max-zip-gb", "6", "albums.limits.zip_expanded", 24 * 2**30),
    ("--max-megapixels", "5", "albums.limits.photo_pixels", 5_000_000),
    ("--max-frame-mb", "2", "vision.limits.max_bytes", 2 * 2**20),
    ("--model", "Dlib", "vision.model", "Dlib"),
    ("--db", "a/other.db", "albums.root", Path("a/other.albums")),
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


@pytest.mark.parametrize("each", DECLARED, ids=FLAGS)
def test_flags_over_environment_over_defaults(each: Declared) -> None:
    place = ".".join(each.path)
    text, value = another(each)
    default = value_at(parse([], {}), place)
    assert each.variable == variable(each.flag)
    assert default != value
    assert value_at(parse([each.flag, text], {}), place) == value
    assert value_at(parse([], {each.variable: text}), place) == value
    if default is not None:
        written = str(default if each.default is None else each.default_shown)
        assert value_at(parse([each.flag, written], {each.variable: text}), place) == default


@pytest.mark.parametrize(("flag", "text", "place", "value"), UNITS)
def test_units_and_what_follows_from_others(flag: str, text: str, place: str, value: Any) -> None:
    assert value_at(parse([flag, text], {}), place) == value
    assert value_at(parse([], {variable(flag): text}), place) == value


def test_the_flags_are_those_that_are_documented() -> None:
    """Whoever takes one away breaks somebody's start script."""
    assert sorted(FLAGS) == sorted(
        (
            *("--tls-cert", "--tls-key", "--client-ca", "--tokens", "--audit-log"),
            *("--host", "--port", "--db", "--fpir", "--fmr", "--model", "--log-level", "--workers"),
            *("--max-connections", "--max-per-address", "--max-buffered-mb", "--max-wait", "--max-frame-mb"),
            *("--idle-timeout", "--request-timeout", "--weights-dir", "--weights-mirror", "--runtime", "--precision"),
            *("--detector",),
            *(
                "--detect-size",
                "--detect-tiles",
                "--emotion",
                "--max-megapixels",
                "--decoders",
                "--decode-memory-mb",
                "--cache-dir",
            ),
            *("--albums", "--album-import-root", "--max-albums", "--max-album-photos", "--max-album-gb"),
            *("--max-video-mb", "--max-zip-gb", "--clip"),
            *("--log-format", "--metrics-port", "--metrics-host"),
        )
    )


@pytest.mark.parametrize("flag", FLAGS)
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
    ("--precision", "f64", "int8"),
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
    for each in declared(Settings):
        assert f"  {each.flag}" in shown
        assert each.setting.help.split("(")[0][:40] in " ".join(shown.split())
        assert each.setting.help or each.default is not None
    assert "exit codes" in shown
    assert "%(" not in shown


# ---- how any dataclass is declared and read


@dataclass(frozen=True)
class Oven:
    heat: int = setting(180, help="degrees", metavar="C")
    weight: int = setting(2000, unit=Unit(1000), flag="--kilos")
    light: bool = setting(True, flag="--dark", help="no light")
    fan: bool = setting(False, help="blows")
    door: str = "closed"


@dataclass(frozen=True)
class Kitchen:
    name: str = setting(help="of the kitchen")
    oven: Oven = field(default_factory=Oven)


def kitchen(*words: str) -> Kitchen:
    parser = BriefParser("kitchen")
    flags(parser, Kitchen)
    return read(Kitchen, parser.parse_args(words))


def test_a_setting_says_its_flag_unit_and_switch() -> None:
    assert kitchen("--name", "Ours") == Kitchen("Ours")
    assert kitchen("--name=K", "--kilos=3", "--dark", "--fan").oven == Oven(180, 3000, False, True)


def test_what_is_known_is_not_read() -> None:
    parser = BriefParser("kitchen")
    flags(parser, Oven, without=("heat", "weight"))
    assert read(Oven, parser.parse_args(["--dark"]), heat=1, weight=2, door="open") == Oven(1, 2, False, False, "open")


def test_some_of_the_settings() -> None:
    parser = BriefParser("kitchen")
    flags(parser, Oven, only=("heat",))
    assert vars(parser.parse_args(["--heat", "5"])) == {"heat": 5}


def test_no_albums_and_where_they_are_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--no-albums" in told(["--no-albums", "--albums", "here"], {}, capsys)
    assert "--no-albums" in told(["--album-import-root", "there"], {"FACEWIRE_NO_ALBUMS": "1"}, capsys)
    assert parse(["--no-albums"], {}).albums.absent
