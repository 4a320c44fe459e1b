"""Trains the head on feature maps of a few precomputed views of each picture."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lab.emotion_training.data import LABELS, Faces
from lab.emotion_training.loop import Recipe
from lab.emotion_training.maps import Maps
from lab.emotion_training.network import build_head

MEASURED_ON = 800
"""Pictures from which the channels' deviations are taken."""
AT_ONCE = 128


def recipe(seed: int, epochs: int) -> Recipe:
    """The head's hyperparameters; the weight average spans about two epochs."""
    return Recipe(
        seed,
        epochs,
        batch=128,
        part=64,
        optimiser="adamw",
        rate=2e-3,
        warmup_epochs=2,
        decay=0.05,
        mixup=0.4,
        average=0.998,
        mixup_chance=0.7,
        mixup_until=1.0,  # without mixup in the last five of 24 epochs, both validation accuracies were 0.01 lower
    )


class MapSubject:
    """The head, the maps of each training picture's views, and the maps of whole pictures for validation.

    `scales`: (channels,) the value of a stored 1.
    """

    def __init__(
        self, views: Sequence[Maps], scales: NDArray[np.float32], watched: Sequence[tuple[str, Maps, Faces]]
    ) -> None:
        self._views, self._watched, self._scales = views, watched, torch.from_numpy(scales)
        some = torch.from_numpy(np.array(views[0][:MEASURED_ON])).float() * self._scales
        self.deviations = some.std((0, 1, 2)) + 1e-3

    def build(self) -> nn.Module:
        return build_head(len(LABELS), len(self._scales))

    def views(self, chosen: Tensor, done: float, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(len(self._views), (len(chosen),), generator=generator)
        maps = torch.empty((len(chosen), *self._views[0].shape[1:]), dtype=torch.uint8)
        for number, view in enumerate(self._views):
            there = drawn == number
            maps[there] = torch.from_numpy(view[chosen[there].numpy()])
        flipped = torch.rand(len(maps), generator=generator) < 0.5
        maps[flipped] = maps[flipped].flip(2)
        return self._standardised(maps)

    def settling(self, chosen: Tensor, done: float) -> Iterable[Tensor]:
        for number, part in enumerate(chosen.split(AT_ONCE)):
            yield self._standardised(torch.from_numpy(self._views[number % len(self._views)][part.numpy()]))

    def scores(self, network: nn.Module, done: float) -> dict[str, float]:
        return {name: round(self._accuracy(network, maps, faces), 4) for name, maps, faces in self._watched}

    @torch.no_grad()
    def _accuracy(self, network: nn.Module, maps: Maps, faces: Faces) -> float:
        network.eval()
        parts = [
            self._standardised(torch.from_numpy(np.array(maps[at : at + AT_ONCE])))
            for at in range(0, len(maps), AT_ONCE)
        ]
        given = torch.cat([network(part).argmax(1) for part in parts])
        return float((given == torch.from_numpy(faces.labels)).float().mean())

    def _standardised(self, maps: Tensor) -> Tensor:
        """Stored maps (N, 8, 8, channels) -> (N, channels, 8, 8) of unit deviation."""
        return (maps.float() * (self._scales / self.deviations)).permute(0, 3, 1, 2)
