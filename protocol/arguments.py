"""Command lines: the parser of every command, what its arguments may be, and flags made of declared settings."""

from __future__ import annotations

import argparse
import re
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from typing import Any, Literal, NoReturn, Protocol, TypeVar, get_args, get_origin, get_type_hints

from facewire.protocol.settings import AT_LEAST_1, PORT, SECONDS, Range, Setting
from facewire.protocol.text import did_you_mean, printable
from facewire.protocol.version import VERSION

T = TypeVar("T")

_NO_CHOICE = re.compile(r"invalid choice: '(.*)' \(choose from (.*)\)")  # argparse's words, else they stay as they are


class Parser(argparse.ArgumentParser):
    """argparse's, but what was typed is shown as `printable` shows it."""

    hint = ""
    """Follows every complaint."""

    def tell_version(self) -> None:
        """Take --version, as every command does."""
        self.add_argument("--version", action="version", version=f"facewire {VERSION}", help="show facewire's version")

    def error(self, message: str) -> NoReturn:
        """As argparse's own, made harmless; of a mistyped command it says what that may have meant."""
        told = _NO_CHOICE.sub(lambda found: _no_such(found[1], re.findall(r"[^', ]+", found[2])), message)
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {printable(told + self.hint)}\n")


class BriefParser(Parser):
    """For commands with more flags than one wants to see before a complaint: that is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)} (--help explains every flag)\n")


# ---- what an argument may be: values for `type=`


def whole(allowed: Range) -> Callable[[str], int]:
    """A whole number in a range."""
    return lambda text: _checked(text, int, "a whole number", allowed)


def number(allowed: Range) -> Callable[[str], float]:
    """A number in a range."""
    return lambda text: _checked(text, float, "a number", allowed)


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """One of some words; what a mistyped one may have meant is suggested."""

    def read(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(_no_such(text, choices))
        return text

    return read


def _no_such(word: str, choices: Collection[str]) -> str:
    """The complaint about a word that is none of `choices`."""
    return f"there is no '{word}'{did_you_mean(word, choices)} (choose from {', '.join(choices)})"


def among(choices: Sequence[str]) -> str:
    """How usage shows `one_of` these."""
    return f"{{{','.join(choices)}}}"


positive = whole(AT_LEAST_1)
port = whole(PORT)
seconds = number(SECONDS)


def _checked(text: str, kind: Callable[[str], T], called: str, allowed: Range) -> T:
    try:
        value = kind(text)
    except ValueError as error:  # which argparse would answer with a function's name
        raise argparse.ArgumentTypeError(f"must be {called}, not '{text}'") from error
    if not allowed.holds(value):  # type: ignore[arg-type]  # `kind` is int or float
        raise argparse.ArgumentTypeError(f"must be {allowed.words}, not {text}")
    return value


# ---- flags of declared settings


class TakesArguments(Protocol):
    """A parser, or a group of one."""

    def add_argument(self, *names: str, **options: Any) -> argparse.Action: ...


@dataclass(frozen=True, slots=True)
class Declared:
    """A setting of a dataclass. `path`: the fields that lead to it; `hint`: its type, without None."""

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
        """What its value is called among parsed arguments."""
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"FACEWIRE_{self.name.upper()}"

    @property
    def choices(self) -> tuple[str, ...]:
        """What it may be, where that is one of a few words."""
        return get_args(self.hint) if get_origin(self.hint) is Literal else ()

    @property
    def metavar(self) -> str | None:
        numeric = self.setting.range.metavar if self.hint in (int, float) else None
        return self.setting.metavar or (among(self.choices) if self.choices else numeric)

    @property
    def default_told(self) -> Any:
        """The default in the flag's unit."""
        return self.default // self.setting.unit.size if isinstance(self.default, int) else self.default

    def value(self, args: argparse.Namespace) -> Any:
        """The field's value: in its own unit, and not the opposite of it."""
        told = getattr(args, self.name)
        if self.hint is bool:
            return told is not self.default
        return told * self.setting.unit.size if isinstance(told, int) else told


def declared(cls: type) -> Iterator[Declared]:
    """The settings of a dataclass, and of those that are its fields."""
    hints = get_type_hints(cls)
    for each in fields(cls):
        hint = hints[each.name]
        told = each.metadata.get(Setting)
        if told is not None:
            if get_origin(hint) is types.UnionType:
                hint = next(kind for kind in get_args(hint) if kind is not types.NoneType)
            yield Declared((each.name,), told, hint, _default(each))
        elif is_dataclass(hint):
            for inner in declared(hint):  # type: ignore[arg-type]  # a class: hints are
                yield Declared((each.name, *inner.path), inner.setting, inner.hint, inner.default)


def flags(where: TakesArguments, cls: type, *, only: Collection[str] = (), without: Collection[str] = ()) -> None:
    """Gives a parser, or a group of one, a flag for every setting of `cls`; `only` those, or `without` those."""
    for each in declared(cls):
        name = each.path[-1]
        if name in without or (only and name not in only):
            continue
        if each.hint is bool:
            where.add_argument(each.flag, action="store_true", help=each.setting.help)
            continue
        where.add_argument(
            each.flag,
            default=each.default_told,
            type=each.setting.parse or _reader(each),
            metavar=each.metavar,
            help=_with_default(each.setting.help, each.default_told),
        )


def read(cls: type[T], args: argparse.Namespace, **known: Any) -> T:
    """The `cls` that parsed arguments say; `known`: fields that are not read from these."""
    values = dict(known)
    hints = get_type_hints(cls)
    for each in declared(cls):
        first, *rest = each.path
        if first not in values:
            values[first] = read(hints[first], args) if rest else each.value(args)
    return cls(**values)


def take_environment(parser: argparse.ArgumentParser, cls: type, environment: Mapping[str, str]) -> None:
    """Makes the environment the defaults of a parser that has the flags of `cls`: FACEWIRE_PORT=6000 is --port 6000.

    argparse reads them as it reads flags, where no flag overrides them. An empty one counts as not set: that is how
    compose files and units leave one out.
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
