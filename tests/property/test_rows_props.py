"""Rows after any edits are what a dictionary says, and no older rows change by it."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facewire.server.gallery.search.directions import WIDTH, Directions
from facewire.server.gallery.search.rows import Chunk, Rows
from tests.support.galleries import random_units

VECTORS = random_units(np.random.default_rng(2), 24, 4)

DIRECTIONS = Directions(np.eye(4, 3, dtype=np.float32))


def measure(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    return (0.5 + embeddings[:, 0] / 4).astype(np.float32)


States = dict[int, tuple[int, int]]
"""Picture and person of each template."""


def chunk(states: States) -> Chunk:
    ids = sorted(states)
    return Chunk(VECTORS[ids], ids, [states[one][0] for one in ids], [states[one][1] for one in ids])


def check(rows: Rows, states: States) -> None:
    ids = sorted(states)
    assert rows.template_ids.tolist() == ids
    assert np.array_equal(rows.embeddings, VECTORS[ids])
    assert rows.embeddings.flags.c_contiguous
    assert np.array_equal(rows.scales, measure(VECTORS[ids]))
    if rows.codes.shape[1]:
        assert np.array_equal(rows.codes, DIRECTIONS.codes(VECTORS[ids], rows.scales))
    assert rows.image_ids.tolist() == [states[one][0] for one in ids]
    assert rows.person_ids.tolist() == [states[one][1] for one in ids]
    theirs = [found.tolist() for found in rows.of_people(range(6))]
    assert theirs == [[row for row, one in enumerate(ids) if states[one][1] == person] for person in range(6)]


owners = st.tuples(st.integers(0, 5), st.integers(0, 5))
edits = st.lists(st.dictionaries(st.integers(1, 23), st.none() | owners, min_size=1, max_size=6), max_size=12)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(edits, st.lists(st.booleans(), min_size=12, max_size=12), st.sampled_from([None, DIRECTIONS]))
def test_any_edits(
    steps: list[dict[int, tuple[int, int] | None]], branches: list[bool], directions: Directions | None
) -> None:
    """A step gives templates another owner, adds them, brings them back or takes them away (None). Where `branches`
    says so, the step is done twice from the same rows, and once in vain."""
    states: States = {1: (1, 1), 2: (1, 1), 3: (2, 2)}
    rows = Rows.load(3, 4, [chunk(states)], measure, directions)
    past = [(rows, states)]
    assert rows.codes.shape == (3, WIDTH if directions else 0)
    for step, branch in zip(steps, branches, strict=False):
        after = {one: owner for one, owner in {**states, **step}.items() if owner is not None}
        touched = np.array(sorted(step), dtype=np.int64)
        current = chunk({one: after[one] for one in step if one in after})
        if branch:
            rows.edited(touched, current)
        rows, states = rows.edited(touched, current), after
        past.append((rows, states))
        for older, its_states in past:
            check(older, its_states)
