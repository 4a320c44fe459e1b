"""Templates of a second model beside the current ones, and the switch between the two.

A template of the other spec is a separate row with the same picture and box. Searches read only templates of the
current spec, which is one row in `meta`: so switching, and switching back, is one small transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.records import Box, Landmarks
from facewire.server.gallery.search.index import check_unit
from facewire.server.gallery.storage import journal
from facewire.server.gallery.storage.journal import Draft
from facewire.server.gallery.storage.schema import CURRENT_SPEC_ID
from facewire.server.gallery.storage.store import LITTLE_ENDIAN, Store
from facewire.server.spec import EmbeddingSpec

_LACKS = (
    f"t.spec_id = {CURRENT_SPEC_ID}"
    " AND NOT EXISTS (SELECT 1 FROM templates o INDEXED BY templates_by_image"
    " WHERE o.spec_id = ? AND o.image_id = t.image_id"
    " AND o.x = t.x AND o.y = t.y AND o.w = t.w AND o.h = t.h)"
)
"""Templates `t` of the current spec whose face has no template of spec `?` yet."""


class Incomplete(Exception):
    """Faces lack a template of the other spec; `count`: how many."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} {'face has' if count == 1 else 'faces have'} no template of the other model")
        self.count = count


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """A template's face, and where to find its pixels: the picture's file, if it came from one, or the stored crop."""

    template_id: int
    person: str
    file: Path | None
    path: str
    sha256: str
    box: Box
    landmarks: Landmarks
    detection: float
    crop: bytes | None


class Respec:
    """Moves a gallery from its current spec to `spec`. For one thread; one at a time: the caller holds the build
    lock."""

    def __init__(self, store: Store, spec: EmbeddingSpec) -> None:
        self._store = store
        self.spec = spec
        with store.transaction():
            store.execute(
                "INSERT INTO specs (fingerprint, json) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (spec.fingerprint, spec.to_json()),
            )
        row = store.execute("SELECT id FROM specs WHERE fingerprint = ?", (spec.fingerprint,)).fetchone()
        self._spec_id = int(row[0])
        self._event: Draft | None = None

    def lacking(self) -> int:
        """The number of faces still to embed."""
        query = f"SELECT count(*) FROM templates t WHERE {_LACKS}"
        return int(self._store.execute(query, (self._spec_id,)).fetchone()[0])

    def faces(self, after: int, count: int) -> list[EnrolledFace]:
        """Up to `count` faces still to embed, sorted by template id, starting after `after`."""
        rows = self._store.execute(
            "SELECT t.id, p.name, i.source, i.path, i.sha256, t.x, t.y, t.w, t.h, t.landmarks, t.detection, c.jpeg"
            " FROM templates t JOIN images i ON i.id = t.image_id JOIN people p ON p.id = t.person_id"
            f" LEFT JOIN crops c ON c.id = t.id WHERE t.id > ? AND {_LACKS} ORDER BY t.id LIMIT ?",
            (after, self._spec_id, count),
        ).fetchall()
        return [_face(row) for row in rows]

    def add(self, embedded: Sequence[tuple[int, NDArray[np.float32]]]) -> None:
        """Store embeddings of this spec, given as (template id, embedding). Faces deleted meanwhile are skipped."""
        with self._store.transaction(), self._within_event():
            for template_id, embedding in embedded:
                check_unit(embedding, self.spec.dimension)
                self._add(template_id, embedding.astype(LITTLE_ENDIAN).tobytes())

    def switch(self, *, leave_behind: bool = False) -> int:
        """Make this spec the current one, in one transaction; returns the number of faces without a template of it.

        Those stay in the database but are no longer found. Raises Incomplete if there are any, unless `leave_behind`.
        Earlier events can't be undone any more: their rows belong to the other spec.
        """
        with self._store.transaction():
            lacking = self.lacking()
            if lacking and not leave_behind:
                raise Incomplete(lacking)
            draft = journal.begin(self._store, "migrate")
            self._agree()
            draft.detail["templates"] = self._count()
            draft.keep_empty = True
            self._store.execute(
                f"INSERT OR REPLACE INTO meta (key, value) VALUES ('previous_spec_id', {CURRENT_SPEC_ID})"
            )
            self._store.adopt_spec(self.spec)
            self._store.begin_epoch()
            journal.finish(self._store, draft)
            journal.forget_before(self._store, draft.id)
        return lacking

    def _add(self, template_id: int, blob: bytes) -> None:
        row = self._store.execute(
            "INSERT INTO templates (image_id, person_id, spec_id, x, y, w, h, landmarks, detection, embedding)"
            " SELECT t.image_id, t.person_id, ?, t.x, t.y, t.w, t.h, t.landmarks, t.detection, ? FROM templates t"
            f" WHERE t.id = ? AND {_LACKS} RETURNING id",
            (self._spec_id, blob, template_id, self._spec_id),
        ).fetchone()
        if row is not None:
            self._store.execute(
                "INSERT INTO crops (id, jpeg) SELECT ?, jpeg FROM crops WHERE id = ?", (row[0], template_id)
            )

    def _agree(self) -> None:
        """Apply changes of people and pictures since they were embedded to the other spec's templates."""
        self._store.execute(
            "UPDATE templates SET person_id = (SELECT i.person_id FROM images i WHERE i.id = templates.image_id)"
            " WHERE spec_id = ? AND person_id <> (SELECT i.person_id FROM images i WHERE i.id = templates.image_id)",
            (self._spec_id,),
        )
        previous = self._store.execute("SELECT value FROM meta WHERE key = 'previous_spec_id'").fetchone()
        if previous != (self._spec_id,):  # when switching back, faces that were left behind must be findable again
            self._store.execute(
                "DELETE FROM templates WHERE spec_id = ? AND NOT EXISTS (SELECT 1 FROM templates t"
                f" INDEXED BY templates_by_image WHERE t.spec_id = {CURRENT_SPEC_ID}"
                " AND t.image_id = templates.image_id"
                " AND t.x = templates.x AND t.y = templates.y AND t.w = templates.w AND t.h = templates.h)",
                (self._spec_id,),
            )

    def _count(self) -> int:
        query = "SELECT count(*) FROM templates WHERE spec_id = ?"
        return int(self._store.execute(query, (self._spec_id,)).fetchone()[0])

    @contextmanager
    def _within_event(self) -> Iterator[None]:
        """Everything one run adds is one event in the journal."""
        if self._event is None:
            draft = journal.begin(self._store, "migrate")
            yield
            if journal.finish(self._store, draft):
                self._event = draft
        else:
            journal.reopen(self._store, self._event)
            yield
            journal.close(self._store)


def specs(store: Store) -> list[tuple[EmbeddingSpec, int, str]]:
    """Every spec that has templates or is in use: with the number of templates, and "current", "previous" or ""."""
    roles = dict(store.execute("SELECT value, key FROM meta WHERE key IN ('previous_spec_id', 'spec_id')").fetchall())
    words = {"spec_id": "current", "previous_spec_id": "previous"}
    rows = store.execute(
        "SELECT s.id, s.json, count(t.id) FROM specs s LEFT JOIN templates t ON t.spec_id = s.id GROUP BY s.id"
    ).fetchall()
    return [
        (EmbeddingSpec.from_json(text), count, words.get(roles.get(spec_id, ""), ""))
        for spec_id, text, count in rows
        if count or spec_id in roles
    ]


def previous_spec(store: Store) -> EmbeddingSpec | None:
    """The spec before the last switch, as long as its templates are kept."""
    return next((spec for spec, _, role in specs(store) if role == "previous"), None)


def forget_others(store: Store) -> int:
    """Delete the templates of every spec but the current one, after which no switch back is possible; returns how
    many."""
    with store.transaction():
        draft = journal.begin(store, "migrate")
        removed = store.execute(f"DELETE FROM templates WHERE spec_id <> {CURRENT_SPEC_ID}").rowcount
        store.execute("DELETE FROM meta WHERE key = 'previous_spec_id'")
        draft.detail["templates"] = removed
        if journal.finish(store, draft):
            journal.forget_content(store, draft.id)
    return removed


def _face(row: Sequence[Any]) -> EnrolledFace:
    template_id, person, source, path, sha256, x, y, w, h, landmarks, detection, crop = row
    file = None if source is None else Path(source, path)
    points = tuple((x, y) for x, y in json.loads(landmarks))
    return EnrolledFace(template_id, person, file, path, sha256, (x, y, w, h), points, detection, crop)
