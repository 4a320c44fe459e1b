"""Erasing a person for good from Milvus: their rows, and everything that the journal keeps of them."""

from __future__ import annotations

from facewire.server.gallery.events import Erasure
from facewire.server.gallery.milvus.connection import Milvus
from facewire.server.gallery.milvus.journal import Draft, Journal
from facewire.server.gallery.milvus.reading import Reading
from facewire.server.gallery.milvus.tables import CROPS, RECORDS, TEMPLATES, crop_id

NOTE = (
    "Milvus no longer answers with any of it, and was asked to write its files anew; until it has, and until its own"
    " log has passed, old copies lie in its files"
)


def erase(milvus: Milvus, reading: Reading, journal: Journal, name: str) -> Erasure:
    """Raises UnknownPerson. The person's row goes last, so that an erasure that was cut off can be asked for again."""
    person = reading.require(name)
    theirs = reading.templates_of([person.id])
    crops = [row["id"] for row in milvus.those(CROPS, "id", [crop_id(one.id) for one in theirs], ("id",))]
    with milvus.begun():
        journal.forget_names(person.id)
        dropped = journal.forget_before(journal.time())
        milvus.delete(CROPS, crops)
        draft = Draft("erase")
        images = [one for one in theirs if one.leads]
        draft.detail |= {"images": len(images), "templates": len(theirs)}
        for one in theirs:
            draft.put_template(one, None)
        draft.put_person(person, None)
        event = journal.commit(draft)
        for suffix in (TEMPLATES.suffix, RECORDS):
            milvus.compact(suffix)
    sources = sum(one.body["source"] is not None for one in images)
    return Erasure(len(images), len(theirs), len(crops), dropped, sources, event=event, note=NOTE)
