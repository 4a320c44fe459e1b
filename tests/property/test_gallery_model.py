"""Any sequence of changes leaves the gallery as a plain dictionary says: in memory, on disk, and after reopening."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from numpy.typing import NDArray

from facewire.server.errors import AlreadyExists, Conflict, InvalidName, UnknownPerson, UnknownTemplate
from facewire.server.gallery.sqlite import SqliteGallery
from tests.support.galleries import cohort_file, picture, random_units, spec

VECTORS = random_units(np.random.default_rng(11), 16, 4)
NAMES = ("Ann", "Bob", "Cleo", "Dora")

names = st.sampled_from(NAMES)
numbers = st.integers(0, len(VECTORS) - 1)
choices = st.integers(0, 5)

People = dict[str, dict[int, int]]
"""Who has which templates, by id, and the number of the picture of each."""


def best_similarity(probe: int, mine: dict[int, int], scales: NDArray[np.float32]) -> float:
    """That of the template, or of the direction of the mean of all, that is nearest by these scales of all VECTORS."""
    numbers = list(mine.values())
    mean = VECTORS[numbers].mean(axis=0)
    ways = np.stack([*VECTORS[numbers], mean / np.linalg.norm(mean)])
    similarities = ways @ VECTORS[probe]
    nearest = np.argmax((similarities - 1) / np.append(scales[numbers], scales[numbers].mean()))
    return float(similarities[nearest])


class LivingGallery(RuleBasedStateMachine):
    """`people` is what should be there, `past` what was before each change that can be undone."""

    def __init__(self) -> None:
        super().__init__()
        self.room = tempfile.TemporaryDirectory()
        self.path = Path(self.room.name) / "people.db"
        # With scales, and searched in few directions.
        self.cohort = cohort_file(self.path.with_name("cohort.npz"))
        self.gallery = SqliteGallery.create(self.path, spec(), cohort=self.cohort)
        self.people: People = {}
        self.past: list[People] = []

    def teardown(self) -> None:
        self.gallery.close()
        self.room.cleanup()

    def changed(self, people: People) -> None:
        self.past.append(self.people)
        self.people = people

    def somebody(self, choice: int) -> str:
        return sorted(self.people)[choice % len(self.people)]

    def one_of(self, name: str, choice: int) -> int | None:
        mine = sorted(self.people[name])
        return mine[choice % len(mine)] if mine else None

    # -------------------------------------------------------------------------------------- changes

    @initialize(first=st.lists(numbers, min_size=1, max_size=4, unique=True))
    def begin_with_some(self, first: list[int]) -> None:
        for name in ("Ann", "Bob", "Dora"):
            self.enrol(name, first)

    @rule(name=names, pictures=st.lists(numbers, min_size=1, max_size=3, unique=True))
    def enrol(self, name: str, pictures: list[int]) -> None:
        new = [picture(str(number), VECTORS[number]) for number in pictures]
        enrolment = self.gallery.enrol(name, new)
        after = copy.deepcopy(self.people)
        mine = after.setdefault(name, {})
        had = set(mine.values())
        for number, ids in zip(pictures, enrolment.template_ids, strict=True):
            assert len(ids) == (number not in had)
            mine.update(dict.fromkeys(ids, number))
        assert (enrolment.event is None) == (after == self.people)
        if enrolment.event is not None:
            self.changed(after)

    @precondition(lambda self: self.people)
    @rule(choice=choices, to=names)
    def rename(self, choice: int, to: str) -> None:
        name = self.somebody(choice)
        if to in self.people:
            with pytest.raises(AlreadyExists):
                self.gallery.rename(name, to)
        else:
            self.gallery.rename(name, to)
            self.changed({to if who == name else who: mine for who, mine in self.people.items()})

    @precondition(lambda self: self.people)
    @rule(choice=choices, other=choices)
    def merge(self, choice: int, other: int) -> None:
        name, into = self.somebody(choice), self.somebody(other)
        if name == into:
            with pytest.raises(InvalidName):
                self.gallery.merge([name], into)
        else:
            self.gallery.merge([name], into)
            after = copy.deepcopy(self.people)
            self.take_over(after.pop(name), after[into])
            self.changed(after)

    @precondition(lambda self: self.people)
    @rule(choice=choices, which=choices, to=names)
    def split(self, choice: int, which: int, to: str) -> None:
        name = self.somebody(choice)
        template = self.one_of(name, which)
        if template is None:
            return
        if name == to:
            with pytest.raises(InvalidName):
                self.gallery.split(name, [template], to)
        else:
            self.gallery.split(name, [template], to)
            after = copy.deepcopy(self.people)
            self.take_over({template: after[name].pop(template)}, after.setdefault(to, {}))
            self.changed(after)

    @precondition(lambda self: self.people)
    @rule(choice=choices)
    def remove_person(self, choice: int) -> None:
        name = self.somebody(choice)
        self.gallery.remove(name)
        self.changed({who: mine for who, mine in self.people.items() if who != name})

    @precondition(lambda self: self.people)
    @rule(choice=choices, which=choices)
    def remove_template(self, choice: int, which: int) -> None:
        name = self.somebody(choice)
        template = self.one_of(name, which)
        if template is not None:
            self.gallery.remove(name, [template])
            after = copy.deepcopy(self.people)
            del after[name][template]
            self.changed(after)

    @precondition(lambda self: len(self.people) == 1)
    @rule(name=names)
    def refusals(self, name: str) -> None:
        nobody, nothing = "Nobody", max((t for mine in self.people.values() for t in mine), default=0) + 1000
        with pytest.raises(UnknownPerson):
            self.gallery.rename(nobody, "New")
        with pytest.raises(UnknownPerson):
            self.gallery.merge([name], nobody)
        with pytest.raises((UnknownPerson, UnknownTemplate)):
            self.gallery.split(name, [nothing], "New")
        with pytest.raises((UnknownPerson, UnknownTemplate)):
            self.gallery.remove(name, [nothing])

    @precondition(lambda self: self.past)
    @rule(choice=choices)
    def undo(self, choice: int) -> None:
        with pytest.raises(Conflict):
            self.gallery.undo(len(self.past) + 1)
        count = 1 + choice % min(3, len(self.past))
        assert len(self.gallery.undo(count).undone) == count
        self.people = self.past[-count]
        del self.past[-count:]

    @precondition(lambda self: len(self.people) > 2)
    @rule(choice=choices)
    def erase(self, choice: int) -> None:
        name = self.somebody(choice)
        self.gallery.erase(name)
        self.people = {who: mine for who, mine in self.people.items() if who != name}
        self.past = []

    @rule()
    def reopen(self) -> None:
        self.gallery.close()
        self.gallery = SqliteGallery.open(self.path, cohort=self.cohort)

    # -------------------------------------------------------------------------------------- what must hold

    @staticmethod
    def take_over(theirs: dict[int, int], mine: dict[int, int]) -> None:
        """A picture that both have is kept once."""
        had = set(mine.values())
        mine.update({template: number for template, number in theirs.items() if number not in had})

    @invariant()
    def people_and_counts_are_those_of_the_model(self) -> None:
        listed, total = self.gallery.people()
        assert total == len(self.people)
        assert {one.name: one.templates for one in listed} == {name: len(mine) for name, mine in self.people.items()}
        assert all(one.images == one.templates for one in listed)

    @invariant()
    def disk_and_memory_agree(self) -> None:
        for name, mine in self.people.items():
            person, kept = self.gallery.show(name, 0, 100, crops=False)
            assert {one.id: int(one.image) for one in kept} == mine
            assert person.templates == len(mine)

    @invariant()
    def everybody_is_found_by_their_pictures_and_nobody_else(self) -> None:
        scales = self.gallery.scales(VECTORS)
        for number in range(0, len(VECTORS), 4):
            found = self.gallery.search(VECTORS[number], 10)
            expected = {name: best_similarity(number, mine, scales) for name, mine in self.people.items() if mine}
            assert {match.name: pytest.approx(match.similarity, abs=1e-5) for match in found} == expected


# Not shrunk: every step is on the disk before the next, and thousands of them would take minutes.
LivingGallery.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
)
TestLivingGallery = LivingGallery.TestCase
