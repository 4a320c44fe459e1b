"""The tokens of a server.

  python scripts/tokens.py create NAME --may identify,enrol   makes one, and shows it this once
  python scripts/tokens.py list                               who has which rights, and until when
  python scripts/tokens.py revoke NAME                        ends one, open connections too

The file (--tokens) is the one that server_app.py --tokens reads. What is done here is in force at once: a running
server looks at the file at each request. It holds hashes, so a lost token can't be shown again.

rights:
  identify   who is in a picture; detect, embed, verify
  enrol      add pictures of people; look at who is enrolled
  manage     rename, merge, split, remove, erase, undo, history; look at who is enrolled
  albums     everything in albums; with identify also naming their people from the gallery, with enrol adding them to it
  view       look at albums, search them and download from them, changing nothing
  operate    health, stats
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from facewire.protocol.arguments import Parser, flags, read
from facewire.protocol.command_names import as_called
from facewire.protocol.rights import RIGHTS, Right
from facewire.protocol.text import did_you_mean, printable
from facewire.server.access.token_file import MOST_SEEN, MOST_TOKENS, changing, read_tokens
from facewire.server.access.tokens import MASTER, Limits, Token, digest_of
from facewire.server.errors import StartError
from facewire.server.names import objection, tidy

DEFAULT_TOKENS = Path("data/tokens.json")
_SECRET_BYTES = 32  # 256 bits: nobody finds one by trying, with a hash of it or without
_LONGEST_NAME = 60
_SPANS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        _COMMANDS[args.command](args)
    except StartError as error:
        print(as_called(printable(f"tokens.py: {error}")), file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        raise  # the reader of our output is gone
    except OSError as error:
        print(
            as_called("tokens.py: ") + printable(f"{args.tokens} can't be written: {error.strerror or error}"),
            file=sys.stderr,
        )
        return 3
    return 0


def _create(args: argparse.Namespace) -> None:
    text = f"facewire_{secrets.token_urlsafe(_SECRET_BYTES)}"  # the prefix is for scanners of leaked secrets
    now = time.time()
    if args.person is not None and args.album is None and not args.may.isdisjoint(("albums", "view")):
        raise StartError(
            "albums have names of their own: with --person, say by --album which ones it sees", exit_code=2
        )
    token = Token(
        args.name, digest_of(text), args.may, now,
        None if args.expires is None else now + args.expires,
        _seen(args.person), _seen(args.album), read(Limits, args),
    )  # fmt: skip
    with changing(args.tokens) as tokens:
        if args.name in tokens:
            raise StartError(f"there is a token '{args.name}' already: revoke it first", exit_code=2)
        if len(tokens) >= MOST_TOKENS:
            raise StartError(f"{args.tokens} has {MOST_TOKENS} tokens, which is the limit", exit_code=2)
        tokens[args.name] = token
    print(text)
    if args.link is not None:
        print(f"{args.link}/login#{text}")
    print(f"this is shown once: {_described(token, now)}", file=sys.stderr)


def _list(args: argparse.Namespace) -> None:
    tokens = sorted(read_tokens(args.tokens).values(), key=lambda token: token.name)
    for token in tokens:
        print(printable(_described(token, time.time())))
    if not tokens:
        print(f"no tokens in {args.tokens}", file=sys.stderr)


def _revoke(args: argparse.Namespace) -> None:
    with changing(args.tokens) as tokens:
        if tokens.pop(args.name, None) is None:
            raise StartError(f"there is no token '{args.name}'{did_you_mean(args.name, tokens)}", exit_code=2)
    print(f"revoked {args.name}")


_COMMANDS = {"create": _create, "list": _list, "revoke": _revoke}


def _described(token: Token, now: float) -> str:
    parts = [f"{token.name}: may {', '.join(right for right in RIGHTS if right in token.rights)}"]
    if token.expires is not None:
        parts.append(f"{'expired' if token.is_over(now) else 'expires'} {_at(token.expires)}")
    for what, seen in (("people", token.people), ("albums", token.albums)):
        if seen is not None:
            parts.append(f"{what} {', '.join(sorted(seen))}")
    return "; ".join((*parts, f"created {_at(token.created)}"))


def _at(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")


def _seen(names: Sequence[str] | None) -> frozenset[str] | None:
    if names is None:
        return None
    if len(names) > MOST_SEEN:
        raise StartError(f"a token can be limited to {MOST_SEEN} names, not {len(names)}", exit_code=2)
    return frozenset(map(tidy, names))


def _name(text: str) -> str:
    name = tidy(text)
    reason = objection(name)
    if not name or len(name) > _LONGEST_NAME or name == MASTER:
        reason = f"can't be empty, longer than {_LONGEST_NAME} characters, or {MASTER}"
    if reason is not None:
        raise argparse.ArgumentTypeError(f"the name of a token {reason}")
    return name


def _rights(text: str) -> frozenset[Right]:
    words = frozenset(word.strip() for word in text.split(","))
    if unknown := sorted(words - set(RIGHTS)):
        hint = did_you_mean(unknown[0], RIGHTS)
        raise argparse.ArgumentTypeError(f"there is no right '{unknown[0]}'{hint} (choose from {', '.join(RIGHTS)})")
    return cast(frozenset[Right], words)


def _page(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise argparse.ArgumentTypeError(f"must be the page's address, as https://photos.example, not '{text}'")
    return text.rstrip("/")


def _span(text: str) -> float:
    found = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"must be a number and m, h, d or w, as 30d for thirty days, not '{text}'")
    return int(found[1]) * _SPANS[found[2]]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="tokens.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.tell_version()
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in (
        ("create", "make a token, and show it"),
        ("list", "list the tokens"),
        ("revoke", "end a token"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        if name != "list":
            command.add_argument("name", type=_name if name == "create" else tidy, metavar="NAME")
        command.add_argument(
            "--tokens", type=Path, default=DEFAULT_TOKENS, metavar="FILE", help="the file (default: %(default)s)"
        )
        if name == "create":
            _add_choices(command)
    return parser


def _add_choices(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--may", type=_rights, required=True, metavar="RIGHTS", help=f"of {', '.join(RIGHTS)}; separated by commas"
    )
    command.add_argument(
        "--expires", type=_span, metavar="SPAN", help="for how long, as 30d, 12h or 2w (default: ever)"
    )
    command.add_argument(
        "--person", action="append", metavar="NAME",
        help="it sees this person, and nobody else's name; may be given several times (default: everybody)",
    )  # fmt: skip
    command.add_argument(
        "--album", action="append", metavar="NAME",
        help="it sees this album, and no other; may be given several times (default: all)",
    )  # fmt: skip
    command.add_argument(
        "--link", type=_page, metavar="URL",
        help="also print a link that logs a browser in at the page there, as https://photos.example",
    )  # fmt: skip
    flags(command.add_argument_group("limits"), Limits)
