"""The training loop: epochs, checkpoints, the log of scores, and weight averaging."""

import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, update_bn

from lab.emotion_training.augment import mix
from lab.emotion_training.data import LABELS, Faces
from lab.emotion_training.replicas import Replicas
from lab.emotion_training.schedule import Schedule

CHECKPOINT = "checkpoint.pt"
REPORT_EVERY = 20  # batches: a few seconds
SMOOTHING = 0.1
SETTLING = 4096
"""Pictures used to recompute the averaged network's batch statistics."""


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters."""

    seed: int
    epochs: int
    batch: int
    part: int  # pictures normalised together by batch normalisation
    optimiser: Literal["sgd", "adamw"]
    rate: float
    warmup_epochs: float
    decay: float
    mixup: float  # parameter of Beta(mixup, mixup): mostly adds only a trace of the other picture
    average: float  # decay of the weight average per batch
    momentum: float = 0.9
    mixup_chance: float = 0.5
    mixup_until: float = 0.8  # fraction of the run; the last epochs use pictures as in serving


@dataclass(frozen=True)
class Part:
    """Pictures of a batch that are processed together, and the seed of their views."""

    chosen: Tensor
    done: float
    """Fraction of the run completed."""
    seed: int
    mixed: bool
    share: float
    """Fraction of the batch: the weight of their loss."""


class Subject(Protocol):
    """A network and its data."""

    def build(self) -> nn.Module:
        """A randomly initialised network."""

    def views(self, chosen: Tensor, done: float, generator: torch.Generator) -> Tensor:
        """Training inputs of the chosen pictures; `done`: fraction of the run completed."""

    def settling(self, chosen: Tensor, done: float) -> Iterable[Tensor]:
        """Batches of inputs of the chosen training pictures, as in serving."""

    def scores(self, network: nn.Module, done: float) -> dict[str, float]:
        """Scores for the log, in addition to the loss."""


class Training:
    """The state of a training run; `folder`/checkpoint.pt holds everything needed to resume."""

    def __init__(self, subject: Subject, targets: Tensor, recipe: Recipe, folder: Path, threads: int) -> None:
        """`targets`: (N, 7) target probabilities of the training pictures."""
        torch.manual_seed(recipe.seed)
        folder.mkdir(parents=True, exist_ok=True)
        self.subject, self.targets, self.recipe, self.folder = subject, targets, recipe, folder
        self.schedule = Schedule(recipe.rate, recipe.warmup_epochs, recipe.epochs)
        self.network = subject.build().to(memory_format=torch.channels_last)
        self.average = AveragedModel(self.network, multi_avg_fn=warming_average(recipe.average))
        self.optimiser = build_optimiser(self.network, recipe)
        self.epoch = 0
        self.replicas = Replicas(self.network, threads, self.loss)

    def resume(self) -> None:
        """Resumes from the last checkpoint in the folder, if any."""
        path = self.folder / CHECKPOINT
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch = state["epoch"]

    def save(self) -> None:
        """Writes a new checkpoint before replacing the old one, so that a power cut leaves one of them intact."""
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
            started, done = time.monotonic(), self.epoch / self.recipe.epochs
            loss = self.train_epoch(done)
            self.epoch += 1
            self.save()
            self.settle(done)
            line = {
                "epoch": self.epoch,
                "rate": round(self.schedule.rate_at(self.epoch), 5),
                "loss": round(loss, 4),
                **self.subject.scores(self.average.module, done),
                "seconds": round(time.monotonic() - started, 1),
            }
            with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as curve:
                curve.write(json.dumps(line) + "\n")
            print(json.dumps(line), file=sys.stderr, flush=True)

    def train_epoch(self, done: float) -> float:
        """Runs one epoch. Returns the mean loss."""
        recipe = self.recipe
        generator = torch.Generator().manual_seed(recipe.seed * 1000 + self.epoch)
        order = torch.randperm(len(self.targets), generator=generator)
        batches = order.split(recipe.batch)[:-1]  # a small last batch would disturb the batch statistics
        total = 0.0
        for number, chosen in enumerate(batches):
            for group in self.optimiser.param_groups:
                group["lr"] = self.schedule.rate_at(self.epoch + number / len(batches))
            mixed = done < recipe.mixup_until
            parts = [
                Part(pictures, done, draw_seed(generator), mixed, recipe.part / recipe.batch)
                for pictures in chosen.split(recipe.part)
            ]
            total += self.replicas.gradients(parts)
            self.optimiser.step()
            self.average.update_parameters(self.network)
            if number % REPORT_EVERY == 0:
                print(f"epoch {self.epoch + 1}: {number}/{len(batches)}", end="\r", file=sys.stderr, flush=True)
        return total / len(batches)

    def loss(self, network: nn.Module, part: Part) -> Tensor:
        """This part's contribution to its batch's loss."""
        generator = torch.Generator().manual_seed(part.seed)
        views, targets = self.subject.views(part.chosen, part.done, generator), self.targets[part.chosen]
        if part.mixed and chance(self.recipe.mixup_chance, generator):
            views, targets = mix(views, targets, self.recipe.mixup, generator)
        logits = network(views.contiguous(memory_format=torch.channels_last))
        return F.cross_entropy(logits, targets) * part.share

    def settle(self, done: float = 1.0) -> nn.Module:
        """The averaged network, with batch statistics recomputed from training pictures as in serving."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        chosen = torch.randperm(len(self.targets), generator=generator)[:SETTLING]
        update_bn(self.subject.settling(chosen, done), self.average.module)
        return self.average.module


def build_optimiser(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser. The learning rate is set before every step."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]  # biases and norms, which weight decay would harm
    groups = [{"params": matrices, "weight_decay": recipe.decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=0.0)
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True)


def chance(probability: float, generator: torch.Generator) -> bool:
    return bool(torch.rand((), generator=generator) < probability)


def draw_seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**62, (), generator=generator))


def warming_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor], None]:
    """An exponential average with faster decay at first; otherwise the random initialisation would dominate for
    epochs."""

    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        share = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for old, new in zip(averaged, current, strict=True):
            if old.is_floating_point():
                old.lerp_(new, share)
            else:
                old.copy_(new)

    return update


def smooth_labels(faces: Faces) -> Tensor:
    """(N, 7) targets with label smoothing: SMOOTHING is spread over all classes."""
    one_hot = F.one_hot(torch.from_numpy(faces.labels), len(LABELS)).float()
    return one_hot * (1 - SMOOTHING) + SMOOTHING / len(LABELS)
