"""The pictures drawn of the chosen people, and their layout on disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facewire.server.errors import StartError
from lab.sample_people.choose import Chosen, draw_portrait, jpeg_of
from lab.sample_people.exif import SHOWN_TURNED_RIGHT, with_orientation
from lab.sample_people.model import FaceModel
from lab.sample_people.people import draw_look
from lab.sample_people.portrait import cut_out
from lab.sample_people.scenes import PLACES, group_picture, landscape

EXPECTED = "expected.json"

# Given to women and men alike, since nobody decides the gender of the drawn people; surnames are invented.
NAMES = (
    "Akira_Monase",
    "Alexis_Varnholt",
    "Ariel_Tamsen",
    "Jules_Fenwright",
    "Kim_Solberry",
    "Kiran_Devarsh",
    "Micah_Orandel",
    "Noor_Halvani",
    "Remy_Valcourel",
    "Robin_Oakmere",
    "Sasha_Brelik",
    "Toni_Marchesan",
)


@dataclass(frozen=True, slots=True)
class Album:
    """JPEG files: `people` by folder name, `probes` by file name; `expected`: the people in each probe from left to
    right, None for somebody not enrolled."""

    people: dict[str, tuple[bytes, ...]]
    probes: dict[str, bytes]
    expected: dict[str, list[str | None]]


def draw_album(model: FaceModel, chosen: Sequence[Chosen], seed: int) -> Album:
    """The album of all `chosen` except the last, who is the stranger."""
    *enrolled, stranger = chosen
    names = NAMES[: len(enrolled)]
    people = {name: one.pictures[:-1] for name, one in zip(names, enrolled, strict=True)}
    probes = {f"{name.lower()}.jpg": one.pictures[-1] for name, one in zip(names, enrolled, strict=True)}
    expected: dict[str, list[str | None]] = {f"{name.lower()}.jpg": [shown(name)] for name in names}
    rng = np.random.default_rng([seed, len(NAMES)])
    members = [int(index) for index in rng.choice(len(enrolled), len(PLACES), replace=False)]
    cutouts = [cut_out(model, draw_look(model, enrolled[member].person, 1.0, rng)) for member in members]
    lying = np.rot90(draw_portrait(model, enrolled[0].person, 0.5, rng))  # a quarter turn to the left
    probes |= {
        "stranger.jpg": stranger.pictures[-1],
        "group_of_five.jpg": jpeg_of(group_picture(cutouts, rng)),
        "rotated_by_exif.jpg": with_orientation(jpeg_of(np.ascontiguousarray(lying)), SHOWN_TURNED_RIGHT),
        "no_face.jpg": jpeg_of(landscape(rng)),
    }
    from_left = sorted(range(len(PLACES)), key=lambda place: PLACES[place][0])
    expected |= {
        "stranger.jpg": [None],
        "group_of_five.jpg": [shown(names[members[place]]) for place in from_left],
        "rotated_by_exif.jpg": [shown(names[0])],
        "no_face.jpg": [],
    }
    return Album(people, probes, expected)


def shown(folder_name: str) -> str:
    """The display name of a folder."""
    return folder_name.replace("_", " ")


def write_album(album: Album, out: Path) -> int:
    """Replaces `people/`, `probes/` and expected.json in `out`. Returns the bytes written. Raises StartError if
    existing files were not written by this script."""
    ours = (out / EXPECTED).is_file()
    for folder in (out / "people", out / "probes"):
        if folder.exists() and not ours:
            raise StartError(f"{folder} is there and was not drawn by this script: give another --out", exit_code=2)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    files = {f"probes/{name}": data for name, data in album.probes.items()}
    for name, pictures in album.people.items():
        (out / "people" / name).mkdir()
        files |= {f"people/{name}/{name}_{number:04}.jpg": data for number, data in enumerate(pictures, start=1)}
    files[EXPECTED] = (json.dumps(album.expected, indent=2) + "\n").encode()
    for relative, data in files.items():
        (out / relative).write_bytes(data)
    return sum(map(len, files.values()))


def read_album(out: Path) -> Album:
    """Reads the output of `write_album`. Raises StartError if there is none."""
    if not (out / EXPECTED).is_file():
        raise StartError(f"{out} has no {EXPECTED}: draw the people first, without --check", exit_code=2)
    expected = json.loads((out / EXPECTED).read_text("utf-8"))
    folders = sorted(path for path in (out / "people").iterdir() if path.is_dir())
    people = {folder.name: tuple(path.read_bytes() for path in sorted(folder.glob("*.jpg"))) for folder in folders}
    return Album(people, {name: (out / "probes" / name).read_bytes() for name in expected}, expected)
