"""Users' changes to a gallery, as SQL within the caller's transaction and event.

A template and its picture always belong to the same person: moving a template moves its picture, or a copy of the
picture's row if other faces of the picture stay with the previous person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from facewire.server.errors import AlreadyExists, InvalidName, UnknownPerson, UnknownTemplate
from facewire.server.gallery.records import Copy, NewPicture, Person
from facewire.server.gallery.storage.journal import Draft
from facewire.server.gallery.storage.store import Store, Written
from facewire.server.names import did_you_mean, folded, harmless, person_name, tidy

_SAME_FACE = "b.image_id = a.image_id AND b.x = a.x AND b.y = a.y AND b.w = a.w AND b.h = a.h"
"""Templates `a` and `b` show the same face: a face has several if templates of another model are stored, too."""


def require(store: Store, name: str) -> Person:
    """The person with exactly that name, which may predate the rules for names. Raises UnknownPerson, with similar
    names in the message."""
    person = store.person(tidy(name)) or store.person(name)
    if person is None:
        names = (person.name for person in store.people())
        raise UnknownPerson(f"nobody called {harmless(tidy(name))} is enrolled{did_you_mean(name, names)}")
    return person


def meant(store: Store, name: str) -> Person:
    """The person with that name or, failing that, the only one whose name differs in case and accents. For lookups, not
    for changes. Raises UnknownPerson."""
    wanted = folded(tidy(name))
    if store.person(tidy(name)) is None:
        alike = [person for person in store.people() if folded(person.name) == wanted]
        if len(alike) == 1:
            return alike[0]
    return require(store, name)


def enrol(
    store: Store, draft: Draft, name: str, pictures: Sequence[NewPicture], *, copies: bool = False
) -> list[Written | Copy]:
    """Add pictures to a person, who is created if unknown. A picture they already have, in any format or size, is
    skipped; with `copies` only one with identical bytes."""
    person = store.ensure_person(person_name(name))
    added = [_added(store, person, picture, copies=copies) for picture in pictures]
    ids = [one.template_ids for one in added if isinstance(one, Written)]
    draft.subjects.append(person)
    draft.detail |= {"images": len(ids), "templates": sum(map(len, ids))}
    return added


def _added(store: Store, person: Person, picture: NewPicture, *, copies: bool) -> Written | Copy:
    known = None if copies or picture.fingerprint is None else store.lookalike(person.id, picture.fingerprint)
    if known is not None:
        return known
    written = store.add_picture(person.id, picture)
    if written is not None:
        return written
    query = "SELECT path FROM images WHERE person_id = ? AND sha256 = ?"
    return Copy(store.execute(query, (person.id, picture.sha256)).fetchone()[0], 0.0)


def rename(store: Store, draft: Draft, name: str, to: str) -> None:
    """Rename a person. Raises UnknownPerson and AlreadyExists."""
    person, new = require(store, name), person_name(to)
    if person.name == new:
        raise AlreadyExists(f"{new} already has that name")
    if store.person(new) is not None:
        raise AlreadyExists(f"there is already a {new}: if they are the same person, merge the two")
    store.execute("UPDATE people SET name = ? WHERE id = ?", (new, person.id))
    draft.subjects.append(person)
    draft.target = Person(person.id, new, person.created)


def merge(store: Store, draft: Draft, names: Sequence[str], into: str) -> None:
    """Move all templates of `names` to `into`. Raises UnknownPerson, and InvalidName if `into` is among `names`."""
    target = require(store, into)
    sources = {person.id: person for person in (require(store, name) for name in names)}
    if target.id in sources:
        raise InvalidName(f"{target.name} can't be merged with themselves")
    draft.detail["templates"] = sum(_template_count(store, person_id) for person_id in sources)
    for person in sources.values():
        _move(store, _templates_of(store, person.id), target)
        store.execute("DELETE FROM people WHERE id = ?", (person.id,))
    draft.subjects += sources.values()
    draft.target = target


def split(store: Store, draft: Draft, name: str, template_ids: Sequence[int], to: str) -> None:
    """Move templates from `name` to `to`, who is created if unknown. Raises UnknownPerson, UnknownTemplate, and
    InvalidName if the two are the same person."""
    person = require(store, name)
    _require_templates(store, person, template_ids)
    target = store.ensure_person(person_name(to))
    if target.id == person.id:
        raise InvalidName(f"these templates already belong to {person.name}")
    _move(store, _with_twins(store, template_ids), target)
    draft.subjects.append(person)
    draft.target = target
    draft.detail["templates"] = len(set(template_ids))


def remove(store: Store, draft: Draft, name: str, template_ids: Sequence[int]) -> None:
    """Remove templates, or the whole person if no ids are given. Raises UnknownPerson and UnknownTemplate."""
    person = require(store, name)
    _require_templates(store, person, template_ids)
    draft.subjects.append(person)
    if template_ids:
        draft.detail["templates"] = len(set(template_ids))
        for template_id in _with_twins(store, template_ids):
            store.execute("DELETE FROM templates WHERE id = ?", (template_id,))
        _drop_empty_images(store, person.id)
    else:
        draft.detail |= {"people": 1, "templates": _template_count(store, person.id)}
        store.execute("DELETE FROM people WHERE id = ?", (person.id,))


def _templates_of(store: Store, person_id: int) -> list[int]:
    rows = store.execute("SELECT id FROM templates WHERE person_id = ? ORDER BY id", (person_id,)).fetchall()
    return [row[0] for row in rows]


def _template_count(store: Store, person_id: int) -> int:
    """The number of templates that search can find the person by."""
    query = (
        "SELECT count(*) FROM templates INDEXED BY templates_by_person"
        " WHERE person_id = ? AND spec_id = (SELECT value FROM meta WHERE key = ?)"
    )
    return int(store.execute(query, (person_id, "spec_id")).fetchone()[0])


def _require_templates(store: Store, person: Person, template_ids: Iterable[int]) -> None:
    query = "SELECT 1 FROM templates WHERE id = ? AND person_id = ?"
    for template_id in template_ids:
        if store.execute(query, (template_id, person.id)).fetchone() is None:
            raise UnknownTemplate(f"{person.name} has no template {template_id}")


def _with_twins(store: Store, template_ids: Iterable[int]) -> list[int]:
    query = f"SELECT b.id FROM templates a JOIN templates b ON {_SAME_FACE} WHERE a.id = ?"
    return sorted({row[0] for number in template_ids for row in store.execute(query, (number,)).fetchall()})


def _move(store: Store, template_ids: Sequence[int], target: Person) -> None:
    """Move templates and their pictures to another person, who may already have a picture with the same bytes."""
    moving: dict[int, list[int]] = {}
    for template_id in template_ids:
        row = store.execute("SELECT image_id FROM templates WHERE id = ?", (template_id,)).fetchone()
        moving.setdefault(row[0], []).append(template_id)
    for image_id, ids in moving.items():
        (sha256,) = store.execute("SELECT sha256 FROM images WHERE id = ?", (image_id,)).fetchone()
        theirs = store.image_id(target.id, sha256)
        (all_of_it,) = store.execute("SELECT count(*) FROM templates WHERE image_id = ?", (image_id,)).fetchone()
        if theirs is None and all_of_it == len(ids):
            store.execute("UPDATE images SET person_id = ? WHERE id = ?", (target.id, image_id))
            theirs = image_id
        elif theirs is None:
            theirs = _copy_image(store, image_id, target)
        for template_id in ids:
            _hand_over(store, template_id, theirs, target)
        left = "SELECT 1 FROM templates WHERE image_id = ?"
        if theirs != image_id and store.execute(left, (image_id,)).fetchone() is None:
            store.remove_image(image_id)


def _hand_over(store: Store, template_id: int, image_id: int, target: Person) -> None:
    """Move one template to a picture of the target; it is dropped if the picture already has a template of that
    face."""
    has_it = (
        "SELECT 1 FROM templates a JOIN templates b INDEXED BY templates_by_image"
        " ON b.image_id = ? AND b.id <> a.id AND b.spec_id = a.spec_id"
        " AND b.x = a.x AND b.y = a.y AND b.w = a.w AND b.h = a.h WHERE a.id = ? AND a.image_id <> ?"
    )
    if store.execute(has_it, (image_id, template_id, image_id)).fetchone() is not None:
        store.execute("DELETE FROM templates WHERE id = ?", (template_id,))
    else:
        update = "UPDATE templates SET image_id = ?, person_id = ? WHERE id = ?"
        store.execute(update, (image_id, target.id, template_id))


def _copy_image(store: Store, image_id: int, target: Person) -> int:
    columns = [column for column in store.watched_tables()["images"] if column not in ("id", "person_id")]
    names = ", ".join(columns)
    cursor = store.execute(
        f"INSERT INTO images (person_id, {names}) SELECT ?, {names} FROM images WHERE id = ? RETURNING id",
        (target.id, image_id),
    )
    return int(cursor.fetchone()[0])


def _drop_empty_images(store: Store, person_id: int) -> None:
    store.execute(
        "DELETE FROM images WHERE person_id = ? AND NOT EXISTS (SELECT 1 FROM templates WHERE image_id = images.id)",
        (person_id,),
    )
