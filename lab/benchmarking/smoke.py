"""Is the server still as many times as fast as DeepFace as was recorded? Asked on any machine, also one that others
use: what they take only slows, so every contender is judged by its fastest round, and there are rounds until each ratio
has shown itself or the patience is over."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from facewire.server.cores import cores
from lab.benchmarking.answers import Rounds
from lab.benchmarking.bench import Bench, say
from lab.benchmarking.report import Section

LEAST_SHARE = 0.5
"""Of the recorded ratios to DeepFace: what is required, as machines differ."""
MOST_ROUNDS = 16
WITHHELD = 0.15
"""Share of the processors' time: where others take more, a ratio that has fallen says nothing about the server. A pass
of a network waits for its slowest thread, and ours wait more often in the same time."""

_GAP_S = 0.001  # longer than anything that this loop does by itself
_BUSY = f"""
import sys, time
gone, last = 0.0, time.perf_counter()
until = last + float(sys.argv[1])
while last < until:
    now = time.perf_counter()
    gone += now - last if now - last > {_GAP_S} else 0.0
    last = now
print(gone / float(sys.argv[1]))
"""


@dataclass(frozen=True, slots=True)
class Judged:
    """`section`: by the fastest rounds; `fallen`: a line for each ratio that is too low; `withheld`: the share of its
    processors' time that the machine gave to others, in the middle of the rounds."""

    section: Section
    fallen: list[str]
    withheld: float

    @property
    def verdict(self) -> str:
        """In words."""
        if not self.fallen:
            return f"every ratio to DeepFace is at least {LEAST_SHARE:g} of the recorded one"
        lines = "\n".join(self.fallen)
        if self.counts:
            return lines
        return f"{lines}\nNOT JUDGED: others took {self.withheld:.0%} of the processors: run it on a machine at rest"

    @property
    def counts(self) -> bool:
        """Were the processors free enough for a ratio that has fallen to be the server's fault?"""
        return self.withheld <= WITHHELD


def run(bench: Bench, recorded: Mapping[str, float]) -> Judged:
    """Plays at least `bench.rounds` rounds, and on while a ratio is too low, up to MOST_ROUNDS."""
    rounds, taken = Rounds(bench), list[float]()
    while True:
        say(f"answers, round {rounds.played + 1} of {bench.rounds if rounds.played < bench.rounds else MOST_ROUNDS}")
        taken.append(withheld())
        rounds.play()
        section = rounds.section(best=True)
        lost = fallen(section.data["ratios"], recorded)
        if rounds.played >= (MOST_ROUNDS if lost else bench.rounds):
            return Judged(section, lost, median(taken))


def fallen(ratios: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """A line for each ratio below LEAST_SHARE of the recorded one."""
    return [
        f"FALLEN: {what}: {ratio:.2f} times DeepFace, where {recorded[what]:.2f} was recorded"
        for what, ratio in ratios.items()
        if ratio < LEAST_SHARE * recorded[what]
    ]


def withheld(seconds: float = 0.3) -> float:
    """The share of this time in which a process that wants a core has none, with such a process for every core: given
    to other processes, or to other machines on the same processor, which no counter of this one shows."""
    command = (sys.executable, "-S", "-E", "-c", _BUSY, str(seconds))
    busy = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(cores())]
    return sum(float(one.communicate()[0]) for one in busy) / len(busy)
