"""FaceNet's feature maps of the training pictures, computed once and stored with one byte per value."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from facewire.server.vision.alignment import square_crop, whole_box
from facewire.server.vision.embedder import NORMALISATIONS
from facewire.server.vision.models import MODELS
from facewire.server.vision.runtime import OpenVinoGraph, read_model
from lab.emotion_training.data import FER_TRAIN, RAF_TRAIN, Faces
from lab.emotion_training.views import SIDE, Pixels, colour_pictures, training_view

CARD = MODELS["Facenet512"]
Maps = NDArray[np.uint8]
View = Callable[[Pixels, int], Pixels]

BATCH = 8
SCALED_ON = 1024
"""Pictures from which the channels' scales are taken."""
LOUDEST = 0.9998
"""The quantile of a channel that is stored as 255; higher values are clipped."""
WHOLE = 1.2
"""The side of FaceNet's view of a picture that is all face, as a multiple of the picture's side."""


class Watcher(Protocol):
    """Computes feature maps of pictures. Thread-safe."""

    def maps(self, views: Sequence[Pixels]) -> NDArray[np.float32]:
        """(n, 8, 8, channels), non-negative."""


class FaceNetWatcher:
    """FaceNet, whose maps the head uses; runs two threads' calls at a time."""

    def __init__(self, network: Path) -> None:
        """`network`: FaceNet's file in the server's cache (`server.vision.facenet.converted`)."""
        self._graph = OpenVinoGraph(read_model(network), streams=2, threads=2)
        self._normalised = NORMALISATIONS[CARD.normalisation]

    def maps(self, views: Sequence[Pixels]) -> NDArray[np.float32]:
        """(n, 8, 8, 896), non-negative."""
        return self._graph.run(self._normalised(np.stack(views).astype(np.float32)))[1]


def pictures_of(shared: Path, faces: Faces) -> list[Pixels]:
    """The pictures of `faces`, in order, RGB at their data set's own size."""
    found = {
        raf: colour_pictures(shared / archive, faces.take(faces.raf == raf))
        for raf, archive in ((False, FER_TRAIN), (True, RAF_TRAIN))
    }
    return [found[bool(raf)][str(path)] for raf, path in zip(faces.raf, faces.paths, strict=True)]


def whole_view(image: Pixels, index: int) -> Pixels:
    """A picture that is all face, as the server would pass it to FaceNet."""
    return square_crop(image, whole_box(image), WHOLE - 1, (SIDE, SIDE))


def seeded(seed: int) -> View:
    """The random view of each picture for this seed."""
    return lambda image, index: training_view(image, seed, index)


def channel_scales(path: Path, watcher: Watcher, pictures: Sequence[Pixels], seed: int) -> NDArray[np.float32]:
    """(896,) the value of a stored 1 in each channel: read from `path`, or measured and written there."""
    if not path.exists():
        chosen = np.random.default_rng(seed).permutation(len(pictures))[:SCALED_ON]
        parts = np.array_split(chosen, -(-len(chosen) // BATCH))
        seen = [watcher.maps([whole_view(pictures[index], index) for index in part]) for part in parts]
        np.save(path, np.maximum(np.quantile(np.concatenate(seen), LOUDEST, axis=(0, 1, 2)), 1e-3) / 255)
    return np.asarray(np.load(path), np.float32)


def write_maps(
    path: Path, watcher: Watcher, pictures: Sequence[Pixels], view: View, scales: NDArray[np.float32]
) -> Maps:
    """The maps of a view of all `pictures`, (N, 8, 8, 896) in units of `scales`: read from `path`, or computed and
    written there."""
    if not path.exists():
        partial = path.with_suffix(".partial.npy")
        maps = open_memmap(partial, "w+", np.uint8, (len(pictures), 8, 8, len(scales)))

        def fill(start: int) -> None:
            chosen = range(start, min(start + BATCH, len(pictures)))
            seen = watcher.maps([view(pictures[index], index) for index in chosen])
            maps[start : start + BATCH] = np.clip(np.rint(seen / scales), 0, 255).astype(np.uint8)
            print(f"{path.name}: {start}/{len(pictures)}", end="\r", file=sys.stderr, flush=True)

        with ThreadPoolExecutor(2) as pool:
            for _ in pool.map(fill, range(0, len(pictures), BATCH)):
                pass
        maps.flush()
        partial.replace(path)
    return np.asarray(np.load(path, mmap_mode="r"))
