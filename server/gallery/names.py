"""Normalising people's names before they are compared or stored."""

from __future__ import annotations

from facewire.server.errors import InvalidName
from facewire.server.names import objection, tidy

LONGEST_NAME = 200
"""Characters: longer than any real name, short enough for a log line and a label on a picture."""


def person_name(text: str) -> str:
    """`text` normalised (see `tidy`) and validated as a name for a person.

    Raises InvalidName, with a message for the user, if it is empty, too long, or holds a forbidden character.
    """
    name = tidy(text)
    if not name:
        raise InvalidName("a person needs a name")
    if len(name) > LONGEST_NAME:
        raise InvalidName(f"a name has at most {LONGEST_NAME} characters, this one {len(name)}")
    reason = objection(name)
    if reason is not None:
        raise InvalidName(f"a name {reason}")
    return name
