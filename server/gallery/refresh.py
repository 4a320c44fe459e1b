"""Taking in what other processes committed: create_db, another server, a restored backup.

Templates are told apart by their ids, which SQLite never gives twice: what has gone is left out, what is new is read,
and what changed hands is relabelled. No embedding is read again, so a refresh costs what changed and a look at the ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.gallery.rows import Chunk, Rows
from server.gallery.snapshot import Snapshot
from server.gallery.store import CHUNK_ROWS, Store

Owners = NDArray[np.int64]
"""(n, 3): id, image id and person id of templates, ascending by id."""


class Refreshed(NamedTuple):
    """`afresh`: some rows have ids below the newest that was known, so a search graph may be wrong about them."""

    snapshot: Snapshot
    afresh: bool


def refreshed(store: Store, old: Snapshot) -> Refreshed:
    """What is committed now, for who knows `old`; in the caller's transaction.

    Raises ModelMismatch or ValueError on templates that can't be compared.
    """
    epoch = store.epoch()
    rows, afresh = _rows(store, old.rows if epoch == old.epoch else None)
    snapshot = replace(
        old,
        version=old.version + 1,
        rows=rows,
        people={person.id: person for person in store.people()},
        paths=dict(store.image_paths()),
        epoch=epoch,
    )
    return Refreshed(snapshot, afresh)


def _rows(store: Store, old: Rows | None) -> tuple[Rows, bool]:
    if old is None:
        return Rows.load(store.template_count(), store.spec.dimension, store.template_chunks()), True
    now, before = store.template_owners(), _owners(old)
    if np.array_equal(now[: len(before)], before):
        fresh = now[len(before) :, 0].tolist()
        for chunk in store.template_chunks(fresh) if fresh else ():
            old = old.appended(chunk)
        return old, False
    known = np.isin(now[:, 0], old.template_ids)
    newest = int(old.template_ids[-1]) if len(old) else 0
    afresh = bool(np.any(now[~known, 0] < newest))
    return Rows.load(len(now), store.spec.dimension, _mixed(store, now, known, old)), afresh


def _owners(rows: Rows) -> Owners:
    return np.stack([rows.template_ids, rows.image_ids, rows.person_ids], axis=1)


def _mixed(store: Store, now: Owners, known: NDArray[np.bool_], old: Rows) -> Iterator[Chunk]:
    """The rows of `now`, in its order: embeddings from memory where they are `known`, else from the store."""
    for start in range(0, len(now), CHUNK_ROWS):
        part, here = now[start : start + CHUNK_ROWS], known[start : start + CHUNK_ROWS]
        embeddings = np.empty((len(part), old.embeddings.shape[1]), dtype=np.float32)
        embeddings[here] = old.embeddings[np.searchsorted(old.template_ids, part[here, 0])]
        if not here.all():
            embeddings[~here] = np.concatenate([c.embeddings for c in store.template_chunks(part[~here, 0].tolist())])
        yield Chunk(embeddings, *(ids.tolist() for ids in part.T))
