"""How many threads to train with on a machine that others use too."""

import time

import torch

BLOCK = 5  # batches timed together: about a second
TRY_EVERY = 8  # blocks: at most an eighth of the time goes to a slower choice


class Pace:
    """Uses one thread or all, whichever trains faster just now.

    Threads that share a convolution wait for the slowest, so while other programs keep one of two cores busy, two
    threads were measured to train at 50 to 110 pictures a second and one at 140; with both free, 560 and 270.
    """

    def __init__(self, most: int) -> None:
        self._seconds = dict.fromkeys((most, 1), 0.0)
        self._threads = most
        self._batches = self._blocks = 0
        self._start()

    def _start(self) -> None:
        torch.set_num_threads(self._threads)
        self._started = time.monotonic()

    def batch_done(self) -> None:
        """To be called after every batch."""
        self._batches += 1
        if self._batches % BLOCK:
            return
        self._seconds[self._threads] = time.monotonic() - self._started
        self._blocks += 1
        best = min(self._seconds, key=self._seconds.__getitem__)
        others = [threads for threads in self._seconds if threads != best]
        self._threads = others[0] if others and self._blocks % TRY_EVERY == 0 else best
        self._start()
