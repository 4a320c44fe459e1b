"""The audit log: one JSON line for each identification and each change. It says who asked, from where, what, and how it
ended; no picture, no embedding, and no names, as a line can't be erased with a person."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from facewire.protocol.messages import Detected, Embedded, Identified, PersonVerified, Result, Verified
from facewire.protocol.videos import VideoIdentified
from facewire.server.errors import StartError
from facewire.server.reply import Reply

_log = logging.getLogger("facewire.access")

LOOKING = frozenset(
    {
        *("ping", "hello", "health", "stats", "people", "show", "history"),
        *("album.list", "album.status", "album.folders", "album.photos", "album.photo", "album.faces", "album.face"),
        *("album.days", "album.names", "album.people", "album.history", "album.suggest", "album.export_read"),
        "album.photo_read",
    }
)
"""Operations without a line: they neither identify nor change anybody. Every other one has one, new ones too."""

_COMPLAIN_S = 60.0  # between two errors about the same full disk


class AuditLog:
    """Appends lines. Thread-safe. After the file was renamed or deleted, as logrotate does, the next line begins a new
    one. What can't be written is logged as an error; requests go on."""

    def __init__(self, path: Path) -> None:
        """Raises StartError."""
        self._path = path
        self._lock = threading.Lock()  # guards the four below
        self._torn = False  # the last line is incomplete
        self._complained = float("-inf")
        self._descriptor = -1
        try:
            self._reopen_if_moved()
        except OSError as error:
            raise StartError(f"the audit log {path} can't be written: {error.strerror}", exit_code=2) from error

    def record(self, reply: Reply, outcome: str, result: Result | None, seconds: float) -> None:
        """Writes the line of an answered request. `outcome`: "ok", an error code, or "gone" if nobody was left to
        answer."""
        op = reply.request.body.op
        if op in LOOKING:
            return
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "op": op,
            "token": reply.caller.name,
            "address": reply.caller.address,
            "outcome": outcome,
            "ms": round(1000 * seconds, 1),
            **_found(result),
        }
        self._append(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, line: bytes) -> None:
        with self._lock:
            try:
                self._reopen_if_moved()
                line = b"\n" + line if self._torn else line
                written = os.write(self._descriptor, line)
                self._torn = written < len(line)
                if self._torn:
                    raise OSError("the disk is full")
            except OSError as error:
                if time.monotonic() - self._complained > _COMPLAIN_S:
                    self._complained = time.monotonic()
                    _log.error("the audit log %s lacks lines: %s", self._path, error.strerror or error)

    def _reopen_if_moved(self) -> None:
        """Opens the file, unless it is the one that is open. (Lock held.)"""
        if self._descriptor >= 0:
            here = os.fstat(self._descriptor)
            try:
                there = self._path.stat()
            except FileNotFoundError:
                there = None
            if there is not None and (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                return
        new = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._torn = False
        self._descriptor = new


def _found(result: Result | None) -> Mapping[str, object]:
    """What an answer says, without saying of whom."""
    match result:
        case Identified():
            return {"faces": len(result.faces), "decisions": dict(Counter(face.decision for face in result.faces))}
        case VideoIdentified():
            return {"people": len(result.people), "decisions": dict(Counter(each.decision for each in result.people))}
        case Detected() | Embedded():
            return {"faces": len(result.faces)}
        case Verified() | PersonVerified():
            return {"same": result.same}
        case _:
            event = getattr(result, "event", None)
            number = event if isinstance(event, int) else getattr(event, "id", None)
            return {} if number is None else {"event": number}
