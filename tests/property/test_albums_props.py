"""Labels and constraints survive any order of adding, removing, processing, naming, merging, splitting, moving, hiding,
"not this person", "these are two", names lent by the gallery, restarts and undo.

The model is plain: which faces a user has said are of one name, and which pairs are not one person's. Clustering may do
what it likes with everything else.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from facewire.protocol.albums.adding import AlbumAdd, AlbumProcess, AlbumRemove
from facewire.protocol.albums.collection import AlbumCreate
from facewire.protocol.albums.correcting import (
    AlbumDifferent,
    AlbumHide,
    AlbumLabel,
    AlbumMerge,
    AlbumMove,
    AlbumNot,
    AlbumSplit,
    AlbumUndo,
)
from facewire.protocol.albums.enrolling import AlbumEnrol, AlbumRecognise
from facewire.protocol.albums.looking import AlbumFaceEntry, AlbumFaces, AlbumPeople, AlbumPerson
from facewire.protocol.schema import A, Asks
from facewire.server.errors import Conflict
from tests.support.albums import album_service, ask
from tests.support.synthetic_engine import draw, portrait

NAMES = ("Ada", "Ben", "Cleo")


@dataclass
class Said:
    """What a user has said, as of some moment. `placed`: face -> the name it was placed under, "" for none."""

    names: dict[int, str] = field(default_factory=dict)  # person -> name
    placed: dict[int, int] = field(default_factory=dict)  # face -> person
    apart: set[frozenset[int]] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)  # people

    def copy(self) -> Said:
        return Said(dict(self.names), dict(self.placed), set(self.apart), set(self.hidden))


class Albums(RuleBasedStateMachine):
    """Drives the service itself; sockets are tested elsewhere."""

    @initialize()
    def open(self) -> None:
        self.room = Path(tempfile.mkdtemp(prefix="albums-"))
        self.context = album_service(self.room)
        self.service = self.context.__enter__()
        self.ask(AlbumCreate("A"))
        self.said = Said()
        self.before: list[Said] = []  # one for every correction that can be undone
        self.shade = 0
        self.add((0, 1))
        self.add((2, 3))
        self.process()

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)
        shutil.rmtree(self.room)

    def ask(self, body: Asks[A]) -> A:
        return ask(self.service, body)

    def faces(self) -> dict[int, AlbumFaceEntry]:
        return {face.face: face for face in self.ask(AlbumFaces("A")).faces}

    def people(self) -> list[AlbumPerson]:
        shown, hidden = (self.ask(AlbumPeople("A", hidden)).people for hidden in (False, True))
        return [*shown, *hidden]

    def remember(self) -> None:
        self.before.append(self.said.copy())

    def joined(self, person: int) -> None:
        """The faces that are placed with a person belong together, whatever was said before."""
        mine = {face for face, owner in self.said.placed.items() if owner == person}
        self.said.apart = {pair for pair in self.said.apart if not pair <= mine}

    # -------------------------------------------------------------------------------------- what users do

    @rule(numbers=st.tuples(st.integers(0, 5), st.integers(0, 5)))
    def add(self, numbers: tuple[int, int]) -> None:
        self.shade += 1
        one, other = (7 * number + 3 for number in numbers)
        boxes = ((2.0, 10.0, 24.0, 24.0), (34.0, 10.0, 24.0, 24.0))
        same = one == other
        picture = (
            portrait(one, shade=self.shade) if same else draw((one, boxes[0]), (other, boxes[1]), shade=self.shade)
        )
        self.ask(AlbumAdd("A", f"{self.shade}.png", picture))

    @rule()
    def process(self) -> None:
        self.ask(AlbumProcess("A"))

    @rule(choice=st.integers(0, 100), name=st.sampled_from(NAMES))
    def label(self, choice: int, name: str) -> None:
        people = self.people()
        person = people[choice % len(people)].person
        self.remember()
        self.ask(AlbumLabel("A", person, name))
        self.named(person, name)

    def named(self, person: int, name: str) -> None:
        """A name makes one person of two."""
        target = next((other for other, known in self.said.names.items() if known == name), person)
        if target != person:
            self.gone(person)
        self.place_all(target, name)

    def gone(self, person: int) -> None:
        self.said.names.pop(person, None)
        self.said.hidden.discard(person)

    @rule(choice=st.integers(0, 100))
    def take_the_name_away(self, choice: int) -> None:
        if self.said.names:
            person = sorted(self.said.names)[choice % len(self.said.names)]
            self.remember()
            self.ask(AlbumLabel("A", person, ""))
            self.place_all(person, None)

    @rule(choice=st.integers(0, 100), hidden=st.booleans())
    def hide(self, choice: int, hidden: bool) -> None:
        people = self.people()
        person = people[choice % len(people)]
        self.remember()
        self.ask(AlbumHide("A", person.person, hidden))
        self.said.hidden = self.said.hidden | {person.person} if hidden else self.said.hidden - {person.person}
        for face in self.faces().values():
            if face.person == person.person:
                self.said.placed[face.face] = person.person

    @precondition(lambda self: len(self.people()) > 1)
    @rule(one=st.integers(0, 100), other=st.integers(0, 100))
    def these_are_two(self, one: int, other: int) -> None:
        people = [person.person for person in self.people()]
        first, second = people[one % len(people)], people[other % len(people)]
        if first == second:
            return
        self.remember()
        self.ask(AlbumDifferent("A", (first, second)))
        mine, theirs = ([f.face for f in self.faces().values() if f.person == each] for each in (first, second))
        self.said.apart |= {frozenset((face, another)) for face in mine for another in theirs}

    @rule(choice=st.integers(0, 100))
    def enrol(self, choice: int) -> None:
        """The gallery learns a name; what it lends later is that."""
        if self.said.names:
            self.ask(AlbumEnrol("A", sorted(self.said.names)[choice % len(self.said.names)], 1))

    @rule()
    def lend(self) -> None:
        before = self.said.copy()
        lent = self.ask(AlbumRecognise("A", apply=True))
        if lent.event is not None:
            self.before.append(before)
            for match in lent.matches:
                assert match.person not in before.names
                self.named(match.person, match.name)

    @rule(choice=st.integers(0, 100))
    def remove(self, choice: int) -> None:
        """Photos are gone for good: no undo brings back what was said of their faces."""
        photos = sorted({face.photo for face in self.faces().values()})
        if len(photos) < 3:
            return
        self.ask(AlbumRemove("A", (photos[choice % len(photos)],)))
        there = set(self.faces())
        for said in (self.said, *self.before):
            said.placed = {face: person for face, person in said.placed.items() if face in there}
            said.apart = {pair for pair in said.apart if pair <= there}
        self.forget_empty()

    def place_all(self, person: int, name: str | None) -> None:
        """Everything that is with the person now was placed there."""
        for face in self.faces().values():
            if face.person == person:
                self.said.placed[face.face] = person
        self.said.names.pop(person, None)
        if name is not None:
            self.said.names[person] = name
        self.joined(person)

    @precondition(lambda self: len(self.people()) > 1)
    @rule(one=st.integers(0, 100), other=st.integers(0, 100))
    def merge(self, one: int, other: int) -> None:
        people = self.people()
        first = people[one % len(people)]
        second = people[other % len(people)]
        if first.person == second.person:
            return
        self.remember()
        self.ask(AlbumMerge("A", (first.person, second.person)))
        self.gone(second.person)
        self.place_all(first.person, first.name or second.name)

    @rule(choice=st.integers(0, 100))
    def split(self, choice: int) -> None:
        people = [person for person in self.people() if person.faces > 1]
        if not people:
            return
        person = people[choice % len(people)].person
        mine = sorted(face.face for face in self.faces().values() if face.person == person)
        chosen = mine[choice % len(mine)]
        self.remember()
        changed = self.ask(AlbumSplit("A", person, (chosen,)))
        new = next(p.person for p in changed.people if p.person not in {q.person for q in people} | {person})
        self.said.placed[chosen] = new
        self.said.apart |= {frozenset((chosen, face)) for face in mine if face != chosen}

    @rule(face=st.integers(0, 100), choice=st.integers(0, 100))
    def move(self, face: int, choice: int) -> None:
        people, faces = self.people(), sorted(self.faces())
        person, chosen = people[choice % len(people)].person, faces[face % len(faces)]
        self.remember()
        self.ask(AlbumMove("A", (chosen,), person))
        self.said.placed[chosen] = person
        with_it = {f.face for f in self.faces().values() if f.person == person}
        self.said.apart = {pair for pair in self.said.apart if not pair <= with_it}
        self.forget_empty()

    @rule(choice=st.integers(0, 100), then_process=st.booleans())
    def not_this_person(self, choice: int, then_process: bool) -> None:
        people = [person for person in self.people() if person.faces > 1]
        if not people:
            return
        person = people[choice % len(people)].person
        mine = sorted(face.face for face in self.faces().values() if face.person == person)
        chosen = mine[choice % len(mine)]
        self.remember()
        self.ask(AlbumNot("A", (chosen,), person))
        self.said.placed.pop(chosen, None)
        self.said.apart |= {frozenset((chosen, face)) for face in mine if face != chosen}
        if then_process:
            self.process()

    @rule()
    def undo(self) -> None:
        if not self.before:
            try:
                self.ask(AlbumUndo("A"))
            except Conflict:
                return
            raise AssertionError("there was nothing to undo")
        self.ask(AlbumUndo("A"))
        self.said = self.before.pop()

    @rule()
    def restart(self) -> None:
        self.context.__exit__(None, None, None)
        self.context = album_service(self.room)
        self.service = self.context.__enter__()

    def forget_empty(self) -> None:
        """A person who lost the last face is gone, and the name with them."""
        there = {person.person for person in self.people()}
        self.said.names = {person: name for person, name in self.said.names.items() if person in there}
        self.said.hidden &= there

    # -------------------------------------------------------------------------------------- what always holds

    @invariant()
    def what_was_said_holds(self) -> None:
        if not hasattr(self, "said"):
            return
        faces = self.faces()
        for face, person in self.said.placed.items():
            assert faces[face].person == person, f"face {face} was placed with {person}"
        for one, other in map(tuple, self.said.apart):
            assert faces[one].person is None or faces[one].person != faces[other].person, (
                f"{one} and {other} are parted"
            )
        names = {person.person: person.name for person in self.people() if person.name is not None}
        assert names == self.said.names
        assert {person.person for person in self.people() if person.hidden} == self.said.hidden
        assert sum(person.faces for person in self.people()) == sum(face.person is not None for face in faces.values())


Albums.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestAlbums = Albums.TestCase
