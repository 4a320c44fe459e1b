"""Command lines: the parser of every command, argument types, and flags generated from declared settings."""

from __future__ import annotations

import argparse
import re
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, TypeVar, get_args, get_origin, get_type_hints

from facewire.protocol.command_names import as_called
from facewire.protocol.settings import AT_LEAST_1, PORT, SECONDS, Range, Setting
from facewire.protocol.text import did_you_mean, printable
from facewire.protocol.version import VERSION

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

T = TypeVar("T")

_NO_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)")  # argparse's message; others are left unchanged


class Parser(argparse.ArgumentParser):
    """argparse's parser, with user input in its messages passed through `printable`, and commands called as the user
    calls them."""

    hint = ""
    """Appended to every error message."""

    def tell_version(self) -> None:
        """Adds --version."""
        self.add_argument("--version", action="version", version=f"facewire {VERSION}", help="show facewire's version")

    def error(self, message: str) -> NoReturn:
        """argparse's own message, made printable; for a mistyped command it suggests the intended one."""
        better = _NO_CHOICE.sub(lambda found: _no_such(found[1], re.findall(r"[^', ]+", found[2])), message)
        self.print_usage(sys.stderr)
        self.exit(2, f"{as_called(self.prog)}: error: {printable(better + self.hint)}\n")

    def format_usage(self) -> str:
        """argparse's text."""
        return as_called(super().format_usage())

    def format_help(self) -> str:
        """argparse's text."""
        return as_called(super().format_help())

    def print_help(self, file: SupportsWrite[str] | None = None) -> None:
        """Raises OSError: argparse's own says nothing where a help of over 8 KiB could not be written."""
        (file or sys.stdout).write(self.format_help())


class BriefParser(Parser):
    """Reports errors in one line, without usage, for commands with many flags."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{as_called(self.prog)}: {printable(message)} (--help explains every flag)\n")


# ---- argument types: values for `type=`


def whole(allowed: Range) -> Callable[[str], int]:
    """A whole number in a range."""
    return lambda text: _checked(text, int, "a whole number", allowed)


def number(allowed: Range) -> Callable[[str], float]:
    """A number in a range."""
    return lambda text: _checked(text, float, "a number", allowed)


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """One of a few words; suggests the intended one if mistyped."""

    def read(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(_no_such(text, choices))
        return text

    return read


def _no_such(word: str, choices: Collection[str]) -> str:
    """The error message for a word that is not in `choices`."""
    return f"there is no '{word}'{did_you_mean(word, choices)} (choose from {', '.join(choices)})"


def among(choices: Sequence[str]) -> str:
    """How usage shows `one_of(choices)`."""
    return f"{{{','.join(choices)}}}"


positive = whole(AT_LEAST_1)
port = whole(PORT)
seconds = number(SECONDS)


def _checked(text: str, kind: Callable[[str], T], called: str, allowed: Range) -> T:
    try:
        value = kind(text)
    except ValueError as error:  # for which argparse would show a function's name
        raise argparse.ArgumentTypeError(f"must be {called}, not '{text}'") from error
    if not allowed.holds(value):  # type: ignore[arg-type]  # `kind` is int or float
        raise argparse.ArgumentTypeError(f"must be {allowed.words}, not {text}")
    return value


# ---- flags from declared settings


class TakesArguments(Protocol):
    """A parser or an argument group."""

    def add_argument(self, *names: str, **options: Any) -> argparse.Action: ...


@dataclass(frozen=True, slots=True)
class Declared:
    """A setting of a dataclass. `path`: the field names leading to it; `hint`: its type, without None."""

    path: tuple[str, ...]
    setting: Setting
    hint: Any
    default: Any

    @property
    def flag(self) -> str:
        name = self.path[-1].removesuffix("_s").replace("_", "-")
        return self.setting.flag or f"--{name}{self.setting.unit.suffix}"

    @property
    def name(self) -> str:
        """Its name among the parsed arguments."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"FACEWIRE_{self.name.upper()}"

    @property
    def choices(self) -> tuple[str, ...]:
        """Its allowed values if it is a Literal; else empty."""
        return get_args(self.hint) if get_origin(self.hint) is Literal else ()

    @property
    def metavar(self) -> str | None:
        numeric = self.setting.range.metavar if self.hint in (int, float) else None
        return self.setting.metavar or (among(self.choices) if self.choices else numeric)

    @property
    def default_shown(self) -> Any:
        """The default in the flag's unit."""
        return self.default // self.setting.unit.size if isinstance(self.default, int) else self.default

    def value(self, args: argparse.Namespace) -> Any:
        """The field's value from parsed arguments, converted from the flag's unit, and negated for an off switch."""
        given = getattr(args, self.name)
        if self.hint is bool:
            return given is not self.default
        return given * self.setting.unit.size if isinstance(given, int) else given


def declared(cls: type) -> Iterator[Declared]:
    """The settings of a dataclass, including those of nested dataclasses."""
    hints = get_type_hints(cls)
    for each in fields(cls):
        hint = hints[each.name]
        setting = each.metadata.get(Setting)
        if setting is not None:
            if get_origin(hint) is types.UnionType:
                hint = next(kind for kind in get_args(hint) if kind is not types.NoneType)
            yield Declared((each.name,), setting, hint, _default(each))
        elif is_dataclass(hint):
            for inner in declared(hint):  # type: ignore[arg-type]  # hints are classes
                yield Declared((each.name, *inner.path), inner.setting, inner.hint, inner.default)


def flags(where: TakesArguments, cls: type, *, only: Collection[str] = (), without: Collection[str] = ()) -> None:
    """Adds a flag for every setting of `cls` to a parser or group; limited to `only`, or all but `without`."""
    for each in declared(cls):
        name = each.path[-1]
        if name in without or (only and name not in only):
            continue
        if each.hint is bool:
            where.add_argument(each.flag, action="store_true", help=each.setting.help)
            continue
        where.add_argument(
            each.flag,
            default=each.default_shown,
            type=each.setting.parse or _reader(each),
            metavar=each.metavar,
            help=_with_default(each.setting.help, each.default_shown),
        )


def read(cls: type[T], args: argparse.Namespace, **known: Any) -> T:
    """Builds `cls` from parsed arguments; `known`: fields given directly."""
    values = dict(known)
    hints = get_type_hints(cls)
    for each in declared(cls):
        first, *rest = each.path
        if first not in values:
            values[first] = read(hints[first], args) if rest else each.value(args)
    return cls(**values)


def take_environment(parser: argparse.ArgumentParser, cls: type, environment: Mapping[str, str]) -> None:
    """Uses the environment as defaults of a parser with the flags of `cls`: FACEWIRE_PORT=6000 means --port 6000.

    argparse parses them like flags, unless a flag overrides them. An empty variable counts as not set, because that is
    how compose files and units omit one.
    """
    for each in declared(cls):
        value = environment.get(each.variable)
        if not value:
            continue
        if each.choices and value not in each.choices:
            parser.error(f"{each.variable} must be one of {', '.join(each.choices)}, not '{value}'")
        parser.set_defaults(**{each.name: value.lower() in ("1", "true", "yes") if each.hint is bool else value})


def _default(each: Field[Any]) -> Any:
    if each.default_factory is not MISSING:
        return each.default_factory()
    return None if each.default is MISSING else each.default


def _reader(each: Declared) -> Callable[[str], Any]:
    if each.choices:
        return one_of(each.choices)
    kinds: dict[Any, Callable[[Range], Callable[[str], Any]]] = {int: whole, float: number}
    reader: Callable[[str], Any] = kinds[each.hint](each.setting.range) if each.hint in kinds else each.hint
    return reader


def _with_default(help: str, default: Any) -> str:
    if default is None or "(default" in help:
        return help
    shown = "%(default)g" if isinstance(default, float) else "%(default)s"
    return f"{help} (default: {shown})".lstrip()
