"""FER2013 and RAF-DB as grey 48x48 faces, split by content so that no picture is in two parts."""

import csv
import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
RAF_LABELS = {1: "surprise", 2: "fear", 3: "disgust", 4: "happy", 5: "sad", 6: "angry", 7: "neutral"}
FER_TRAIN, FER_PUBLIC, RAF_TRAIN = "fer2013/train.tar.xz", "fer2013/public_test.tar.xz", "rafdb/train.tar.xz"
SIZE = 48
"""Pixels a side: FER2013's own size. RAF-DB's 100 px are brought to it by area, like the server's crops."""
FER_CHOICE = 0.07
"""Share of FER2013's train part held out for validation and calibration: about 2,000 pictures, accuracy to +-0.010."""
RAF_REPORT, RAF_CHOICE = 0.12, 0.05
"""Shares of RAF-DB's train part: about 1,470 faces for testing, 610 for validation and calibration."""
TWIN_CORRELATION = 0.96
"""Two pictures whose 16x16 thumbnails correlate this much are one photograph (or its mirror image): all of 72 pairs
drawn from 0.96 upwards were, by eye, one photograph cut, watermarked or compressed differently. Byte-identical twins
are the pairs at 1."""
THUMBNAIL = 16


@dataclass(frozen=True)
class Faces:
    """`pixels` (N, 48, 48) uint8, `labels` (N,) indices into LABELS, `raf` (N,) true where from RAF-DB, `paths` (N,)
    inside the archive."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    raf: NDArray[np.bool_]
    paths: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[np.bool_]) -> "Faces":
        return Faces(self.pixels[chosen], self.labels[chosen], self.raf[chosen], self.paths[chosen])


@dataclass(frozen=True)
class Split:
    """`train`: training; `choice_*`: validation and calibration; `raf_report`: final test."""

    train: Faces
    choice_fer: Faces
    choice_raf: Faces
    raf_report: Faces


def load_split(shared: Path) -> Split:
    """Read both data sets below `shared` and set parts aside by content.

    Twins (see `group_twins`) are always in the same part. A picture with a twin in FER2013's public test or in any
    held-out part is not used for training; one with a twin in the public test is not used for validation either.
    """
    fer = read_faces(shared / FER_TRAIN, folder_label)
    public = read_faces(shared / FER_PUBLIC, folder_label)
    raf = read_faces(shared / RAF_TRAIN, raf_labeller(shared / "rafdb/train_labels.csv"), raf=True)
    everything = concatenate(fer, raf, public)
    groups = group_twins(everything.pixels)
    draw = draw_by_content(everything.pixels, groups)
    is_public = np.arange(len(everything)) >= len(fer) + len(raf)
    free = ~np.isin(groups, groups[is_public])
    choice_fer = free & ~everything.raf & (draw < FER_CHOICE)
    raf_report = free & everything.raf & (draw < RAF_REPORT)
    choice_raf = free & everything.raf & (draw >= RAF_REPORT) & (draw < RAF_REPORT + RAF_CHOICE)
    set_aside = choice_fer | raf_report | choice_raf
    train = free & ~np.isin(groups, groups[set_aside])
    return Split(*(everything.take(part) for part in (train, choice_fer, choice_raf, raf_report)))


def read_faces(archive: Path, label: Callable[[PurePosixPath], str], raf: bool = False) -> Faces:
    """Read every JPEG in a tar archive; `label` names a member's emotion."""
    pixels, labels, paths = [], [], []
    for path, encoded in members(archive):
        pixels.append(to_grey(decode(encoded)))
        labels.append(LABELS.index(label(path)))
        paths.append(str(path))
    return Faces(np.stack(pixels), np.array(labels, np.int64), np.full(len(labels), raf), np.array(paths))


def write_pictures(archive: Path, faces: Faces, folder: Path) -> None:
    """Writes the archive's pictures that are among `faces`, unchanged, into a folder per class."""
    labels = dict(zip(faces.paths.tolist(), faces.labels.tolist(), strict=True))
    for path, encoded in members(archive):
        if str(path) in labels:
            target = folder / LABELS[labels[str(path)]] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(encoded)


def members(archive: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """The files of a tar archive in order: (path, content)."""
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:
                yield PurePosixPath(member.name), content.read()


def decode(encoded: bytes) -> NDArray[np.uint8]:
    """An image file's bytes as uint8 (H, W) or RGB (H, W, 3)."""
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("a picture of the data set does not decode")
    return np.asarray(image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A whole picture as a grey 48x48 face."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def folder_label(path: PurePosixPath) -> str:
    return path.parent.name


def raf_labeller(table: Path) -> Callable[[PurePosixPath], str]:
    """RAF-DB names a picture's emotion by number in a CSV of `image,label`."""
    with io.StringIO(table.read_text(encoding="utf-8")) as text:
        names = {row["image"]: RAF_LABELS[int(row["label"])] for row in csv.DictReader(text)}
    return lambda path: names[path.name]


def concatenate(*parts: Faces) -> Faces:
    return Faces(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.raf for part in parts]),
        np.concatenate([part.paths for part in parts]),
    )


def group_twins(pixels: NDArray[np.uint8], block: int = 2048) -> NDArray[np.int64]:
    """Groups pictures of the same photograph, mirrored or not: (N,) the lowest index in each one's group."""
    plain, mirrored = thumbnails(pixels), thumbnails(pixels[:, :, ::-1])
    parent = np.arange(len(pixels))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    for start in range(0, len(pixels), block):
        rows = plain[start : start + block]
        for others in (plain, mirrored):
            for row, other in np.argwhere(rows @ others[: start + block].T > TWIN_CORRELATION):
                left, right = sorted((root(int(row) + start), root(int(other))))
                parent[right] = left
    return np.array([root(index) for index in range(len(pixels))])


def thumbnails(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 256) thumbnails with zero mean and unit length, whose products are correlations."""
    small = np.stack(
        [cv2.resize(np.ascontiguousarray(p), (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA) for p in pixels]
    )
    flat = small.reshape(len(pixels), -1).astype(np.float32)
    flat -= flat.mean(1, keepdims=True)
    return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6), np.float32)


def draw_by_content(pixels: NDArray[np.uint8], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N,) numbers in 0..1 derived from each group's first picture: the same on every machine, in any order."""
    drawn = {
        int(group): int.from_bytes(hashlib.sha256(pixels[group].tobytes()).digest()[:8], "big") / 2**64
        for group in np.unique(groups)
    }
    return np.array([drawn[int(group)] for group in groups])
