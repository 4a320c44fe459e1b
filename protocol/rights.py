"""What a token may do. Each operation declares, beside its name on the wire, which rights it needs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, get_args

Right = Literal["identify", "enrol", "manage", "albums", "view", "operate"]
RIGHTS: tuple[Right, ...] = get_args(Right)

Needs = tuple[frozenset[Right], ...]
"""Of each set, one right at least."""

NOTHING: Needs = ()
"""For whoever has any token at all."""


def any_of(*rights: Right) -> Needs:
    """One of these rights."""
    return (frozenset(rights),)


LOOKING = any_of("albums", "view")
"""To look at albums, search them and download from them, which changes nothing."""


def all_of(*rights: Right) -> Needs:
    """All of these rights."""
    return tuple(frozenset((right,)) for right in rights)


def missing(needs: Needs, held: Collection[str]) -> str:
    """The rights that `held` lacks, as "manage" or "enrol or manage"; empty if it lacks none."""
    return ", ".join(" or ".join(sorted(group)) for group in needs if group.isdisjoint(held))
