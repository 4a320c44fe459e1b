"""What commands are called: `python client_app.py` in a checkout, `facewire` where pip installed it."""

from __future__ import annotations

import re
import sys
from pathlib import PurePath

INSTALLED = {
    "client_app": "facewire",
    "server_app": "facewire-server",
    "web_app": "facewire-web",
    "create_db": "facewire-create-db",
    "identify": "facewire-identify",
    "migrate_model": "facewire-migrate-model",
    "backup": "facewire-backup",
    "tokens": "facewire-token",
}
"""Each launcher of a checkout, and the command that pyproject.toml installs for it."""

_IN_A_CHECKOUT = re.compile(rf"(?<![\w/.-])(?:python )?(?:scripts/)?({'|'.join(INSTALLED)})(?:\.py\b|(?=: ))")


def as_called(text: str, program: str | None = None) -> str:
    """A text of ours, which calls commands as in a checkout, with the names that the user of `program` (by default this
    process) types. A name followed by a colon, at the start of an error, is one too."""
    started = PurePath(sys.argv[0] if program is None else program)
    if started.stem not in INSTALLED.values():
        return text
    return _IN_A_CHECKOUT.sub(lambda found: INSTALLED[found[1]], text)
