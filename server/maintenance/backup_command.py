"""Copies of a gallery, taken and put back while a server uses it, and people for other programs.

  python scripts/backup.py save FILE          a whole copy of the gallery as it is at this instant
  python scripts/backup.py check FILE         is a copy whole, and what does it hold?
  python scripts/backup.py restore FILE       put a copy in the gallery's place; what was there is saved beside it
  python scripts/backup.py export FOLDER      everybody, or --person NAME, as JSON and npz (docs/portable-format.md)
  python scripts/backup.py import FOLDER      enrol everybody of an export, of the same model

Copies and exports hold faces and names: they are readable by you alone; keep them so, and see docs/privacy.md.

Exit codes: 0 done, 2 usage error, 3 something is broken or failed; the gallery is as it was then.
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
from facewire.server.gallery.storage.foreign import SQLITE_MARK, explain
from facewire.server.gallery.storage.store import Store
from facewire.server.maintenance.backup.copies import Content, check, restore, save
from facewire.server.maintenance.backup.portable import export, import_into, read_spec
from facewire.server.maintenance.command import build_lock, exit_code
from facewire.server.settings import DEFAULT_DB


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    db = options.db.resolve()

    def work() -> int:
        print(printable_lines(_COMMANDS[options.command](options, db)))
        return 0

    return exit_code("backup", db, work, afterwards=f"{db} is as it was")


def _save(options: argparse.Namespace, db: Path) -> str:
    target = options.file.absolute()
    if target.exists() and not options.overwrite:
        raise StartError(f"{target} exists already: choose another name, or --overwrite it", exit_code=2)
    return f"{target}: {_described(save(db, target))}"


def _check(options: argparse.Namespace, db: Path) -> str:
    _refuse_foreign(options.file)
    return f"{options.file} is whole: {_described(check(options.file))}"


def _restore(options: argparse.Namespace, db: Path) -> str:
    _refuse_foreign(options.file)
    source = options.file.resolve()
    if source == db:
        raise StartError(f"{source} is the gallery itself", exit_code=2)
    db.parent.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    before = db.with_name(f"{db.name}-before-restore-{stamp}")
    with build_lock(db):
        existed = db.exists()
        content = restore(source, db, other_spec=options.other_model, keep=lambda: save(db, before))
    lines = [f"{db} is restored: {_described(content)}"]
    if existed:
        lines.append(f"  what was there before is in {before}: delete it once you don't need it")
        lines.append("  whoever was erased since the copy was made is back: erase them again")
    return "\n".join(lines)


def _export(options: argparse.Namespace, db: Path) -> str:
    with closing(Store.open(db)) as store:
        portion = export(store, options.folder.absolute(), options.person or ())
    held = f"{counted(portion.images, 'picture')}, {counted(portion.templates, 'template')}"
    return f"{options.folder}: {counted_people(portion.people)}, {held}"


def _import(options: argparse.Namespace, db: Path) -> str:
    folder = options.folder
    if not folder.is_dir():
        _refuse_foreign(folder)
        raise StartError(f"{folder} is not a folder that `export` wrote", exit_code=2)
    with build_lock(db):
        spec = read_spec(folder)
        if not db.exists():
            db.parent.mkdir(parents=True, exist_ok=True)
            Store.create(db, spec).close()
        with closing(Store.open(db)) as store:
            portion = import_into(store, folder)
    return (
        f"{db}: {counted_people(portion.people)}, {counted(portion.images, 'new picture')} with"
        f" {counted(portion.templates, 'template')},"
        f" {counted(portion.present, 'picture was', 'pictures were')} there already"
    )


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
            raise StartError(f"{path} is neither a copy of a gallery nor an export", exit_code=2)


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
        ("export", "write people to FOLDER"),
        ("import", "enrol the people of FOLDER"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        place = "folder" if name in ("export", "import") else "file"
        command.add_argument(place, type=Path, metavar=place.upper())
        command.add_argument("--db", type=Path, default=DEFAULT_DB, help="the gallery (default: %(default)s)")
        if name == "save":
            command.add_argument("--overwrite", action="store_true", help="replace FILE, once the new copy is whole")
        if name == "restore":
            command.add_argument(
                "--other-model", action="store_true", help="even if the copy is of another model than the gallery"
            )
        if name == "export":
            command.add_argument(
                "--person", action="append", metavar="NAME", help="only this person; may be given several times"
            )
    return parser
