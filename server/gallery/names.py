"""One person, one spelling: how a name is written before it is compared or stored."""

from __future__ import annotations

import unicodedata

from server.errors import InvalidName

LONGEST_NAME = 200
"""Characters. Beyond any real name, short enough for a log line and a label on a picture."""


def person_name(text: str) -> str:
    """`text` in NFC with runs of white space as one space and none at the ends.

    NFC, because a file system may hand back "é" as two code points (macOS does), and both are one person.
    Raises InvalidName with a message for the user where nothing is left, or too much.
    """
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        raise InvalidName("a person needs a name")
    if len(name) > LONGEST_NAME:
        raise InvalidName(f"a name has at most {LONGEST_NAME} characters, this one {len(name)}")
    # Cc: control characters. Cs: halves of a surrogate pair, which stand for bytes that were no UTF-8.
    # Not Cf: Persian and Indian names are written with joiners.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InvalidName("a name is text without control characters")
    return name
