"""Carries a whole gallery, its history and what can be undone included, from one database to another."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from facewire.server.errors import StartError
from facewire.server.gallery.address import Database, local_path
from facewire.server.gallery.opening import require_client
from facewire.server.gallery.records import Counts, Person
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.backup.copies import discard, restore, save
from facewire.server.maintenance.command import build_lock, progress_bar
from facewire.server.maintenance.moving.sqlite_source import SqliteSource
from facewire.server.maintenance.moving.sqlite_target import SqliteTarget
from facewire.server.maintenance.moving.whole import Source, Target, Template
from facewire.server.spec import EmbeddingSpec


@dataclass(frozen=True, slots=True)
class Moved:
    """What was carried. `kept`: where the target's previous content was saved, if it had any."""

    counts: Counts
    kept: Path | None


def move(source: Source, name: str, db: Database, *, replace: bool, other_model: bool) -> Moved:
    """Make `db` a copy of the source, which is called `name`. Until it is complete, `db` is as it was.

    `replace`: even if there are people in it, who are saved in a file beside it first; `other_model`: even if they are
    another model's. Raises StartError, StorageFailed, Busy, sqlite3.Error or OSError.
    """
    beside = local_path(db)
    beside.parent.mkdir(parents=True, exist_ok=True)
    with build_lock(beside):
        there = _held(db)
        if there is not None and there[1].people and not replace:
            raise StartError(
                f"{db} has {there[1].people} people already: name another place, or use --replace, which saves them in"
                " a file first",
                exit_code=2,
            )
        if there is not None and there[0] != source.spec and not other_model:
            raise StartError(
                f"{name} holds embeddings of {source.spec.model} ({source.spec.fingerprint}), {db} those of"
                f" {there[0].model} ({there[0].fingerprint}): use --other-model to replace them all the same, and"
                " restart the server afterwards",
                exit_code=2,
            )
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        before = beside.with_name(f"{beside.name}-before-restore-{stamp}")
        if isinstance(db, Path):
            counts = _to_file(source, db, before)
        else:
            if there is not None and there[1].people:
                with source_at(db) as current:
                    copy_to(current, before)
            with closing(_milvus_target(db, source.spec)) as target:
                counts = carry(source, target)
    return Moved(counts, before if before.exists() else None)


def _to_file(source: Source, db: Path, before: Path) -> Counts:
    """A new file, or one transaction in the file that is there, which servers may be using."""
    if not db.exists():
        return copy_to(source, db)
    fresh = db.with_name(db.name + "-moved")
    try:
        counts = copy_to(source, fresh)
        restore(fresh, db, other_spec=True, keep=lambda: save(db, before))
    finally:
        discard(fresh)
    return counts


def copy_to(source: Source, path: Path) -> Counts:
    """Make a database file that is a copy of the source; it replaces what is at `path` only once it is complete."""
    with closing(SqliteTarget(path, source.spec)) as target:
        return carry(source, target)


def carry(source: Source, target: Target) -> Counts:
    """Fill the target, which appears only when all of it is there; returns how much was carried."""
    for event in source.events():
        target.tell(event)
        if event.undoable:
            target.keep(event.number, source.before(event.number))
    people = images = templates = 0
    with progress_bar(source.counts().templates, "templates") as bar:

        def everybody() -> Iterator[Person]:
            nonlocal people
            for person in source.people():
                yield person
                people += 1

        def each() -> Iterator[Template]:
            nonlocal images, templates
            for template in source.templates():
                yield template
                images += template.leads
                templates += 1
                bar.update()

        target.add_people(everybody())
        target.add_templates(each())
    target.finish()
    return Counts(people, images, templates)


@contextmanager
def source_at(db: Database) -> Iterator[Source]:
    """The gallery at this place, to be read. Raises StartError if there is none."""
    if isinstance(db, Path):
        with closing(SqliteSource(db)) as file:
            yield file
        return
    require_client()
    from facewire.server.maintenance.moving.milvus_source import MilvusSource  # takes half a second

    with closing(MilvusSource(db)) as milvus:
        yield milvus


@contextmanager
def as_file(db: Database) -> Iterator[Path]:
    """The gallery as a database file, which for one in Milvus is a temporary copy."""
    if isinstance(db, Path):
        yield db
        return
    with tempfile.TemporaryDirectory() as room, source_at(db) as source:
        path = Path(room) / "gallery.db"
        copy_to(source, path)
        yield path


def _milvus_target(db: Database, spec: EmbeddingSpec) -> Target:
    assert not isinstance(db, Path)
    require_client()
    from facewire.server.maintenance.moving.milvus_target import MilvusTarget  # takes half a second

    return MilvusTarget(db, spec)


def _held(db: Database) -> tuple[EmbeddingSpec, Counts] | None:
    """What is there; None if there is no gallery."""
    if isinstance(db, Path):
        if not db.exists():
            return None
        with closing(Store.open(db)) as store:
            return store.spec, store.counts()
    require_client()
    from facewire.server.maintenance.moving.milvus_source import held  # takes half a second

    return held(db)
