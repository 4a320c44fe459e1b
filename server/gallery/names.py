"""One person, one spelling: how a name is written before it is compared or stored."""

from __future__ import annotations

from facewire.server.errors import InvalidName
from facewire.server.names import objection, tidy

LONGEST_NAME = 200
"""Characters. Beyond any real name, short enough for a log line and a label on a picture."""


def person_name(text: str) -> str:
    """`text` as a name to give to somebody, see `tidy`.

    Raises InvalidName with a message for the user where nothing is left, or too much, or what a name can't hold.
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
