"""Trains the small network on grey pixels, with new random views every time."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lab.emotion_training.augment import augment
from lab.emotion_training.data import LABELS, Faces, Split
from lab.emotion_training.loop import Recipe
from lab.emotion_training.network import build_network

SERVED_SIZE = 40
"""Pixels a side of the served view."""
PHASES = ((0.0, 28), (0.3, 34), (0.55, SERVED_SIZE))
"""Part of the run done, and the pixels a side of views from there on: small views first, since early epochs learn as
much from 28 px at half the cost (progressive resizing, Tan & Le 2021). The network must end at the size it is served
at, for trained at 32 px it scored 0.48 there and 0.18 at 44."""


def recipe(seed: int, epochs: int) -> Recipe:
    """The network's hyperparameters; the weight average spans about three epochs."""
    return Recipe(
        seed,
        epochs,
        batch=96,
        part=24,
        optimiser="sgd",
        rate=0.06,
        warmup_epochs=1,
        decay=5e-4,
        mixup=0.2,
        average=0.999,
    )


class PixelSubject:
    """The network, and the faces for training and validation."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self._pixels = torch.from_numpy(split.train.pixels)

    def build(self) -> nn.Module:
        return build_network(len(LABELS))

    def views(self, chosen: Tensor, done: float, generator: torch.Generator) -> Tensor:
        return augment(self._pixels[chosen], size_at(done), generator)

    def settling(self, chosen: Tensor, done: float) -> Iterable[Tensor]:
        return [plain_views(pixels, size_at(done)) for pixels in self._pixels[chosen].split(256)]

    def scores(self, network: nn.Module, done: float) -> dict[str, float]:
        size = size_at(done)
        fer, raf = (accuracy(network, faces, size) for faces in (self._split.choice_fer, self._split.choice_raf))
        return {"size": size, "fer": round(fer, 4), "raf": round(raf, 4)}


def size_at(done: float) -> int:
    """Side length of the views in pixels after this fraction of the run."""
    return next(side for start, side in reversed(PHASES) if done >= start)


def accuracy(network: nn.Module, faces: Faces, size: int = SERVED_SIZE) -> float:
    """Accuracy of the network, averaging over the mirrored view."""
    return float((predict(network, faces, size).argmax(1) == torch.from_numpy(faces.labels)).float().mean())


@torch.no_grad()
def predict(network: nn.Module, faces: Faces, size: int = SERVED_SIZE) -> Tensor:
    """(N, 7) mean logits of the plain and the mirrored view."""
    network.eval()
    parts = []
    for pixels in torch.from_numpy(faces.pixels).split(256):
        views = plain_views(pixels, size)
        parts.append((network(views) + network(views.flip(3))) / 2)
    return torch.cat(parts)


def plain_views(pixels: Tensor, size: int) -> Tensor:
    """uint8 faces (N, S, S) -> unaugmented (N, 1, size, size) in 0..1, as in the server."""
    return F.interpolate(pixels[:, None].float() / 255, (size, size), mode="bilinear", antialias=True)
