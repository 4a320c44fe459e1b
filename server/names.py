"""Names of people, albums and photos: which characters are allowed, and which names a user may confuse.

One rule for all: every character of a name must be visible. So no control characters, no bidirectional controls and no
invisible characters, except those needed to write a script or an emoji: joiners between letters of Persian or Indian
scripts and between the parts of an emoji, and variation selectors."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from facewire.server.errors import InvalidName, RequestError

_CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # Cs: lone surrogates, which stand for bytes that are not UTF-8
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_JOINERS = _ZWNJ + _ZWJ
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# Invisible or rendered as a gap, though Unicode doesn't classify them as format characters.
_UNSEEN = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
_SEEN_FORMATS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2"  # signs written before numbers
_VIRAMA = 9  # its canonical combining class

# Scripts in which a joiner changes how letters are written: Arabic and related scripts, those of India, Tibet, Burma,
# Cambodia and Mongolia, and their relatives in the supplementary planes.
_JOINED = (
    *((0x0600, 0x08FF), (0x0900, 0x0DFF), (0x0F00, 0x109F), (0x1780, 0x1AAF), (0x1B00, 0x1C4F), (0xA800, 0xABFF)),
    *((0xFB50, 0xFDFF), (0xFE70, 0xFEFE), (0x10A00, 0x11FFF), (0x1E900, 0x1E95F)),
)
_IDEOGRAPHS = ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_PICTURES = ((0x2190, 0x21FF), (0x1F000, 0x1FAFF))  # and everything in Unicode's category "other symbol"
_SELECTORS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
_TAGS = ((0xE0020, 0xE007F),)  # the letters in the flags of England, Scotland and Wales
_MONGOLIAN = ((0x1800, 0x18AF),)
_MONGOLIAN_SELECTORS = "\u180b\u180c\u180d\u180e\u180f"
_BLACK_FLAG = "\U0001f3f4"

# Letters that decomposition leaves alone, as people without the key for them type them.
_SPELLED = str.maketrans("øđðł\u0131ħŋŧ’‘ʼ´`‐‑–—", "oddlihnt'''''----") | str.maketrans(  # noqa: RUF001
    {"þ": "th", "æ": "ae", "œ": "oe"}
)
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_FIRST_ACCENT = 10  # lower combining classes are integral parts of letters: nuktas, viramas, the marks of Japanese kana

_SUGGESTED = 3
_COMPARED = 500
"""How many names are compared with a mistyped one letter by letter, at about 20 microseconds each."""


def tidy(text: str) -> str:
    """`text` in NFC, with runs of white space collapsed and none at the ends.

    NFC, because some file systems (macOS) return "é" as two code points, and both spellings are one name.
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def objection(text: str) -> str | None:
    """Why `text` is not a valid name, as the end of a sentence whose subject is the name; None if it is valid."""
    place = next((place for place in range(len(text)) if _is_refused(text, place)), None)
    if place is None:
        return None
    if unicodedata.category(text[place]) in _CONTROLS:
        what = "a control character"
    else:
        what = "which changes the direction of text" if text[place] in _DIRECTIONS else "which is invisible"
    return f"can't contain U+{ord(text[place]):04X}, {what} (it is character {place + 1})"


def harmless(text: str, instead: str = "_") -> str:
    """`text` with every character that is not allowed in a name replaced."""
    while True:
        # Repeat: replacing a character may leave the joiner next to it without its neighbour.
        cleaned = "".join(instead if _is_refused(text, place) else text[place] for place in range(len(text)))
        if cleaned == text:
            return text
        text = cleaned


def _is_refused(text: str, place: int) -> bool:
    """Whether the character at `place` is not allowed in a name."""
    character = text[place]
    return unicodedata.category(character) in _CONTROLS or character in _DIRECTIONS or _is_unseen(text, place)


def _is_unseen(text: str, place: int) -> bool:
    character = text[place]
    before, after = text[place - 1] if place else "", text[place + 1 : place + 2]
    if character in _JOINERS:
        return not _joins(before, character, after)
    if character in _MONGOLIAN_SELECTORS:
        return not _within(before, _MONGOLIAN)
    if _within(character, _SELECTORS):
        return not _selects(before, character, after)
    if _within(character, _TAGS):
        return before != _BLACK_FLAG and not _within(before, _TAGS)
    if character in _UNSEEN:
        return True
    return unicodedata.category(character) == "Cf" and character not in _SEEN_FORMATS


def _joins(before: str, joiner: str, after: str) -> bool:
    if _within(before, _JOINED):
        return _within(after, _JOINED) or unicodedata.combining(before) == _VIRAMA
    return joiner == _ZWJ and _is_picture(before) and _is_picture(after)


def _selects(before: str, selector: str, after: str) -> bool:
    if _within(before, _IDEOGRAPHS):
        return True
    if before in tuple("0123456789#*"):
        return after == "\u20e3"  # a keycap
    return selector <= "\ufe0f" and (_within(before, _JOINED) or (_is_picture(before) and before != selector))


def _is_picture(character: str) -> bool:
    if not character:
        return False
    return unicodedata.category(character) in ("So", "Sk") or _within(character, (*_PICTURES, (0xFE0F, 0xFE0F)))


def _within(character: str, ranges: Iterable[tuple[int, int]]) -> bool:
    return bool(character) and any(first <= ord(character) <= last for first, last in ranges)


def folded(text: str) -> str:
    """`text` as typed without regard to case, accents or the script of digits: "Łódź" becomes "lodz", "Straße" becomes
    "strasse"."""
    return text.lower() if text.isascii() else _folded(text)


def spellings(text: str) -> tuple[str, ...]:
    """`folded`, plus the form with umlauts written out if it differs: "Müller" gives "muller" and "mueller"."""
    if text.isascii():
        return (text.lower(),)
    written_out = _folded(unicodedata.normalize("NFC", text).casefold().translate(_WRITTEN_OUT))
    return tuple(dict.fromkeys((_folded(text), written_out)))


@lru_cache(maxsize=1 << 16)
def _folded(text: str) -> str:
    spelled = unicodedata.normalize("NFKC", text).casefold().translate(_SPELLED)
    plain = (
        _in_ascii(character)
        for character in unicodedata.normalize("NFKD", spelled)
        if unicodedata.combining(character) < _FIRST_ACCENT and character not in _JOINERS
    )
    return unicodedata.normalize("NFC", "".join(plain)).translate(_SPELLED)


def _in_ascii(character: str) -> str:
    """A digit of any script as one of ours, any other character unchanged."""
    digit = unicodedata.decimal(character, None)
    return character if digit is None else str(digit)


def contains(text: str, wanted: str) -> bool:
    """Is `wanted`, which is `folded`, in `text`, ignoring case and accents? Umlauts may be written out."""
    return any(wanted in each for each in spellings(text))


def near(name: str, others: Iterable[str]) -> list[str]:
    """Up to three of `others` that an unknown `name` may have meant, likeliest first."""
    wanted = spellings(name)
    alike, holding, mistyped = [], [], dict[str, str]()
    for other in others:
        theirs = spellings(other)
        if not set(theirs).isdisjoint(wanted):
            alike.append(other)
        elif any(each and each in their.split() for each in wanted for their in theirs):
            holding.append(other)
        elif len(mistyped) < _COMPARED and abs(len(theirs[0]) - len(wanted[0])) <= 2 and theirs[0][:1] == wanted[0][:1]:
            mistyped[theirs[0]] = other
    close = difflib.get_close_matches(wanted[0], mistyped, _SUGGESTED, 0.75)
    return [*alike, *holding, *(mistyped[key] for key in close)][:_SUGGESTED]


def did_you_mean(name: str, others: Iterable[str]) -> str:
    """The end of an error message about an unknown `name`; empty if no other name is close."""
    found = near(name, others)
    return f"; did you mean {' or '.join(found)}?" if found else ""


LONGEST_NAME = 200
"""Characters: longer than any real name, short enough for a log line and a label on a picture."""


def person_name(text: str) -> str:
    """`text` normalised (see `tidy`) and validated as a name for a person.

    Raises InvalidName, with a message for the user, if it is empty, too long, or holds a forbidden character.
    """
    return checked_name(text, "a person", "a name", LONGEST_NAME, InvalidName)


def checked_name(text: str, owner: str, called: str, longest: int, error: type[RequestError]) -> str:
    """`text` normalised; raises `error` if `owner` can't have it as a name, which the message calls `called`."""
    name = tidy(text)
    if not name:
        raise error(f"{owner} needs a name")
    if len(name) > longest:
        raise error(f"{called} has at most {longest} characters, this one {len(name)}")
    reason = objection(name)
    if reason is not None:
        raise error(f"{called} {reason}")
    return name
