"""A staging database, built beside the gallery and merged into it in one transaction.

A build collects its new pictures in a separate database beside its target. Nobody else reads it, and an interrupted run
leaves it for the next one to resume. At the end everything moves in a single SQLite transaction.

Why not `os.replace` over an existing database: a server that has the old one open keeps its `-wal` and `-shm` files
under the same names. SQLite would replay that log into the new file, or the server would continue to commit enrolments
to a file that no longer has a name; no order of unlinking and renaming closes both gaps at every instant. With a
transaction, readers see the complete old state until they refresh, enrolments made meanwhile stay, and a crash leaves
either all of it or none. If there is no database yet, nobody can have it open, and the file is renamed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from facewire.server.durable import put_in_place
from facewire.server.errors import ModelMismatch, StartError
from facewire.server.gallery.records import NewPicture
from facewire.server.gallery.storage import journal
from facewire.server.gallery.storage.connection import clear_place, discard_companions
from facewire.server.gallery.storage.journal import Draft
from facewire.server.gallery.storage.schema import CURRENT_SPEC_ID
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.build.plan import Enrolled, Held, Relink, enrolled_pictures, held
from facewire.server.spec import EmbeddingSpec

SUFFIX = "-building"


class Staging:
    """The new pictures of one build. For one thread, and one build per database: the caller holds a lock."""

    def __init__(self, target: Path, spec: EmbeddingSpec) -> None:
        """Start beside `target`, or resume what an interrupted build of the same spec left there.

        Raises StartError if it can't be written.
        """
        self._target = target
        self._path = target.with_name(target.name + SUFFIX)
        self._closed = False
        self._store = _left_over(self._path, spec) or _begun(target, self._path, spec)
        # One event for the whole build, open until the end: if this file becomes the database, it is that one's
        # journal.
        with self._store.transaction():
            self._event = journal.opened(self._store) or journal.begin(self._store, "build")

    def forget(self, image_ids: Sequence[int]) -> None:
        """Remove pictures from this build, and people who have no other picture in it."""
        if not image_ids:
            return
        with self._store.transaction():
            for image_id in image_ids:
                self._store.remove_image(image_id)
            self._store.execute("DELETE FROM people WHERE id NOT IN (SELECT person_id FROM images)")
            journal.drop_net_zero(self._store, self._event)

    def held(self) -> Held:
        """The new templates."""
        return held(self._store)

    @property
    def spec(self) -> EmbeddingSpec:
        """That of the new templates."""
        return self._store.spec

    def contents(self) -> Iterator[tuple[str, NewPicture]]:
        """The new pictures in the order they were added, each with its person's name, one at a time."""
        return self._store.contents()

    def pictures(self) -> list[Enrolled]:
        """The new pictures."""
        return list(enrolled_pictures(self._store))

    def add(self, batch: Sequence[tuple[str, NewPicture]]) -> None:
        """Store pictures under their people's names."""
        with self._store.transaction():
            for name, picture in batch:
                self._store.add_picture(self._store.ensure_person(name).id, picture)

    def move(
        self,
        target: Store | None = None,
        relinks: Sequence[Relink] = (),
        removed: Sequence[int] = (),
        *,
        rebuild: bool = False,
    ) -> None:
        """Move everything into the target in one transaction. Call `discard` afterwards.

        `target`: the database, if the caller has it open. A picture replaces one with other bytes under the same path
        and source. `removed`: ids of pictures to remove from the target, along with people who have no picture left.
        `rebuild`: replace the target's whole content, including its spec. Raises ModelMismatch if the target has
        another spec, sqlite3.Error or OSError if it can't be written; it is then unchanged.
        """
        if target is not None:
            self._shut()
            self._merge(target, relinks, removed, rebuild=rebuild)
        elif self._target.exists():
            with closing(Store.open(self._target)) as opened:
                self.move(opened, relinks, removed, rebuild=rebuild)
        else:
            with self._store.transaction():
                _finish(self._store, self._event)
            self._shut()
            clear_place(self._target)
            put_in_place(self._path, self._target)  # closing checkpointed the write-ahead log into the file

    def close(self) -> None:
        """Keep what was not moved for the next build to resume; an empty staging database is deleted."""
        if self._closed:
            return
        empty = not self._store.counts().images
        self._shut()
        if empty:
            discard_leftover(self._target)

    def discard(self) -> None:
        """Delete the staging database. Anything not moved is lost; the target is unaffected."""
        self._shut()
        discard_leftover(self._target)

    def _shut(self) -> None:
        self._store.close()
        self._closed = True

    def _merge(self, target: Store, relinks: Sequence[Relink], removed: Sequence[int], *, rebuild: bool) -> None:
        target.execute("ATTACH DATABASE ? AS built", (str(self._path),))
        try:
            with target.transaction():
                event = journal.begin(target, "build")
                if rebuild:
                    _empty(target, event)
                    target.adopt_spec(self._store.spec)
                if target.spec != self._store.spec:
                    raise ModelMismatch(f"{self._target} was rebuilt for another model meanwhile")
                target.require_spec()
                _remove(target, removed)
                _relink(target, relinks)
                _insert_built(target)
                _finish(target, event)
        finally:
            target.execute("DETACH DATABASE built")


def discard_leftover(target: Path) -> None:
    """Delete what an interrupted build for `target` left behind. The caller holds the build lock."""
    staging = target.with_name(target.name + SUFFIX)
    staging.unlink(missing_ok=True)
    discard_companions(staging)


def _left_over(path: Path, spec: EmbeddingSpec) -> Store | None:
    """The staging database that an interrupted build left at `path`, if this build can use it."""
    if not path.is_file():
        return None
    try:
        store = Store.open(path)
    except StartError:  # interrupted while it was created
        return None
    if store.spec == spec:
        return store
    store.close()
    return None


def _begun(target: Path, path: Path, spec: EmbeddingSpec) -> Store:
    discard_leftover(target)
    return Store.create(path, spec)


def _remove(target: Store, image_ids: Sequence[int]) -> None:
    """Remove pictures, and people who had no others."""
    gone = (json.dumps(list(image_ids)),)
    owners = target.execute(
        "SELECT DISTINCT person_id FROM main.images WHERE id IN (SELECT value FROM json_each(?))", gone
    ).fetchall()
    target.execute("DELETE FROM main.images WHERE id IN (SELECT value FROM json_each(?))", gone)
    target.execute(
        "DELETE FROM main.people WHERE id IN (SELECT value FROM json_each(?))"
        " AND id NOT IN (SELECT person_id FROM main.images) AND id NOT IN (SELECT person_id FROM main.templates)"
        " AND name NOT IN (SELECT name FROM built.people)",
        (json.dumps([row[0] for row in owners]),),
    )


def _empty(target: Store, event: Draft) -> None:
    """Remove everybody; this can't be undone, as the data may be another model's."""
    for table in ("templates", "images", "people"):
        target.execute(f"DELETE FROM main.{table}")
    # Keep the specs: their ids must not change meaning while somebody has the gallery open.
    target.execute("DELETE FROM main.meta WHERE key IN ('spec_id', 'previous_spec_id')")
    target.begin_epoch()
    journal.forget_before(target, event.id)
    journal.forget_content(target, event.id)
    target.execute("UPDATE main.events SET undoable = 0 WHERE id = ?", (event.id,))


def _finish(store: Store, event: Draft) -> None:
    event.detail |= {table: journal.inserted(store, event, table) for table in ("people", "images", "templates")}
    journal.finish(store, event)


def _relink(target: Store, relinks: Sequence[Relink]) -> None:
    for relink in relinks:
        target.execute(
            "UPDATE main.images SET source = ?, path = ?, mtime_ns = ? WHERE id = ?",
            (relink.source, relink.path, relink.mtime_ns, relink.image_id),
        )
    # Two files may have swapped names, so conflicts are removed only after every row has its new path.
    for relink in relinks:
        target.execute(
            "DELETE FROM main.images WHERE source = ? AND path = ? AND id <> ?",
            (relink.source, relink.path, relink.image_id),
        )


def _insert_built(target: Store) -> None:
    """Copy rows from `built` to `main`: people by name, pictures and templates under new ids."""
    target.execute(
        "INSERT INTO main.people (name, created) SELECT name, created FROM built.people WHERE true ORDER BY id"
        " ON CONFLICT DO NOTHING"
    )
    target.execute(
        "DELETE FROM main.images WHERE EXISTS (SELECT 1 FROM built.images b"
        " WHERE b.source = images.source AND b.path = images.path AND b.sha256 <> images.sha256)"
    )
    first_free = (_last_id(target, "images"),)
    # Somebody may have enrolled the same bytes during the build: their rows stay, and ours are not joined below.
    own = _columns(target, "images", but=("id", "person_id"))
    target.execute(
        f"INSERT INTO main.images (id, person_id, {', '.join(own)})"
        f" SELECT b.id + ?, p.id, {', '.join(f'b.{name}' for name in own)}"
        " FROM built.images b JOIN built.people q ON q.id = b.person_id JOIN main.people p ON p.name = q.name"
        " WHERE true ORDER BY b.id ON CONFLICT (person_id, sha256) DO NOTHING",
        first_free,
    )
    first_template = _last_id(target, "templates")
    own = _columns(target, "templates", but=("id", "image_id", "person_id", "spec_id"))
    target.execute(
        f"INSERT INTO main.templates (id, image_id, person_id, spec_id, {', '.join(own)})"
        f" SELECT t.id + ?, i.id, i.person_id, {CURRENT_SPEC_ID},"
        f" {', '.join(f't.{name}' for name in own)}"
        " FROM built.templates t JOIN main.images i ON i.id = t.image_id + ? ORDER BY t.id",
        (first_template, *first_free),
    )
    target.execute(
        "INSERT INTO main.crops (id, jpeg) SELECT t.id, c.jpeg"
        " FROM built.crops c JOIN main.templates t ON t.id = c.id + ? ORDER BY t.id",
        (first_template,),
    )


def _last_id(target: Store, table: str) -> int:
    """The highest id ever assigned."""
    query = "SELECT coalesce(max(seq), 0) FROM main.sqlite_sequence WHERE name = ?"
    return int(target.execute(query, (table,)).fetchone()[0])


def _columns(target: Store, table: str, but: Sequence[str]) -> list[str]:
    """The columns that are copied unchanged from a built table; both databases are of this version."""
    names = (str(row[1]) for row in target.execute(f"PRAGMA built.table_info({table})"))
    return [name for name in names if name not in but]
