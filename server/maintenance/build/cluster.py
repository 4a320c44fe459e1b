"""Bulk builds: pictures are read by workers that Ray runs, one for every few processors of a cluster's nodes, and the
answers come back in order. Ray itself is handed in by `connecting` (docs/decisions/0071).

A worker that ends, with its node or alone, costs what it was reading: that is read again by another, and a new one is
started wherever a node has room. Nodes that join are used, too."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from facewire.protocol.text import printable
from facewire.protocol.version import VERSION
from facewire.server.cache import default_cache_dir
from facewire.server.errors import StartError
from facewire.server.gallery.records import NewPicture
from facewire.server.maintenance.build.folder import FoundFile
from facewire.server.maintenance.build.portions import Portion, Work
from facewire.server.maintenance.build.reading import Holds
from facewire.server.maintenance.build.report import Reason, Skipped
from facewire.server.maintenance.build.worker import Failed, Greeting, Job, Made, Opened, Read, Share, Worker, greeting
from facewire.server.spec import EmbeddingSpec

PROCESSORS = 4
"""Of a worker, at most: FaceNet's batches don't share more of them well, and each worker takes 500 MB."""

AT_ONCE = 2
"""Portions that a worker has: one that it reads, and the next, so that it never waits for us."""

AHEAD = 4
"""Portions a worker that are begun and not yet taken, because an earlier one takes longer: 300 KB each."""

LOSSES = 3
"""Workers that may end with one portion, or before they are open: then it is no coincidence."""

MUSTER_EVERY_S = 5.0
NOBODY_S = 60.0
"""How long a build waits for a node when none is left."""


class Cluster:
    """`Readers` on a cluster. For one thread; use `reading_on`."""

    def __init__(self, ray: Any, job: Job) -> None:
        """Wait until the first worker is ready. Raises StartError."""
        self._ray = ray
        self._job = job
        self._default_cache = job.vision.cache_dir == default_cache_dir()
        self._awaited: dict[Any, Callable[[Any], None]] = {}
        self._nodes: dict[str, _Node] = {}
        self._first_nodes: frozenset[str] | None = None
        self._work = Work()
        self._opened: Opened | None = None
        self._somebody_at = time.monotonic()
        self._mustered_at = float("-inf")
        self._muster()
        if not self._nodes:
            raise StartError("no node of the cluster has a processor for us: start one with `ray start --num-cpus`")
        self._first_nodes = frozenset(self._nodes)
        while self._opened is None:
            self._step()

    @property
    def spec(self) -> EmbeddingSpec:
        """All workers'."""
        assert self._opened is not None, "the constructor waits for it"
        return self._opened.spec

    def read(
        self, folder: Path, files: Sequence[FoundFile], holds: Holds, accept: Collection[str]
    ) -> Generator[Read, None, None]:
        """See `Readers`. Raises StartError if the cluster can't go on."""
        self._work = work = Work(files, holds, accept)
        while not work.is_done:
            self._hand_out()
            yield from work.taken()
            if not work.is_done:
                self._step()

    def embed(self, folder: Path, batch: Sequence[Made]) -> Iterable[tuple[str, NewPicture]]:
        """See `Readers`: the workers have done so."""
        return ((made.file.person, made.picture) for made in batch)

    # ------------------------------------------------------------------------------------------ events

    def _step(self) -> None:
        """Wait for something to happen, and do what follows from it."""
        if time.monotonic() > self._mustered_at + MUSTER_EVERY_S:
            self._muster()
        if self._awaited:
            for ref in self._ray.wait(list(self._awaited), num_returns=1, timeout=1.0)[0]:
                self._awaited.pop(ref)(ref)
        else:
            time.sleep(0.2)  # no node is there
        if self._nodes:
            self._somebody_at = time.monotonic()
        elif time.monotonic() > self._somebody_at + NOBODY_S:
            raise StartError(f"no node of the cluster is left, for {NOBODY_S:.0f} s: run it again to continue")

    def _muster(self) -> None:
        """Greet nodes that are new, forget those that are gone, and start the workers that are missing."""
        self._mustered_at = time.monotonic()
        there = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"] and _processors(node)}
        for gone in self._nodes.keys() - there.keys():
            del self._nodes[gone]
        for node_id, described in there.items():
            if node_id not in self._nodes:
                self._nodes[node_id] = node = _Node(node_id, _name(described), _processors(described))
                self._greet(node)
            elif self._nodes[node_id].is_fit:
                self._man(self._nodes[node_id])

    def _greet(self, node: _Node) -> None:
        greet = self._ray.remote(greeting()).options(num_cpus=0, scheduling_strategy=self._on(node))
        self._await(
            greet.remote(str(self._job.folder), self._job.samples), partial(self._greeted, node), lambda _: None
        )

    def _greeted(self, node: _Node, answer: Greeting) -> None:
        version, missing = answer
        if version != VERSION:
            has = f"has facewire {version}" if version else "has no facewire"
            self._unfit(node, f"{has}, and this machine {VERSION}: install the same on all of them")
        elif missing is not None:
            self._unfit(
                node, f"doesn't see {missing} as this machine does: every node must see the folder at that path"
            )
        else:
            node.is_fit = True
            self._man(node)

    def _man(self, node: _Node) -> None:
        """Start the node's workers, as far as they are not there."""
        for slot in range(node.workers):
            if slot not in node.hands:
                share = Share(slot, node.share) if node.workers > 1 else None
                kind = self._ray.remote(Worker).options(num_cpus=node.share, scheduling_strategy=self._on(node))
                node.hands[slot] = hand = _Hand(node, slot, kind.remote(self._job, share, self._default_cache))
                self._await(hand.actor.open.remote(), partial(self._worker_opened, hand), partial(self._lost, hand))

    def _worker_opened(self, hand: _Hand, answer: Opened | Failed) -> None:
        if isinstance(answer, Failed):
            self._unfit(hand.node, f"can't open the networks: {answer.message}")
        elif self._opened is not None and answer.spec != self._opened.spec:
            spec, others = answer.spec, self._opened.spec
            self._unfit(
                hand.node,
                f"has {spec.model} of spec {spec.fingerprint}, and the others {others.model} of {others.fingerprint}:"
                " give all of them the same weights",
            )
        elif self._opened is not None and answer.precision != self._opened.precision:
            self._unfit(
                hand.node,
                f"computes in {answer.precision}, and the others in {self._opened.precision}: say --precision f32",
            )
        else:
            self._opened = answer
            hand.is_open = True
            hand.node.losses[hand.slot] = 0

    def _unfit(self, node: _Node, why: str) -> None:
        """A node that was there from the beginning ends the build; one that joined is left out."""
        message = f"node {node.name} {why}"
        if self._first_nodes is None or node.id in self._first_nodes:
            raise StartError(message)
        print(printable(f"{message}; it is left out"), file=sys.stderr)
        node.is_fit = False
        for hand in node.hands.values():
            self._ray.kill(hand.actor)

    def _lost(self, hand: _Hand, error: Exception) -> None:
        """A worker has ended. Called for each answer that was expected of it, in their order."""
        if hand.node.hands.get(hand.slot) is hand:
            del hand.node.hands[hand.slot]
            hand.is_open = False
            if not hand.begun:
                hand.node.losses[hand.slot] += 1
                if hand.node.losses[hand.slot] >= LOSSES:
                    self._unfit(hand.node, f"lost {LOSSES} workers before they were ready: {first_line(error)}")
            elif self._work.again(hand.begun) >= LOSSES:
                first, last = (hand.begun[0].files[place].path for place in (0, -1))
                raise StartError(
                    f"{LOSSES} workers ended while they read {first} to {last}: move the one that does it elsewhere"
                )
            hand.begun.clear()
            self._mustered_at = float("-inf")  # a new one is started at once, if the node is still there

    # ------------------------------------------------------------------------------------------ work

    def _hand_out(self) -> None:
        hands = [hand for node in self._nodes.values() for hand in node.hands.values() if hand.is_open]
        for _ in range(AT_ONCE):
            for hand in hands:
                if len(hand.begun) < AT_ONCE and (portion := self._work.next(AHEAD * len(hands))) is not None:
                    hand.begun.append(portion)
                    answer = hand.actor.read.remote(portion.files, portion.held, self._work.accept)
                    self._await(answer, partial(self._read, hand, portion), partial(self._lost, hand))

    def _read(self, hand: _Hand, portion: Portion, answer: list[Read] | Failed) -> None:
        if isinstance(answer, Failed):
            raise StartError(f"node {hand.node.name}: {answer.message}")
        for outcome in answer:
            if isinstance(outcome, Skipped) and outcome.reason is Reason.UNREADABLE:
                self._check_unreadable(hand.node, outcome)
        hand.begun.remove(portion)
        self._work.give(portion, answer)

    def _check_unreadable(self, node: _Node, skipped: Skipped) -> None:
        """Raises StartError if only that node can't read the file: its folder may be gone, and every picture with
        it."""
        with suppress(OSError), (self._job.folder / skipped.path).open("rb"):
            raise StartError(f"node {node.name} can't read {skipped.path}, but this machine can: {skipped.detail}")

    def _await(self, ref: Any, then: Callable[[Any], None], lost: Callable[[Exception], None]) -> None:
        """Call `then` with the answer when it is there, or `lost` if who should give it has ended."""
        errors = self._ray.exceptions

        def arrived(ready: Any) -> None:
            try:
                answer = self._ray.get(ready)
            except errors.RayTaskError:
                raise  # a bug of ours
            except errors.RayError as error:
                lost(error)
            else:
                then(answer)

        self._awaited[ref] = arrived

    def _on(self, node: _Node) -> Any:
        return self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node.id, soft=False)

    def close(self) -> None:
        """End the workers."""
        for node in self._nodes.values():
            for hand in node.hands.values():
                self._ray.kill(hand.actor)


@dataclass(slots=True, eq=False)
class _Node:
    """`losses`: how many workers in each place ended before they were ready, since one was."""

    id: str
    name: str
    processors: int
    is_fit: bool = False
    losses: Counter[int] = field(default_factory=Counter)
    hands: dict[int, _Hand] = field(default_factory=dict)

    @property
    def workers(self) -> int:
        return -(-self.processors // PROCESSORS)

    @property
    def share(self) -> int:
        return self.processors // self.workers


@dataclass(slots=True, eq=False)
class _Hand:
    """A worker, and what it has been given: it reads the first of it."""

    node: _Node
    slot: int
    actor: Any
    is_open: bool = False
    begun: deque[Portion] = field(default_factory=deque)


def _processors(node: dict[str, Any]) -> int:
    return int(node["Resources"].get("CPU", 0))


def _name(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def first_line(error: Exception) -> str:
    """Of its message."""
    return next(iter(str(error).splitlines()), type(error).__name__)
