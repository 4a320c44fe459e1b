"""The files of a bulk build in portions: which are to be read, by whom they were lost, and what is done, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from facewire.server.maintenance.build.folder import FoundFile
from facewire.server.maintenance.build.reading import Holds
from facewire.server.maintenance.build.worker import Read

PICTURES = 32
"""Read by a worker at a time: some two seconds of work, which is what is lost if it ends."""


@dataclass(slots=True, eq=False)
class Portion:
    """Files that one worker reads. `held`: hashes of the pictures that their people have; `losses`: workers that ended
    while they read it."""

    number: int
    files: list[FoundFile]
    held: dict[str, frozenset[str]]
    losses: int = 0


class Work:
    """Files in portions: what is still to be begun, and what is done and has not been taken."""

    def __init__(
        self, files: Sequence[FoundFile] = (), holds: Holds = lambda _: frozenset(), accept: Collection[str] = ()
    ) -> None:
        self.accept = accept
        self._holds = holds
        self._files = iter(files)
        self._left = len(files)
        self._number = 0
        self._to_take = 0
        self._again: list[Portion] = []
        self._done: dict[int, list[Read]] = {}

    @property
    def is_done(self) -> bool:
        """Whether everything has been taken."""
        return not self._left

    def next(self, at_most: int) -> Portion | None:
        """A portion to read; None if there is none, or `at_most` are begun and not yet taken."""
        if self._again:
            return self._again.pop(0)
        if self._number >= self._to_take + at_most:
            return None
        files = list(islice(self._files, PICTURES))
        if not files:
            return None
        people = {file.person for file in files}
        held = {person: frozenset(hashes) for person in people if (hashes := self._holds(person))}
        self._number += 1
        return Portion(self._number - 1, files, held)

    def again(self, begun: Iterable[Portion]) -> int:
        """Portions whose worker has ended while it read the first of them; returns how often that happened to it."""
        first, *others = begun
        first.losses += 1
        self._again = sorted([*self._again, first, *others], key=lambda portion: portion.number)
        return first.losses

    def give(self, portion: Portion, outcomes: list[Read]) -> None:
        """A portion is done."""
        self._done[portion.number] = outcomes

    def taken(self) -> Iterator[Read]:
        """What is done, in order."""
        while self._to_take in self._done:
            for outcome in self._done.pop(self._to_take):
                self._left -= 1
                yield outcome
            self._to_take += 1
