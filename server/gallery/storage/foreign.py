"""Recognises files of other face recognition programs by their first bytes and tables; never loads them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

SQLITE_MARK = b"SQLite format 3\0"
PICKLE_PROTOCOLS = tuple(b"\x80" + bytes([version]) for version in (2, 3, 4, 5))
PICKLE_SUFFIXES = (".pkl", ".pickle")

_INSTEAD = (
    "; embeddings of other programs can't be compared with ours: enrol the pictures they were made of, with"
    " python scripts/create_db.py PICTURES_FOLDER"
)


def explain(path: Path) -> str | None:
    """What another program's file is and what to do instead, as the end of an error message; None for any other file.

    Raises OSError if it can't be read.
    """
    with path.open("rb") as file:
        beginning = file.read(len(SQLITE_MARK))
    if beginning.startswith(PICKLE_PROTOCOLS) or path.suffix.lower() in PICKLE_SUFFIXES:
        return (
            "it is a Python pickle, as DeepFace keeps its representations in, and is not opened: reading a pickle runs"
            f" whatever code it holds{_INSTEAD}"
        )
    if beginning == SQLITE_MARK and {"face_meta", "face_embeddings"} <= _tables(path):
        return f"it is an ARKANGEL database (face_meta, face_embeddings){_INSTEAD}"
    return None


def _tables(path: Path) -> set[str]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.Error:  # damaged, or not SQLite beyond its first bytes
        return set()
