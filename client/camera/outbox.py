"""Events on their way to a webhook, in a file, so that a restart loses none. Bounded in number and bytes."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from filelock import FileLock, Timeout

MOST_EVENTS = 10_000
MOST_BYTES = 64 * 2**20


class OutboxInUse(Exception):
    """Another program sends from this file."""


class Outbox:
    """A queue in a SQLite file, for threads. What doesn't fit any more goes oldest first."""

    def __init__(self, path: Path, most_events: int = MOST_EVENTS, most_bytes: int = MOST_BYTES) -> None:
        """Raises OutboxInUse, OSError, sqlite3.Error."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._ours = FileLock(path.with_name(f"{path.name}.lock"), timeout=0, thread_local=False)
        try:
            self._ours.acquire()
        except Timeout as error:
            raise OutboxInUse(f"another camera process is using {path}") from error
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._lock = threading.Lock()  # guards the connection
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        path.chmod(0o600)  # there are faces in it
        self._db.execute("PRAGMA secure_delete = ON")  # what was sent is gone from the file, too
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL) STRICT"
        )

    def add(self, body: bytes) -> int:
        """Queues one; gives how many had to go for it."""
        with self._lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT INTO outbox (body) VALUES (?)", (body,))
            gone = 0
            while self._over():
                gone += self._db.execute("DELETE FROM outbox WHERE id = (SELECT min(id) FROM outbox)").rowcount
            return gone

    def first(self) -> tuple[int, bytes] | None:
        """The oldest, with its number."""
        with self._lock:
            row = self._db.execute("SELECT id, body FROM outbox ORDER BY id LIMIT 1").fetchone()
        return None if row is None else (int(row[0]), bytes(row[1]))

    def done(self, number: int) -> None:
        """It needs not be sent any more."""
        with self._lock:
            self._db.execute("DELETE FROM outbox WHERE id = ?", (number,))

    def __len__(self) -> int:
        with self._lock:
            return int(self._db.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def close(self) -> None:
        """Gives the file back."""
        with self._lock:
            self._db.close()
        self._ours.release()

    def _over(self) -> bool:
        events, size = self._db.execute("SELECT count(*), total(length(body)) FROM outbox").fetchone()
        return bool(events > self._most_events or (size > self._most_bytes and events > 1))
