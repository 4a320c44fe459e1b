"""What a build would do, by looking at names, sizes and times, and at bytes only where a picture may have moved."""

from __future__ import annotations

import hashlib
from pathlib import Path

from facewire.protocol.text import printable
from facewire.server.maintenance.build.folder import FoundFile, Scan
from facewire.server.maintenance.build.ledger import Ledger


def preview(folder: Path, ledger: Ledger, scan: Scan, *, prune: bool) -> list[str]:
    """Lines for the user. Raises OSError where a file can't be read."""
    waiting = ledger.waiting()
    gone = ledger.gone({skip.path for skip in scan.skipped})
    lost = {(picture.person, picture.sha256): picture.path for picture in gone}
    sizes = {picture.size_bytes for picture in gone}
    moved = {
        lost[key]: file.path
        for file in waiting
        if file.size_bytes in sizes and (key := (file.person, _sha256(folder, file))) in lost
    }
    changed = [file.path for file in waiting if ledger.has_path(file.path)]
    fresh = [file.path for file in waiting if not ledger.has_path(file.path) and file.path not in moved.values()]
    leaving = "would be removed" if prune else "gone from the folder; stays enrolled without --prune"
    return [
        *(f"{printable(path)}\twould be read: new" for path in fresh),
        *(f"{printable(path)}\twould be read: changed" for path in changed),
        *(f"{printable(path)}\tmoved to {printable(moved[path])}" for path in moved),
        *(f"{printable(picture.path)}\t{leaving}" for picture in gone if picture.path not in moved),
        f"{len(fresh)} new, {len(changed)} changed, {len(moved)} moved, {ledger.unchanged()} unchanged,"
        f" {len(gone) - len(moved)} gone; nothing was written",
        *([f"  {scan.left_out.said()}"] if scan.left_out.total else []),
    ]


def _sha256(folder: Path, file: FoundFile) -> str:
    with (folder / file.path).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
