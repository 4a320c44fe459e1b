"""Text for people: makes text safe for a terminal, formats counts, and suggests corrections of mistyped words.

Names of people, files and albums, and a server's messages, are untrusted. Printed raw, they could move the cursor,
retitle a window or read backwards. So client, server and scripts print them through `printable`.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

_JOINERS = "\u200c\u200d"  # zero-width joiners, needed for Persian and Indian words and for composite emoji
_VIRAMA = 9  # combining class of the sign after which a joiner may end an Indian word
_FLAG, _TAGS = "\U0001f3f4", range(0xE0020, 0xE0080)  # the flags of England, Scotland and Wales are tagged black flags


def printable(text: str) -> str:
    """`text` on one line: control characters, changes of text direction and invisible characters are escaped.

    Examples: `\\x1b` for a control character, `\\u202e` for others, `\\xe9` for a byte of a file name that is not
    UTF-8. Joiners are kept where they join; spaces of every width are kept.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(text, at, character) for at, character in enumerate(text))


def printable_lines(text: str) -> str:
    """`printable`, but keeps line breaks: for multi-line text of our own."""
    return "\n".join(map(printable, text.split("\n")))


def counted(number: int, thing: str, things: str | None = None) -> str:
    """`1 template`, `3 templates`; `things`: an irregular plural, as in 2 people."""
    return f"{number} {thing if number == 1 else things or thing + 's'}"


def counted_people(number: int) -> str:
    """`1 person`, `2 people`."""
    return counted(number, "person", "people")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'Ada Lovelace'?`, or "" if no word of `known` is similar, ignoring case and accents."""
    spelt = {_plain(name): name for name in reversed(list(known))}
    plain = _plain(word)
    near = difflib.get_close_matches(plain, spelt, n=1, cutoff=0.7)
    near = near or sorted((name for name in spelt if plain and plain in name.split()), key=len)[:1]
    return f"; did you mean '{printable(spelt[near[0]])}'?" if near else ""


def _plain(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.casefold().replace("_", " "))
    return " ".join("".join(c for c in decomposed if not unicodedata.combining(c)).split())


def _shown(text: str, at: int, character: str) -> str:
    category = unicodedata.category(character)
    if category not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character
    if character in _JOINERS and _joins(text, at):
        return character
    if ord(character) in _TAGS and _tags_a_flag(text, at):
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python represents a byte that is not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _joins(text: str, at: int) -> bool:
    """Is the joiner at `at` part of an emoji, or of a word in a script that uses joiners?"""
    before, after = text[at - 1 : at], text[at + 1 : at + 2]
    return _joinable(before) and (_joinable(after) or unicodedata.combining(before) == _VIRAMA)


def _joinable(character: str) -> bool:
    """Letters and marks of scripts other than Latin and its kin, and symbols."""
    return character > "\u058f" and unicodedata.category(character)[0] in "LMS"


def _tags_a_flag(text: str, at: int) -> bool:
    while at > 0 and ord(text[at]) in _TAGS:
        at -= 1
    return text[at] == _FLAG
