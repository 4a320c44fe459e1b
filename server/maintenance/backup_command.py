"""Copies of a gallery, taken and put back while a server uses it, people for other programs, and the way to Milvus.

  python scripts/backup.py save FILE          a whole copy of the gallery as it is at this instant
  python scripts/backup.py check FILE         is a copy whole, and what does it hold?
  python scripts/backup.py restore FILE       put a copy in the gallery's place; what was there is saved beside it
  python scripts/backup.py export FOLDER      everybody, or --person NAME, as JSON and npz (docs/portable-format.md)
  python scripts/backup.py import FOLDER      enrol everybody of an export, of the same model
  python scripts/backup.py export milvus://HOST:PORT/NAME     move the gallery there: people, templates, history, undo
  python scripts/backup.py import milvus://HOST:PORT/NAME     and back

The gallery, --db, may be a file or itself in Milvus. A copy is always a file, and a gallery of its own.
Copies and exports hold faces and names: they are readable by you alone; keep them so, and see docs/privacy.md.

Exit codes: 0 done, 2 usage error, 3 something is broken or failed; the gallery is unchanged then.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from facewire.protocol.arguments import Parser
from facewire.protocol.text import counted, counted_people, printable_lines
from facewire.server.errors import StartError
from facewire.server.gallery.address import Database, MilvusAddress, database, local_path
from facewire.server.gallery.opening import require_client
from facewire.server.gallery.storage.connection import SQLITE_MARK, explain
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.backup.copies import Content, check, discard, restore, save, working_copy
from facewire.server.maintenance.backup.portable import Portion, export, import_into, read, read_spec
from facewire.server.maintenance.command import build_lock, exit_code
from facewire.server.maintenance.moving.move import Moved, as_file, copy_to, move, source_at
from facewire.server.settings import DEFAULT_DB
from facewire.server.spec import EmbeddingSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    db: Database = options.db.resolve() if isinstance(options.db, Path) else options.db

    def work() -> int:
        print(printable_lines(_COMMANDS[options.command](options, db)))
        return 0

    return exit_code("backup", local_path(db), work, afterwards=f"{db} is unchanged")


def _save(options: argparse.Namespace, db: Database) -> str:
    target = options.file.absolute()
    if target.exists() and not options.overwrite:
        raise StartError(f"{target} exists already: choose another name, or --overwrite it", exit_code=2)
    if isinstance(db, Path):
        return f"{target}: {_described(save(db, target))}"
    with source_at(db) as source:
        copy_to(source, target)
    return f"{target}: {_described(check(target))}"


def _check(options: argparse.Namespace, db: Database) -> str:
    _refuse_foreign(options.file)
    return f"{options.file} is intact: {_described(check(options.file))}"


def _restore(options: argparse.Namespace, db: Database) -> str:
    _refuse_foreign(options.file)
    source = options.file.resolve()
    if source == db:
        raise StartError(f"{source} is the gallery itself", exit_code=2)
    if not isinstance(db, Path):
        return _restored(db, *_restore_to_milvus(source, db, other_model=options.other_model))
    db.parent.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    before = db.with_name(f"{db.name}-before-restore-{stamp}")
    with build_lock(db):
        existed = db.exists()
        content = restore(source, db, other_spec=options.other_model, keep=lambda: save(db, before))
    return _restored(db, content, before if existed else None)


def _restore_to_milvus(source: Path, db: MilvusAddress, *, other_model: bool) -> tuple[Content, Path | None]:
    content = check(source)
    beside = local_path(db)
    ready = beside.with_name(beside.name + "-restoring")
    ready.parent.mkdir(parents=True, exist_ok=True)
    try:
        working_copy(source, ready)
        with source_at(ready) as copied:
            return content, move(copied, str(source), db, replace=True, other_model=other_model).kept
    finally:
        discard(ready)


def _restored(db: Database, content: Content, before: Path | None) -> str:
    lines = [f"{db} is restored: {_described(content)}"]
    if before is not None:
        lines.append(f"  what was there before is in {before}: delete it once you don't need it")
        lines.append("  anyone erased since the copy was made is back: erase them again")
        if isinstance(db, MilvusAddress):
            lines.append("  restart the servers that have it open")
    return "\n".join(lines)


def _export(options: argparse.Namespace, db: Database) -> str:
    place = options.place
    if isinstance(place, MilvusAddress):
        if options.person:
            raise StartError("--person is for an export to a folder: to Milvus, everybody is moved", exit_code=2)
        return _moved(options, db, place)
    with as_file(db) as path, closing(Store.open(path)) as store:
        portion = export(store, place.absolute(), options.person or ())
    held = f"{counted(portion.images, 'picture')}, {counted(portion.templates, 'template')}"
    return f"{place}: {counted_people(portion.people)}, {held}"


def _import(options: argparse.Namespace, db: Database) -> str:
    folder = options.place
    if isinstance(folder, MilvusAddress):
        return _moved(options, folder, db)
    if not folder.is_dir():
        _refuse_foreign(folder)
        raise StartError(f"{folder} was not written by `export`", exit_code=2)
    with build_lock(local_path(db)):
        portion = _import_folder(folder, db)
    return (
        f"{db}: {counted_people(portion.people)}, {counted(portion.images, 'new picture')} with"
        f" {counted(portion.templates, 'template')},"
        f" {counted(portion.present, 'picture was', 'pictures were')} already there"
    )


def _import_folder(folder: Path, db: Database) -> Portion:
    spec = read_spec(folder)
    if isinstance(db, MilvusAddress):
        return _import_to_milvus(folder, spec, db)
    if not db.exists():
        db.parent.mkdir(parents=True, exist_ok=True)
        Store.create(db, spec).close()
    with closing(Store.open(db)) as store:
        return import_into(store, folder)


def _import_to_milvus(folder: Path, spec: EmbeddingSpec, db: MilvusAddress) -> Portion:
    require_client()
    from facewire.server.gallery.milvus.building import Building  # takes half a second

    with closing(Building(db)) as building:
        people = read(folder, building.spec or spec)
        if building.spec is None:
            building.create(spec)
        images, templates = building.take_in(people)
    given = sum(len(pictures) for _, pictures in people)
    return Portion(len(people), images, templates, given - images)


def _moved(options: argparse.Namespace, source: Database, target: Database) -> str:
    if source == target:
        raise StartError(f"{source} is the gallery itself", exit_code=2)
    with source_at(source) as gallery:
        moved = move(gallery, str(source), target, replace=options.replace, other_model=options.other_model)
        return _told(gallery.spec, moved, source, target)


def _told(spec: EmbeddingSpec, moved: Moved, source: Database, target: Database) -> str:
    lines = [f"{target}: {_described(Content(spec, moved.counts, None))}, with their history"]
    if moved.kept is not None:
        lines.append(f"  what was there before is in {moved.kept}: delete it once you don't need it")
        if isinstance(target, MilvusAddress):
            lines.append("  restart the servers that have it open")
    lines.append(f"  {source} is as it was: delete it once nobody uses it, as it holds the same faces")
    return "\n".join(lines)


_COMMANDS = {"save": _save, "check": _check, "restore": _restore, "export": _export, "import": _import}


def _refuse_foreign(path: Path) -> None:
    """Raises StartError for other programs' files, and for any file that is not SQLite."""
    if not path.is_file():
        return
    known = explain(path)
    if known is not None:
        raise StartError(f"{path} can't be used: {known}", exit_code=2)
    with path.open("rb") as file:
        if file.read(len(SQLITE_MARK)) != SQLITE_MARK:
            raise StartError(f"{path} is neither a gallery's copy nor an export", exit_code=2)


def _described(content: Content) -> str:
    counts = content.counts
    newest = f", the newest of {content.newest}" if content.newest else ""
    return (
        f"{counted_people(counts.people)}, {counted(counts.images, 'picture')}{newest},"
        f" {counted(counts.templates, 'template')} of"
        f" {content.spec.model} ({content.spec.fingerprint})"
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="backup.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.tell_version()
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, what in (
        ("save", "copy the gallery to FILE"),
        ("check", "check a copy"),
        ("restore", "put a copy in the gallery's place"),
        ("export", "write people to a folder, or move the gallery to Milvus"),
        ("import", "enrol the people of a folder, or fetch a gallery from Milvus"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        if name in ("export", "import"):
            command.add_argument(
                "place", type=database, metavar="PLACE", help="a folder of an export, or milvus://HOST:PORT/NAME"
            )
        else:
            command.add_argument("file", type=Path, metavar="FILE")
        command.add_argument(
            "--db", type=database, default=DEFAULT_DB, help="the gallery, a file or milvus://HOST:PORT/NAME"
            " (default: %(default)s)",
        )  # fmt: skip
        if name == "save":
            command.add_argument("--overwrite", action="store_true", help="replace FILE, once the new copy is complete")
        if name in ("export", "import"):
            command.add_argument(
                "--replace", action="store_true",
                help="to or from Milvus: even if the target has people, who are saved in a file beside it first",
            )  # fmt: skip
        if name in ("restore", "export", "import"):
            command.add_argument(
                "--other-model", action="store_true", help="even if the gallery to replace holds another model's"
                " embeddings",
            )  # fmt: skip
        if name == "export":
            command.add_argument("--person", action="append", metavar="NAME", help="only this person; repeatable")
    return parser
