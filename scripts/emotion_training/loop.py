"""The training loop: epochs, checkpoints, the curve's log, and the averaged network that is kept."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from scripts.emotion_training.augment import augment, mix
from scripts.emotion_training.data import LABELS, Faces, Split
from scripts.emotion_training.network import build_network
from scripts.emotion_training.pace import Pace
from scripts.emotion_training.schedule import Schedule

CHECKPOINT = "checkpoint.pt"
REPORT_EVERY = 20  # batches: a few seconds
SERVED_SIZE = 40
"""Pixels a side of the served view: a face and its mirror image take 1.45 ms on one core, at 44 px 1.85 ms."""


@dataclass(frozen=True)
class Recipe:
    """What is trained how.

    All of it is light, because a small network that sees each picture 32 times underfits: after 18 epochs it scored
    0.678 on what it was trained on and 0.641 on what it was not. More smoothing (0.1), mixup to the end and targets
    leaning on the network's own earlier answers were taken back for that reason.
    """

    seed: int = 0
    epochs: int = 32  # about an hour on two cores that others used too
    batch: int = 64  # more steps than 128 within the same time, which is what was short
    rate: float = 0.04
    warmup_epochs: float = 0.5
    momentum: float = 0.9
    decay: float = 5e-4
    smoothing: float = 0.05
    mixup: float = 0.2  # Beta(0.2, 0.2): mostly a trace of the other picture
    mixup_chance: float = 0.25
    mixup_until: float = 0.6
    # (part of the run done, pixels a side): small views first, since early epochs learn as much from 32 px at two
    # thirds of the cost (progressive resizing, Tan & Le 2021); the network must end at the size it is served at, for
    # trained at 32 px it scored 0.48 there and 0.18 at 44.
    phases: tuple[tuple[float, int], ...] = ((0.0, 32), (0.21, 36), (0.37, SERVED_SIZE))
    average: float = 0.9985  # about one epoch of 565 batches


class Training:
    """State of one training run; everything needed to go on is in `folder`/checkpoint.pt."""

    def __init__(self, split: Split, recipe: Recipe, folder: Path, threads: int) -> None:
        torch.manual_seed(recipe.seed)
        self.split, self.recipe, self.folder = split, recipe, folder
        self.schedule = Schedule(recipe.rate, recipe.warmup_epochs, recipe.epochs)
        self.network = build_network(len(LABELS)).to(memory_format=torch.channels_last)
        self.average = AveragedModel(self.network, multi_avg_fn=warming_average(recipe.average), use_buffers=True)
        matrices = [p for p in self.network.parameters() if p.ndim > 1]
        others = [p for p in self.network.parameters() if p.ndim == 1]  # biases and norms: decay only harms them
        groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True)
        self.pixels = torch.from_numpy(split.train.pixels)
        self.targets = smooth_labels(split.train, recipe.smoothing)
        self.epoch = 0
        self.pace = Pace(threads)

    def resume(self) -> None:
        """Go on from the last checkpoint in the folder, if there is one."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.schedule = state["epoch"], Schedule(*state["schedule"])

    def save(self) -> None:
        """Write the checkpoint beside the old one first, so that a power cut leaves one of them whole."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "schedule": astuple(self.schedule),
        }
        partial = self.folder / (CHECKPOINT + ".partial")
        torch.save(state, partial)
        partial.replace(self.folder / CHECKPOINT)

    def finish_in(self, epochs: int) -> None:
        """Anneal to zero over this many epochs from here, whatever the recipe said: time is running out."""
        self.schedule = replace(
            self.schedule, tail_from=self.epoch, planned=self.schedule.epochs, epochs=self.epoch + epochs
        )

    def run(self) -> None:
        """Train to the end, saving and logging after every epoch."""
        while self.epoch < self.schedule.epochs:
            started = time.monotonic()
            loss, size = self.train_epoch()
            self.epoch += 1
            self.save()
            line = {
                "epoch": self.epoch,
                "size": size,
                "rate": round(self.schedule.rate_at(self.epoch), 5),
                "loss": round(loss, 4),
                "fer": round(accuracy(self.average.module, self.split.choice_fer), 4),
                "raf": round(accuracy(self.average.module, self.split.choice_raf), 4),
                "seconds": round(time.monotonic() - started, 1),
            }
            with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
                curve.write(json.dumps(line) + "\n")
            print(json.dumps(line), file=sys.stderr, flush=True)

    def train_epoch(self) -> tuple[float, int]:
        """One pass over the pictures: mean loss, and the side the views had."""
        generator = torch.Generator().manual_seed(self.recipe.seed * 1000 + self.epoch)
        size = next(side for start, side in reversed(self.recipe.phases) if self.schedule.done(self.epoch) >= start)
        order = torch.randperm(len(self.pixels), generator=generator)
        batches = order.split(self.recipe.batch)[:-1]  # a small last batch would only disturb the batch statistics
        self.network.train()
        total = 0.0
        for number, chosen in enumerate(batches):
            rate = self.schedule.rate_at(self.epoch + number / len(batches))
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            total += self.train_batch(chosen, size, generator)
            self.pace.batch_done()
            if number % REPORT_EVERY == 0:
                print(f"epoch {self.epoch + 1}: {number}/{len(batches)}", end="\r", file=sys.stderr, flush=True)
        return total / len(batches), size

    def train_batch(self, chosen: Tensor, size: int, generator: torch.Generator) -> float:
        """One step. Returns the loss."""
        recipe = self.recipe
        views, targets = augment(self.pixels[chosen], size, generator), self.targets[chosen]
        if self.schedule.done(self.epoch) < recipe.mixup_until and chance(recipe.mixup_chance, generator):
            views, targets = mix(views, targets, recipe.mixup, generator)
        loss = F.cross_entropy(self.network(views.contiguous(memory_format=torch.channels_last)), targets)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.average.update_parameters(self.network)
        return float(loss.detach())


def chance(probability: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < probability)


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
        views = F.interpolate(pixels[:, None].float() / 255, (size, size), mode="bilinear", antialias=True)
        parts.append((network(views) + network(views.flip(3))) / 2)
    return torch.cat(parts)
