"""Makes albums as people have them, with known truth: portraits composed into photographs at the sizes, the blur and
the angles of faces in group shots and behind them. Regulars appear in many photographs, strangers once.

A regular's portrait is in one to three photographs, as people are photographed more than once on a day. Who is a
regular where depends on names only, so people used to tune are never among those used to judge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.image import Pixels
from lab.evaluation.pictures import image_files

WIDTH, HEIGHT = 1280, 853
REGULAR = 4  # pictures from which a person is a regular
MOST_USES = 3  # of one portrait
MOST_PICTURES = 24  # of one person in one album
GUESTS = 20  # people with two or three pictures, per album
REGULARS = 32  # per album
LFW_FACE, FAIRFACE_FACE = 0.34, 0.60  # width of a face, as a share of its picture's
NEAR, MIDDLE, BACK = (60.0, 120.0), (32.0, 60.0), (17.0, 36.0)  # width of faces, in pixels


@dataclass(frozen=True, slots=True)
class Portrait:
    """A picture of one person, with the face in the middle, `face` of its width wide."""

    path: Path
    person: str
    face: float


@dataclass(frozen=True, slots=True)
class Shown:
    """A face in a photograph: whose, where its middle is and how wide it is, in pixels; `role`: near, middle, back."""

    person: str
    x: float
    y: float
    width: float
    role: str


@dataclass(frozen=True, slots=True)
class Gathering:
    """A photograph as a JPEG file, and who is in it."""

    jpeg: bytes
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """Whose portraits an album is made of."""

    regulars: tuple[Portrait, ...]
    strangers: tuple[Portrait, ...]


def half_of(name: str) -> int:
    """0 (to tune) or 1 (to judge), by a hash of the person's name."""
    return hashlib.sha256(name.encode()).digest()[0] % 2


def casts(people: Path, strangers: Path, half: int, albums: int) -> list[Cast]:
    """Divides one half's people among some albums. `people`: a folder per person, as LFW's; `strangers`: folders of
    pictures that each show somebody else, as FairFace's. Raises StartError if a folder has no pictures."""
    of_person: dict[str, list[Portrait]] = {}
    for path in image_files(people):
        if half_of(path.parent.name) == half:
            of_person.setdefault(path.parent.name, []).append(Portrait(path, path.parent.name, LFW_FACE))
    regular = [name for name, own in of_person.items() if len(own) >= REGULAR]
    guests = [name for name, own in of_person.items() if 1 < len(own) < REGULAR]
    once = [own[0] for own in of_person.values() if len(own) == 1]
    once += [Portrait(path, path.stem, FAIRFACE_FACE) for path in image_files(strangers) if half_of(path.stem) == half]
    choice = np.random.default_rng(half)
    for names in (regular, guests):
        choice.shuffle(names)
    once = [once[place] for place in choice.permutation(len(once))]
    made = []
    for number in range(albums):
        invited = regular[number::albums][:REGULARS] + guests[number::albums][:GUESTS]
        portraits = [portrait for name in invited for portrait in of_person[name][:MOST_PICTURES]]
        made.append(Cast(tuple(portraits), tuple(once[number::albums])))
    return made


def gatherings(cast: Cast, seed: int) -> Iterator[Gathering]:
    """Photographs until all of the regulars' portraits have been used: a third of one person, the others of two to six,
    most with people in the background."""
    choice = np.random.default_rng(seed)
    uses = np.repeat(np.arange(len(cast.regulars)), choice.integers(1, MOST_USES + 1, len(cast.regulars)))
    regulars = [cast.regulars[place] for place in choice.permutation(uses)]
    strangers = list(cast.strangers)
    while regulars:
        front = _take(regulars, 1 if choice.random() < 0.35 else int(choice.integers(2, 7)), [])
        if len(front) > 2 and strangers and choice.random() < 0.3:
            front.append(strangers.pop())
        behind = _take(regulars, int(choice.integers(0, 3)), front)
        unknown = min(len(strangers), int(choice.integers(0, 4)))
        behind += [strangers.pop() for _ in range(unknown)]
        yield _photograph(front, behind, choice)


def _take(portraits: list[Portrait], count: int, present: Sequence[Portrait]) -> list[Portrait]:
    """Removes up to `count` portraits from the end of the list, of people who are not yet in the photograph."""
    names = {portrait.person for portrait in present}
    taken: list[Portrait] = []
    for place in range(len(portraits) - 1, -1, -1):
        if len(taken) == count:
            break
        if portraits[place].person not in names:
            taken.append(portraits.pop(place))
            names.add(taken[-1].person)
    return taken


def _photograph(front: Sequence[Portrait], behind: Sequence[Portrait], choice: np.random.Generator) -> Gathering:
    canvas = _scenery(choice)
    shown: list[Shown] = []
    near = len(front) < 4 and choice.random() < 0.7
    size = choice.uniform(*(NEAR if near else MIDDLE))
    foremost = "near" if near else "middle"
    for portrait, role in [*((each, "back") for each in behind), *((each, foremost) for each in front)]:
        width = choice.uniform(*BACK) if role == "back" else size * choice.uniform(0.85, 1.15)
        x, y = _place(shown, width, (0.2, 0.4) if role == "back" else (0.45, 0.75), choice)
        _paste(canvas, _figure(portrait, width, role, choice), x, y)
        shown.append(Shown(portrait.person, x, y, width, role))
    quality = int(choice.integers(70, 93))
    return Gathering(cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes(), tuple(shown))


def _scenery(choice: np.random.Generator) -> Pixels:
    rough = choice.integers(50, 190, (6, 9, 1)) + choice.integers(-30, 30, (6, 9, 3))
    smooth = cv2.resize(rough.astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth + choice.normal(0, 3, smooth.shape), 0, 255), np.uint8)


def _place(
    shown: Sequence[Shown], width: float, band: tuple[float, float], choice: np.random.Generator
) -> tuple[float, float]:
    """A place for a face within a band of the height, where it covers no other if there is one."""
    best, farthest = (0.0, 0.0), -np.inf
    for _ in range(60):
        x, y = choice.uniform(1.3 * width, WIDTH - 1.3 * width), choice.uniform(*band) * HEIGHT
        apart = min(
            (max(abs(x - one.x) / 1.8, abs(y - one.y) / 2.4) - (width + one.width) / 2 for one in shown), default=0
        )
        if apart > farthest:
            best, farthest = (x, y), apart
        if apart >= 0:
            break
    return best


def _figure(portrait: Portrait, width: float, role: str, choice: np.random.Generator) -> NDArray[np.float32]:
    """(h, w, 4) float32, BGR and a mask from 0 to 1: the head, at the size asked for, sometimes turned or unsharp."""
    picture = np.asarray(cv2.imread(str(portrait.path)), np.uint8)
    scale = width / (portrait.face * picture.shape[1])
    by = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=by)
    height, across = small.shape[:2]
    mask = np.zeros((height, across), np.float32)
    middle = (across // 2, round(height * 0.49))
    reach = (min(round(0.8 * width), across // 2), min(round(1.15 * width), height // 2))
    cv2.ellipse(mask, middle, reach, 0, 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.06 * width + 0.5)
    figure = np.dstack([small.astype(np.float32), mask])
    if choice.random() < (0.35 if role == "back" else 0.12):
        figure = _turned(figure, choice)
    if role == "back":
        figure = cv2.GaussianBlur(figure, (0, 0), choice.uniform(0.01, 0.06) * width + 0.01)
        figure[..., :3] = figure[..., :3] * choice.uniform(0.5, 1.0)
    elif choice.random() < 0.12:
        figure = cv2.GaussianBlur(figure, (0, 0), choice.uniform(0.02, 0.07) * width)
    return np.asarray(figure, np.float32)


def _turned(figure: NDArray[np.float32], choice: np.random.Generator) -> NDArray[np.float32]:
    """As if turned away: narrower, one side more than the other, and tilted."""
    height, width = figure.shape[:2]
    narrow, lean = choice.uniform(0.6, 0.85), choice.uniform(0.05, 0.15)
    if choice.random() < 0.5:
        figure = np.ascontiguousarray(figure[:, ::-1])
    left, right = width * (1 - narrow) / 2, width * (1 + narrow) / 2
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = np.array([[left, 0], [right, lean * height], [right, (1 - lean) * height], [left, height]], np.float32)
    warped = cv2.warpPerspective(figure, cv2.getPerspectiveTransform(corners, moved), (width, height))
    tilt = cv2.getRotationMatrix2D((width / 2, height / 2), choice.uniform(-25, 25), 1)
    return np.asarray(cv2.warpAffine(warped, tilt, (width, height)), np.float32)


def _paste(canvas: Pixels, figure: NDArray[np.float32], x: float, y: float) -> None:
    height, width = figure.shape[:2]
    left, top = round(x - width / 2), round(y - height / 2)
    rows = slice(max(0, top), min(HEIGHT, top + height))
    columns = slice(max(0, left), min(WIDTH, left + width))
    part = figure[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    behind = canvas[rows, columns].astype(np.float32)
    mask = part[..., 3:]
    canvas[rows, columns] = np.clip(behind * (1 - mask) + part[..., :3] * mask, 0, 255).astype(np.uint8)
