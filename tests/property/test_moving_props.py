"""A gallery that is carried to another database at any moment of any life goes on as if nothing had been: people,
templates, history and all that can be undone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from hypothesis import Phase, settings
from hypothesis.stateful import rule

from facewire.server.gallery.records import Counts
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.maintenance.moving.move import copy_to
from facewire.server.maintenance.moving.sqlite_source import SqliteSource
from tests.property.test_gallery_model import LivingGallery
from tests.support.lives import lived, undone
from tests.support.living_server import SPEC


def carried(here: Path, there: Path) -> Counts:
    with closing(SqliteSource(here)) as source:
        return copy_to(source, there)


class MovedGallery(LivingGallery):
    """`LivingGallery`, which moves from time to time."""

    moves = 0

    @rule()
    def move(self) -> None:
        history = self.gallery.history(1000)
        counts, people = self.gallery.counts(), self.gallery.people()
        self.gallery.close()
        self.moves += 1
        to = Path(self.room.name) / f"people-{self.moves}.db"
        assert carried(self.path, to) == counts
        self.path = to
        self.gallery = SqliteGallery.open(to, cohort=self.cohort)
        assert self.gallery.history(1000) == history
        assert self.gallery.people() == people


def test_pictures_of_several_people_and_what_can_be_undone(tmp_path: Path) -> None:
    here, there = tmp_path / "here.db", tmp_path / "there.db"
    with SqliteGallery.create(here, SPEC) as gallery:
        lived(gallery)
    carried(here, there)
    with SqliteGallery.open(here) as one, SqliteGallery.open(there) as other:
        states = undone(one)
        assert len(states) == 10
        assert undone(other) == states


MovedGallery.TestCase.settings = settings(
    max_examples=8, stateful_step_count=30, deadline=None, derandomize=True, phases=[Phase.generate]
)
TestMovedGallery = MovedGallery.TestCase
