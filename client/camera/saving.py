"""`--save DIR`: the best picture of everybody who was named, was a stranger, or left."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Final

from facewire.client.camera.events import Event, iso
from facewire.client.camera.sinks import Queued, Say

MOST_SAVED: Final = 5000
"""Events in a folder; then the oldest go."""

_SAVED = ("named", "stranger", "left")
_OURS = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[\w-]+\.(jpg|json)")


class Folder:
    """Writes a JPEG, and a JSON file with the event, for each."""

    def __init__(self, folder: Path, most: int = MOST_SAVED) -> None:
        """Raises OSError where the folder can't be made."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._most = most

    def write(self, event: Event) -> None:
        """Saves it. Raises OSError."""
        if event.event not in _SAVED or event.crop is None:
            return
        stem = "-".join(
            (iso(event.time).replace("-", "").replace(":", ""), event.event, _slug(event), str(event.track))
        )
        (self._folder / f"{stem}.jpg").write_bytes(event.crop)
        text = json.dumps(event.plain() | {"picture": f"{stem}.jpg"}, indent=1)
        (self._folder / f"{stem}.json").write_text(text + "\n", encoding="utf-8")
        self._make_room()

    def _make_room(self) -> None:
        ours = sorted(path for path in self._folder.iterdir() if _OURS.fullmatch(path.name))
        for path in ours[: max(0, len(ours) - 2 * self._most)]:
            with contextlib.suppress(FileNotFoundError):  # somebody else has deleted it
                path.unlink()


def saving(folder: Path, say: Say) -> Queued:
    """The sink. Raises OSError where the folder can't be made."""
    return Queued(f"--save {folder}", Folder(folder).write, say)


def _slug(event: Event) -> str:
    """A name as part of a file's name: letters, digits and hyphens only, whatever somebody called themselves."""
    return re.sub(r"\W+", "_", event.name or ("stranger" if event.stranger else "somebody")).strip("_")[:40] or "named"
