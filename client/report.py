"""An answer in words, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facewire.protocol.messages import EmotionAnswer, Identified, IdentifiedFace
from facewire.protocol.text import counted, printable
from facewire.protocol.videos import VideoIdentified, VideoPerson

_BAR_CELLS = 10  # one a tenth: as fine as an emotion's confidence deserves
_SPANS = 8  # times of one person in a video that are listed
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
            lines += _candidates(face)
    return lines


def describe_video(file: str, answer: VideoIdentified, *, candidates: bool) -> list[str]:
    """One line for the video and one a person, in the order in which they appear, with their seconds."""
    people = counted(len(answer.people), "person", "people") if answer.people else "no face found"
    looked = f"{clock(answer.seconds)} long, {counted(answer.frames, 'frame')} looked at"
    lines = [f"{printable(file)}: {people} ({looked})"]
    for number, person in enumerate(answer.people, 1):
        lines.append(f"{_person_part(number, person)}  {spans(person.seen)}")
        if candidates:
            lines += _candidates(person)
    return lines


def clock(seconds: float) -> str:
    """As 1:05.5, or 1:02:05."""
    minutes, rest = divmod(round(seconds, 1), 60)
    if minutes < 60:
        return f"{int(minutes)}:{rest:04.1f}"
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{int(rest):02d}"


def spans(seen: Sequence[tuple[float, float]]) -> str:
    """From when to when somebody is seen in a video; the first few times."""
    shown = ", ".join(f"{clock(begin)}-{clock(end)}" for begin, end in seen[:_SPANS])
    return shown + (f" and {len(seen) - _SPANS} more times" if len(seen) > _SPANS else "")


def _candidates(face: IdentifiedFace | VideoPerson) -> list[str]:
    """By what they are ranked by; servers of before don't say it."""
    return [
        f"       {one.similarity if one.comparable is None else one.comparable:6.3f}  {printable(one.name)}"
        for one in face.candidates
    ]


def who(face: IdentifiedFace | VideoPerson) -> str:
    """The name, or what there is instead: unknown, ambiguous."""
    return face.decision if face.name is None else face.name


def _face_line(number: int, face: IdentifiedFace, bars: Bars) -> str:
    felt = "" if face.emotion is None else f"  {_feeling(face.emotion, bars)}"
    return f"{_person_part(number, face)}{felt}{turned_by(face.turned)}"


def _person_part(number: int, face: IdentifiedFace | VideoPerson) -> str:
    similarity = (
        "nobody enrolled                 "
        if face.similarity is None
        else f"similarity {face.similarity:6.3f} (needs {face.threshold:6.3f})"
    )
    return f"  {number:2d}  {printable(who(face)):{_NAME_WIDTH}} {similarity}"


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
