"""What the gallery knows of a folder: which files need no second look, and which bytes it has already."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from scripts.building.folder import FoundFile
from scripts.building.skips import Reason, Skipped
from server.gallery.inventory import Enrolled
from server.gallery.staging import Relink


class Ledger:
    """The gallery's pictures, seen from one folder. `holds` is safe from any thread, the rest is for one."""

    def __init__(self, source: str, enrolled: Iterable[Enrolled], files: Iterable[FoundFile]) -> None:
        """`source`: the folder, absolute, as pictures of it are enrolled; `files`: what lies in it now."""
        self._source = source
        self._files = {file.path: file for file in files}
        self._by_path: dict[str, Enrolled] = {}
        self._by_bytes: dict[tuple[str, str], Enrolled] = {}
        for picture in enrolled:
            self._by_bytes[picture.person, picture.sha256] = picture
            if picture.source == source:
                self._by_path[picture.path] = picture
        self._claimed: dict[tuple[str, str], str] = {}

    def is_enrolled(self, file: FoundFile) -> bool:
        """Whether some bytes of that path are enrolled, if not today's."""
        return file.path in self._by_path

    def is_unchanged(self, file: FoundFile) -> bool:
        """Whether path, size and time are those of an enrolled picture, so that its bytes need not be read."""
        known = self._by_path.get(file.path)
        return known is not None and (known.size_bytes, known.mtime_ns) == (file.size_bytes, file.mtime_ns)

    def holds(self, person: str, sha256: str) -> bool:
        """Whether the person has a picture of these bytes enrolled."""
        return (person, sha256) in self._by_bytes

    def claim(self, file: FoundFile, sha256: str) -> Skipped | None:
        """Take these bytes for `file`; or the reason why not, where another file of this run has taken them."""
        first = self._claimed.setdefault((file.person, sha256), file.path)
        return None if first == file.path else Skipped(file.path, Reason.SAME, first)

    def recognise(self, file: FoundFile, sha256: str) -> Relink | Skipped:
        """What to do about a file whose bytes the person has: it was touched, moved, or is a second copy."""
        known = self._by_bytes[file.person, sha256]
        if (known.source, known.path) != (self._source, file.path) and self._stands(known):
            return Skipped(file.path, Reason.SAME, known.path)
        return self.claim(file, sha256) or Relink(known.image_id, self._source, file.path, file.mtime_ns)

    def gone(self) -> list[str]:
        """Paths of enrolled pictures that are no longer in the folder."""
        return [path for path in self._by_path if path not in self._files]

    def _stands(self, known: Enrolled) -> bool:
        """Whether the picture's own file is still there as it was enrolled."""
        if known.source is None:
            return False
        if known.source == self._source:
            file = self._files.get(known.path)
            return file is not None and self.is_unchanged(file)
        return Path(known.source, known.path).exists()
