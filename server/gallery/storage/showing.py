"""Reads one person and their templates from disk."""

from __future__ import annotations

from facewire.server.gallery.records import KeptTemplate, PersonRecord
from facewire.server.gallery.storage.edits import meant
from facewire.server.gallery.storage.schema import CURRENT_SPEC_ID
from facewire.server.gallery.storage.store import Store


def shown(
    store: Store, name: str, offset: int, limit: int, *, crops: bool
) -> tuple[PersonRecord, tuple[KeptTemplate, ...]]:
    """A person and a page of their templates, sorted by id; in the caller's transaction. Raises UnknownPerson."""
    person = meant(store, name)
    images, templates = store.execute(
        f"SELECT count(DISTINCT image_id), count(*) FROM templates WHERE person_id = ? AND spec_id = {CURRENT_SPEC_ID}",
        (person.id,),
    ).fetchone()
    rows = store.execute(
        f"SELECT t.id, i.path, t.x, t.y, t.w, t.h, t.detection, i.created, {'c.jpeg' if crops else 'NULL'}"
        " FROM templates t JOIN images i ON i.id = t.image_id LEFT JOIN crops c ON c.id = t.id"
        f" WHERE t.person_id = ? AND t.spec_id = {CURRENT_SPEC_ID} ORDER BY t.id LIMIT ? OFFSET ?",
        (person.id, limit, offset),
    ).fetchall()
    kept = tuple(
        KeptTemplate(template_id, path, (x, y, w, h), detection, created, crop)
        for template_id, path, x, y, w, h, detection, created, crop in rows
    )
    return PersonRecord(person.id, person.name, person.created, images, templates), kept
