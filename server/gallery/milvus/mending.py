"""What is looked at after a change, because another server may have made one at the same time.

One server enrols a picture for a person whom another merges or removes: neither knows of the other. Each looks again
once its own change is in force, and at least the later of the two sees what the other did. So no template is left
without a person.
"""

from __future__ import annotations

from dataclasses import replace

from facewire.server.gallery.milvus.connection import Milvus
from facewire.server.gallery.milvus.journal import Draft
from facewire.server.gallery.milvus.reading import Reading
from facewire.server.gallery.milvus.tables import PEOPLE, person_row


def bring_back(milvus: Milvus, reading: Reading, draft: Draft) -> None:
    """After `draft`: write the people again whom its templates belong to and who were deleted meanwhile."""
    known = [*draft.subjects, *([draft.target] if draft.target else [])]
    known += [new for _, new in draft.people.values() if new is not None]
    owners = {new.person for _, new in draft.templates.values() if new is not None}
    there = reading.by_id(owners)
    missing = {person.id: person for person in known if person.id in owners - there.keys()}
    if missing:
        milvus.upsert(PEOPLE, [person_row(person) for person in missing.values()])
        milvus.settle()


def left_behind(reading: Reading, draft: Draft) -> Draft | None:
    """After `draft`: what still has to be done with templates that came meanwhile to people whom it deleted. They go
    where the others went."""
    gone = [number for number, (_, new) in draft.people.items() if new is None]
    left = reading.templates_of(gone) if gone else []
    if not left:
        return None
    rest = Draft(draft.op, draft.subjects, draft.target, {"templates": len(left)})
    for one in left:
        rest.put_template(one, replace(one, person=draft.target.id) if draft.op == "merge" and draft.target else None)
    return rest
