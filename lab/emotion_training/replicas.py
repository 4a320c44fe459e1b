"""Gradients of one batch on several cores, none of which waits long for a core that others use too."""

import copy
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

Part = TypeVar("Part")


class Replicas(Generic[Part]):
    """Copies of a network that share its weights, each with a thread of its own and its own gradients.

    A batch comes in parts and every thread takes the next part when it is done with its last one. One convolution cut
    in two would go as slowly as the slower core: with one of two cores busy elsewhere such a pair trained at 50 to 110
    pictures a second, a single thread at 140. Here a busy core just takes fewer parts; with both free, parts of 24 on
    two threads are a tenth faster than shared convolutions too.

    Batch normalisation sees a part at a time. The copies' running statistics differ by which parts they took; take
    them anew from data before the network is used (see `loop.settle_statistics`).
    """

    def __init__(self, network: nn.Module, threads: int, loss: Callable[[nn.Module, Part], Tensor]) -> None:
        torch.set_num_threads(1)
        self._networks = [network] + [copy.deepcopy(network) for _ in range(threads - 1)]
        for replica in self._networks[1:]:
            for own, shared in zip(replica.parameters(), network.parameters(), strict=True):
                own.data = shared.data
        self._loss = loss
        self._pool = ThreadPoolExecutor(threads, "replica")
        self._taking = threading.Lock()  # guards the iterator of parts

    def gradients(self, parts: Sequence[Part]) -> float:
        """Sum the gradients of the parts' losses into the network's own `grad`s. Returns the sum of the losses."""
        waiting = iter(parts)

        def work(replica: nn.Module) -> float:
            total = 0.0
            while True:
                with self._taking:
                    part = next(waiting, None)
                if part is None:
                    return total
                loss = self._loss(replica, part)
                loss.backward()
                total += float(loss.detach())

        for replica in self._networks:
            replica.train()
            replica.zero_grad()
        total = sum(self._pool.map(work, self._networks))
        columns = zip(*(replica.parameters() for replica in self._networks), strict=True)
        for own, *others in columns:
            for other in others:
                if other.grad is not None:
                    own.grad = other.grad if own.grad is None else own.grad.add_(other.grad)
        return total
