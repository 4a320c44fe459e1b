"""A folder of drawn answers."""

from __future__ import annotations

from pathlib import Path

from facewire.protocol.messages import Identified


class Drawings:
    """Writes pictures with boxes and labels into `folder`, which is made when needed; beside a picture with names that
    no font here can write, a text file says whose the numbered boxes are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()  # by this run: pictures of several folders may share a name

    def add(self, path: Path, picture: bytes, answer: Identified) -> str | None:
        """Draws one; gives what went wrong, if anything did."""
        try:
            from facewire.client.render import (  # here, as a thin client has neither numpy nor cv2
                CannotDraw,
                draw,
                unwritten,
            )
        except ImportError as error:
            return f"drawing needs numpy, opencv-python, pillow and pillow-heif: {error}"
        try:
            drawn = draw(picture, answer)
            self._folder.mkdir(parents=True, exist_ok=True)
            target = self._folder / self._free_name(path.stem)
            target.write_bytes(drawn)
            numbered = unwritten(answer)
            if numbered:
                legend = "".join(f"face {number}: {name}\n" for number, name in numbered)
                target.with_name(f"{target.name}.names.txt").write_text(legend, encoding="utf-8", errors="replace")
        except CannotDraw as error:
            return str(error)
        except OSError as error:
            return f"can't write into {self._folder}: {error.strerror}"
        return None

    def _free_name(self, stem: str) -> str:
        name, number = f"{stem}.jpg", 1
        while name.lower() in self._taken:  # some file systems don't tell A.jpg from a.jpg
            number += 1
            name = f"{stem}-{number}.jpg"
        self._taken.add(name.lower())
        return name
