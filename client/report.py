"""An answer in words, for a terminal."""

from __future__ import annotations

from dataclasses import dataclass

from facewire.protocol.messages import EmotionAnswer, Identified, IdentifiedFace
from facewire.protocol.text import counted, printable

_BAR_CELLS = 10  # one a tenth: as fine as an emotion's confidence deserves
_NAME_WIDTH = 24  # longer names push the rest of their line to the right


@dataclass(frozen=True, slots=True)
class Bars:
    """The characters of a bar."""

    full: str
    empty: str

    def draw(self, share: float) -> str:
        """`share` from 0 to 1 as ten cells."""
        cells = round(min(max(share, 0.0), 1.0) * _BAR_CELLS)
        return self.full * cells + self.empty * (_BAR_CELLS - cells)


BLOCKS = Bars("█", "░")
ASCII = Bars("#", ".")


def bars_for(encoding: str | None) -> Bars:
    """Blocks where the terminal's encoding has them, plain ASCII elsewhere."""
    try:
        (BLOCKS.full + BLOCKS.empty).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def describe(file: str, answer: Identified, *, candidates: bool, bars: Bars) -> list[str]:
    """One line for the picture and one a face, largest first; with `candidates`, one more for each of these."""
    faces = counted(len(answer.faces), "face") if answer.faces else "no face found"
    lines = [f"{printable(file)}: {faces}"]
    for number, face in enumerate(answer.faces, 1):
        lines.append(_face_line(number, face, bars))
        if candidates:
            lines += [f"       {c.similarity:6.3f}  {printable(c.name)}" for c in face.candidates]
    return lines


def who(face: IdentifiedFace) -> str:
    """The name, or what there is instead: unknown, ambiguous."""
    return face.decision if face.name is None else face.name


def _face_line(number: int, face: IdentifiedFace, bars: Bars) -> str:
    similarity = (
        "nobody enrolled                 "
        if face.similarity is None
        else f"similarity {face.similarity:6.3f} (needs {face.threshold:6.3f})"
    )
    line = f"  {number:2d}  {printable(who(face)):{_NAME_WIDTH}} {similarity}"
    felt = "" if face.emotion is None else f"  {_feeling(face.emotion, bars)}"
    return f"{line}{felt}{turned_by(face.turned)}"


def turned_by(degrees: int) -> str:
    """How a face lay in its picture; nothing where it stood upright."""
    if degrees == 0:
        return ""
    if degrees == 180:
        return "  (upside down)"
    way = "left" if degrees < 180 else "right"
    return f"  (turned {min(degrees, 360 - degrees)} degrees to the {way})"


def _feeling(emotion: EmotionAnswer, bars: Bars) -> str:
    label = emotion.label if emotion.certain else f"{emotion.label}?"
    return f"{printable(label):9} {bars.draw(emotion.confidence)} {emotion.confidence:4.0%}"
