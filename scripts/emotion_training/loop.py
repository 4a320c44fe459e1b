"""The training loop: epochs, checkpoints, the curve's log, and the averaged network that is kept."""

import json
import math
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

CHECKPOINT = "checkpoint.pt"
REPORT_EVERY = 20  # batches: a few seconds
SERVED_SIZE = 40
"""Pixels a side of the served view: a face and its mirror image take 1.45 ms on one core, at 44 px 1.85 ms."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate over (fractional) epochs: a linear warm-up, then half a cosine down to zero.

    With `tail_from` the rate falls from what it was at that epoch to zero at `epochs`, which cuts a run short well.
    """

    peak: float
    warmup: float
    epochs: int
    tail_from: int | None = None
    planned: int = 0

    def done(self, epoch: float) -> float:
        """Part of the run that lies behind, 0..1."""
        return epoch / self.epochs

    def rate_at(self, epoch: float) -> float:
        if epoch < self.warmup:
            return self.peak * epoch / self.warmup
        if self.tail_from is None:
            return self.peak * half_cosine((epoch - self.warmup) / (self.epochs - self.warmup))
        planned = replace(self, epochs=self.planned, tail_from=None)
        if epoch <= self.tail_from:
            return planned.rate_at(epoch)
        part = (epoch - self.tail_from) / (self.epochs - self.tail_from)
        return planned.rate_at(self.tail_from) * half_cosine(part)


def half_cosine(part: float) -> float:
    """1 at 0, 0 at 1."""
    return (1 + math.cos(math.pi * min(part, 1.0))) / 2


@dataclass(frozen=True)
class Recipe:
    """What is trained how. `phases` are (part of the epochs done, pixels a side): small views first, since early
    epochs learn as much from 36 px at two thirds of the cost (progressive resizing, EfficientNetV2)."""

    seed: int = 0
    epochs: int = 32
    batch: int = 64
    rate: float = 0.04
    warmup_epochs: float = 0.5
    momentum: float = 0.9
    decay: float = 5e-4
    smoothing: float = 0.1
    mixup: float = 0.2
    mixup_chance: float = 0.25
    mixup_until: float = 0.6
    raf_share: float = 1.0
    phases: tuple[tuple[float, int], ...] = ((0.0, 32), (0.21, 36), (0.37, 40))
    average: float = 0.9985
    ensemble_from: float = 0.4
    ensemble_share: float = 0.3
    ensemble_memory: float = 0.8


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
        self.given = smooth_labels(split.train, recipe.smoothing)
        self.believed = self.given.clone()
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
        self.believed, self.epoch = state["believed"], state["epoch"]
        self.schedule = Schedule(*state["schedule"])

    def save(self) -> None:
        """Write the checkpoint beside the old one first, so that a power cut leaves one of them whole."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "believed": self.believed,
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
        order = self.draw_order(generator)
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

    def draw_order(self, generator: torch.Generator) -> Tensor:
        """Shuffled indices: FER2013 once, RAF-DB `raf_share` times."""
        raf = torch.from_numpy(self.split.train.raf).nonzero().flatten()
        extra = raf[torch.randperm(len(raf), generator=generator)][: int(len(raf) * (self.recipe.raf_share - 1))]
        order = torch.cat([torch.arange(len(self.pixels)), extra])
        return order[torch.randperm(len(order), generator=generator)]

    def train_batch(self, chosen: Tensor, size: int, generator: torch.Generator) -> float:
        """One step. Returns the loss.

        A tenth of FER2013's labels are wrong, so from part of the way the target leans on what the network has
        been saying about that picture over the last epochs (temporal ensembling, Laine & Aila 2017).
        """
        recipe = self.recipe
        views = augment(self.pixels[chosen], size, generator)
        done = self.schedule.done(self.epoch)
        share = recipe.ensemble_share if done >= recipe.ensemble_from else 0.0
        targets = (1 - share) * self.given[chosen] + share * self.believed[chosen]
        mixed = done < recipe.mixup_until and bool(torch.rand((), generator=generator) < recipe.mixup_chance)
        if mixed:
            views, targets = mix(views, targets, recipe.mixup, generator)
        logits = self.network(views.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits, targets)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.average.update_parameters(self.network)
        if not mixed:
            self.believed[chosen] = self.believed[chosen].lerp(logits.detach().softmax(1), 1 - recipe.ensemble_memory)
        return float(loss.detach())


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
