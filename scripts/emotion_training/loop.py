"""The training loop: epochs, checkpoints, the curve's log, and the averaged network that is kept."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, update_bn

from scripts.emotion_training.augment import augment, mix
from scripts.emotion_training.data import LABELS, Faces, Split
from scripts.emotion_training.network import build_network
from scripts.emotion_training.replicas import Replicas
from scripts.emotion_training.schedule import Schedule

CHECKPOINT = "checkpoint.pt"
REPORT_EVERY = 20  # batches: a few seconds
SERVED_SIZE = 40
"""Pixels a side of the served view."""
SETTLING = 4096
"""Pictures from which the averaged network's batch statistics are taken."""


@dataclass(frozen=True)
class Recipe:
    """What is trained how."""

    seed: int = 0
    epochs: int = 64
    batch: int = 96
    part: int = 24  # pictures that batch normalisation sees together
    rate: float = 0.06
    warmup_epochs: float = 1.0
    momentum: float = 0.9
    decay: float = 5e-4
    smoothing: float = 0.1
    mixup: float = 0.2  # Beta(0.2, 0.2): mostly a trace of the other picture
    mixup_chance: float = 0.5
    mixup_until: float = 0.8  # part of the run; the last epochs see pictures as they are served
    # (part of the run done, pixels a side): small views first, since early epochs learn as much from 28 px at half the
    # cost (progressive resizing, Tan & Le 2021); the network must end at the size it is served at, for trained at
    # 32 px it scored 0.48 there and 0.18 at 44.
    phases: tuple[tuple[float, int], ...] = ((0.0, 28), (0.3, 34), (0.55, SERVED_SIZE))
    average: float = 0.999  # of batches: about three epochs


@dataclass(frozen=True)
class Part:
    """Pictures of one batch that are trained on together, and the seed of their views."""

    chosen: Tensor
    size: int
    seed: int
    mixed: bool
    share: float
    """Of the batch, by which their loss counts."""


class Training:
    """State of one training run; everything needed to go on is in `folder`/checkpoint.pt."""

    def __init__(self, split: Split, recipe: Recipe, folder: Path, threads: int) -> None:
        torch.manual_seed(recipe.seed)
        self.split, self.recipe, self.folder = split, recipe, folder
        self.schedule = Schedule(recipe.rate, recipe.warmup_epochs, recipe.epochs)
        self.network = build_network(len(LABELS)).to(memory_format=torch.channels_last)
        self.average = AveragedModel(self.network, multi_avg_fn=warming_average(recipe.average))
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim == 1]  # biases and norms: decay only harms them
        groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True)
        self.pixels = torch.from_numpy(split.train.pixels)
        self.targets = smooth_labels(split.train, recipe.smoothing)
        self.epoch = 0
        self.replicas = Replicas(self.network, threads, self.loss)

    def resume(self) -> None:
        """Go on from the last checkpoint in the folder, if there is one."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch = state["epoch"]

    def save(self) -> None:
        """Write the checkpoint beside the old one first, so that a power cut leaves one of them whole."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
        }
        partial = self.folder / (CHECKPOINT + ".partial")
        torch.save(state, partial)
        partial.replace(self.folder / CHECKPOINT)

    def run(self) -> None:
        """Train to the end, saving and logging after every epoch."""
        while self.epoch < self.recipe.epochs:
            started = time.monotonic()
            loss, size = self.train_epoch()
            self.epoch += 1
            self.save()
            self.settle(size)
            line = {
                "epoch": self.epoch,
                "size": size,
                "rate": round(self.schedule.rate_at(self.epoch), 5),
                "loss": round(loss, 4),
                "fer": round(accuracy(self.average.module, self.split.choice_fer, size), 4),
                "raf": round(accuracy(self.average.module, self.split.choice_raf, size), 4),
                "seconds": round(time.monotonic() - started, 1),
            }
            with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
                curve.write(json.dumps(line) + "\n")
            print(json.dumps(line), file=sys.stderr, flush=True)

    def train_epoch(self) -> tuple[float, int]:
        """One pass over the pictures: mean loss, and the side the views had."""
        recipe, done = self.recipe, self.epoch / self.recipe.epochs
        generator = torch.Generator().manual_seed(recipe.seed * 1000 + self.epoch)
        size = next(side for start, side in reversed(recipe.phases) if done >= start)
        order = torch.randperm(len(self.pixels), generator=generator)
        batches = order.split(recipe.batch)[:-1]  # a small last batch would only disturb the batch statistics
        total = 0.0
        for number, chosen in enumerate(batches):
            for group in self.optimiser.param_groups:
                group["lr"] = self.schedule.rate_at(self.epoch + number / len(batches))
            mixed = done < recipe.mixup_until
            parts = [
                Part(pictures, size, draw_seed(generator), mixed, recipe.part / recipe.batch)
                for pictures in chosen.split(recipe.part)
            ]
            total += self.replicas.gradients(parts)
            self.optimiser.step()
            self.average.update_parameters(self.network)
            if number % REPORT_EVERY == 0:
                print(f"epoch {self.epoch + 1}: {number}/{len(batches)}", end="\r", file=sys.stderr, flush=True)
        return total / len(batches), size

    def loss(self, network: nn.Module, part: Part) -> Tensor:
        """What this part adds to its batch's loss."""
        generator = torch.Generator().manual_seed(part.seed)
        views, targets = augment(self.pixels[part.chosen], part.size, generator), self.targets[part.chosen]
        if part.mixed and chance(self.recipe.mixup_chance, generator):
            views, targets = mix(views, targets, self.recipe.mixup, generator)
        logits = network(views.contiguous(memory_format=torch.channels_last))
        return F.cross_entropy(logits, targets) * part.share

    def settle(self, size: int) -> None:
        """Take the averaged network's batch statistics from training pictures, seen as it will be served them."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        chosen = torch.randperm(len(self.pixels), generator=generator)[:SETTLING]
        update_bn([plain_views(pixels, size) for pixels in self.pixels[chosen].split(256)], self.average.module)


def chance(probability: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < probability)


def draw_seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator))


def warming_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """An exponential average that forgets faster while it is young: else it is mostly the random start for epochs."""

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    return update


def smooth_labels(faces: Faces, smoothing: float) -> Tensor:
    """(N, 7) targets: the given label, less `smoothing` spread over all."""
    one_hot = F.one_hot(torch.from_numpy(faces.labels), len(LABELS)).float()
    return one_hot * (1 - smoothing) + smoothing / len(LABELS)


def accuracy(network: nn.Module, faces: Faces, size: int = SERVED_SIZE) -> float:
    """Part of the faces whose label the network gives, the mirrored view averaged in."""
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
    """uint8 faces (N, S, S) -> whole (N, 1, size, size) in 0..1, as the server makes them."""
    return F.interpolate(pixels[:, None].float() / 255, (size, size), mode="bilinear", antialias=True)
