"""What can be done to the gallery, in the protocol's words: the part of `RecognitionService` that changes it."""

from __future__ import annotations

from protocol.errors import UnsupportedOp
from protocol.gallery_messages import (
    Changed,
    Enrol,
    Enrolled,
    EnrolledTemplate,
    Erase,
    Erased,
    History,
    HistoryListed,
    Merge,
    People,
    PeopleListed,
    PersonEntry,
    PersonShown,
    Rejection,
    Remove,
    Rename,
    Show,
    Split,
    Undo,
    Undone,
)
from server.gallery.gallery import Gallery
from server.recognition.enrolment import embed, look_at
from server.vision.analyser import Analyser
from server.vision.batching import Abandoned, never


class Curation:
    """The gallery's operations. Thread-safe."""

    def __init__(self, analyser: Analyser, gallery: Gallery) -> None:
        self._analyser = analyser
        self._gallery = gallery

    def enrol(self, message: Enrol, /, *, abandoned: Abandoned = never) -> Enrolled:
        """Add pictures to a person. Raises what one picture can't be enrolled for, if there is only one."""
        chosen, refused = look_at(message, self._analyser, abandoned)
        if message.image is not None and refused:
            raise refused[0].error
        pictures = embed(chosen, self._analyser, abandoned)
        record = self._gallery.enrol(message.name, pictures)
        return Enrolled(
            PersonEntry(record.name, record.templates, record.images),
            tuple(EnrolledTemplate(one.index, 0, one.face.box, one.face.detection) for one in chosen),
            tuple(Rejection(one.index, "no_face", str(one.error)) for one in refused),
            None,
        )

    def people(self, message: People, /) -> PeopleListed:
        """One page of the enrolled people, by name."""
        page, total = self._gallery.people(message.offset, message.limit)
        return PeopleListed(tuple(PersonEntry(one.name, one.templates, one.images) for one in page), total)

    def show(self, message: Show, /) -> PersonShown:
        """A person and a page of their templates."""
        raise UnsupportedOp("show is not served yet")

    def rename(self, message: Rename, /) -> Changed:
        """Call a person otherwise."""
        raise UnsupportedOp("rename is not served yet")

    def merge(self, message: Merge, /) -> Changed:
        """Make several people one."""
        raise UnsupportedOp("merge is not served yet")

    def split(self, message: Split, /) -> Changed:
        """Move templates."""
        raise UnsupportedOp("split is not served yet")

    def remove(self, message: Remove, /) -> Changed:
        """Remove a person or templates."""
        raise UnsupportedOp("remove is not served yet")

    def erase(self, message: Erase, /) -> Erased:
        """Remove a person for good."""
        raise UnsupportedOp("erase is not served yet")

    def undo(self, message: Undo, /) -> Undone:
        """Take back the last changes."""
        raise UnsupportedOp("undo is not served yet")

    def history(self, message: History, /) -> HistoryListed:
        """The journal."""
        raise UnsupportedOp("history is not served yet")
