"""The graph beside its database: `people.db-index`, so that the next start needn't build it again.

The file is only ever a shortcut. It says of which templates, settings and usearch version it is, and carries a
checksum; one that doesn't fit exactly, or can't be read, counts as none. Layout: the graph as usearch writes it, a
label in JSON, a footer (the label's length, the SHA-256 of graph and label, a mark).
"""

from __future__ import annotations

import glob
import hashlib
import json
import logging
import mmap
import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from server.durable import replacing
from server.gallery.connection import INDEX_SUFFIX
from server.gallery.graph import IDENTITY, Graph
from server.gallery.rows import Rows
from server.spec import EmbeddingSpec

FOOTER = struct.Struct("<Q32s8s")
MARK = b"FWGRAPH1"

_log = logging.getLogger("facewire.gallery")


class _Unusable(Exception):
    """Why a file is not opened."""


class GraphFile:
    """The file of one database. Safe to share between processes: who writes last wins, and who reads checks."""

    def __init__(self, db: Path, spec: EmbeddingSpec) -> None:
        self._path = db.with_name(db.name + INDEX_SUFFIX)
        self._spec = spec
        self._on_disk: dict[str, object] | None = None

    def read(self, rows: Rows) -> Graph | None:
        """The saved graph if it fits `rows`; the newest of them it may lack. Otherwise None, and the log says why."""
        try:
            with (
                self._path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
                memoryview(content) as view,  # released here: one left in a traceback would keep the map open
            ):
                graph = self._checked(view, rows)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RuntimeError, _Unusable) as error:  # ValueError: empty; RuntimeError: usearch's
            _log.warning("%s is of no use (%s): it is built anew", self._path, error)
            return None
        _log.info("%s opened: a graph of %d templates", self._path, len(graph))
        return graph

    def _checked(self, view: memoryview, rows: Rows) -> Graph:
        if len(view) < FOOTER.size:
            raise _Unusable("cut off")
        length, digest, mark = FOOTER.unpack_from(view, len(view) - FOOTER.size)
        end = len(view) - FOOTER.size - length
        if mark != MARK or end < 0:
            raise _Unusable("cut off, or not ours")
        with view[: end + length] as signed, view[:end] as graph:
            if hashlib.sha256(signed).digest() != digest:
                raise _Unusable("damaged")
            label = json.loads(bytes(signed[end:]))
            if label != self._label(rows, label["covered"]):
                raise _Unusable("of other templates or another version")
            loaded = Graph.loaded(graph, self._spec.dimension, label["covered"])
        self._on_disk = label
        return loaded

    def write(self, graph: Graph, rows: Rows) -> None:
        """Replace the file by `graph`, whose templates `rows` has, in one step, where anything changed.

        The thread that adds to the graph calls this. A failure is logged: the file is only a shortcut.
        """
        label = self._label(rows, graph.covered)
        if label == self._on_disk or not len(graph):
            return
        try:
            with replacing(self._path) as staging:
                graph.save(staging)
                with staging.open("r+b") as file:
                    _sign(file, json.dumps(label).encode())
            self._on_disk = label
        except (OSError, RuntimeError) as error:
            _log.warning("%s can't be written (%s): the next start builds the graph anew", self._path, error)

    def remove(self) -> None:
        """Delete the file, and what writers that were killed left of it. Raises OSError where it can't be deleted."""
        self._on_disk = None
        for path in self._path.parent.glob(f"{glob.escape(self._path.name)}*"):
            path.unlink(missing_ok=True)

    def _label(self, rows: Rows, covered: int) -> dict[str, object]:
        """What the graph of those `rows` up to template `covered` is called."""
        count = int(np.searchsorted(rows.template_ids, covered, side="right"))
        # Ids alone don't do: a database that was deleted and built anew starts at 1 again.
        digest = hashlib.sha256(rows.template_ids[:count].tobytes())
        digest.update(rows.embeddings[:count, :4].tobytes())
        templates = {"covered": covered, "count": count, "digest": digest.hexdigest()}
        return {**IDENTITY, "spec": self._spec.fingerprint, **templates}


def _sign(file: BinaryIO, label: bytes) -> None:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        digest = hashlib.sha256(content)
    digest.update(label)
    file.seek(0, os.SEEK_END)
    file.write(label + FOOTER.pack(len(label), digest.digest(), MARK))
