"""Requests to Milvus, with its errors as ours. The only module that imports pymilvus.

Milvus answers from a state that may lie a little behind what was written. Each request says from when on its answer
must be: at least everything that this connection wrote, and at most `staleness_ms` ago of what others wrote. Milvus
itself gives out the times that these are counted in, so no clocks need to agree.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient, MilvusException

from facewire.server.errors import Busy, RequestError, StartError, StorageFailed
from facewire.server.gallery.address import TOKEN_VARIABLE, MilvusAddress

Row = dict[str, Any]

CHANGING = 3
"""How many times as long as a question a change may take: it is better late than half made."""

CONNECTING = 2
"""The same of the first request, which pymilvus also repeats for so long where a token is refused."""

OPENING_S = 600.0
"""How long collections may take to be made or loaded: a million templates are indexed in four minutes."""

RETRY_AFTER_MS = 1000

BATCH_ROWS = 500
"""Rows written at once: 1 MB at 512 numbers each; Milvus' log takes up to 5 MB."""

PAGE_ROWS = 8192
"""About as many rows read at once; Milvus answers 16,384 at most."""

MOST_ROWS = 16_384

LEAST_EF = 256
"""How many candidates HNSW holds while it searches; ignored by other indexes."""

_LOGICAL_BITS = 18
"""Milvus' times are milliseconds, shifted to leave room for a counter."""

_NOT_FOUND = (100, 4)
_FULL = ("quota", "disk", "memory", "deny", "no space")

FIRST_ID, LAST_ID = 1 << 52, (1 << 53) - 1
"""Ids made from a hash: 52 bits, which JavaScript's numbers hold. Events, numbered by time, lie below."""

logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs tracebacks of errors that it also raises


class Table(NamedTuple):
    """A collection, by what follows the gallery's name, or a partition of it."""

    suffix: str
    partition: str | None = None


class Milvus:
    """A connection for any number of threads."""

    def __init__(self, address: MilvusAddress, token: str | None) -> None:
        """Raises StartError if Milvus can't be reached or refuses the token."""
        self.address = address
        self._question_s = address.timeout_s
        self._change_s = CHANGING * address.timeout_s
        self._guard = threading.Lock()  # guards _floor and _seen
        self._floor = 1
        self._seen = (0, 0.0)
        _require_somebody(address)
        uri = f"{'https' if address.tls else 'http'}://{address.host}:{address.port}"
        try:
            self._client = MilvusClient(uri, token=token or "", timeout=CONNECTING * address.timeout_s)
        except MilvusException as error:
            # pymilvus says the same of a wrong token and of TLS that is missing
            other = "milvus" if address.tls else "milvus+tls"
            raise StartError(
                f"{address}: Milvus answers but refuses the connection: set {TOKEN_VARIABLE} to its USER:PASSWORD"
                f" or API key, or try {other}://"
            ) from error

    # ------------------------------------------------------------------------------------------ reading

    def search(
        self, table: Table, vectors: NDArray[np.float32], limit: int, fields: Sequence[str], filter: str = ""
    ) -> list[list[Row]]:
        """For each of (m, d) vectors the nearest rows, nearest first."""
        with self._errors():
            found = self._client.search(
                self._name(table), vectors.tolist(), filter=filter, limit=limit, output_fields=list(fields),
                search_params={"params": {"ef": max(LEAST_EF, limit)}}, timeout=self._question_s, **self._from_when(),
            )  # fmt: skip
            return [[{"id": hit["id"], **hit["entity"]} for hit in hits] for hits in found]

    def query(self, table: Table, filter: str, fields: Sequence[str], limit: int | None = None) -> list[Row]:
        """Rows that the filter holds for, in no order; fewer than MOST_ROWS are expected without `limit`."""
        more: Row = {} if limit is None else {"limit": limit}
        with self._errors():
            return [
                dict(row)
                for row in self._client.query(
                    self._name(table), filter=filter, output_fields=list(fields), timeout=self._question_s,
                    **self._where(table), **more, **self._from_when(),
                )
            ]  # fmt: skip

    def count(self, table: Table, filter: str = "") -> int:
        """How many rows the filter holds for."""
        return int(self.query(table, filter, ["count(*)"])[0]["count(*)"])

    def scan(
        self, table: Table, filter: str, fields: Sequence[str], *, low: int = 0, high: int = LAST_ID
    ) -> Iterator[Row]:
        """All rows with ids from `low` to `high` that the filter holds for, about a page at a time.

        The range of ids is divided until each answer is complete, as Milvus promises no order to continue in. An answer
        that is not was read in vain, so the rows are counted, which takes a hundredth of the time: ids are hashes, and
        as many in one part as in another.
        """
        ranges = [(low, high)]
        while ranges:
            first, last = ranges.pop()
            within = f"id >= {first} and id <= {last}"
            those = f"{within} and {filter}" if filter else within
            rows = self.query(table, those, fields, limit=MOST_ROWS)
            if len(rows) < MOST_ROWS:
                yield from rows
            else:
                step = (last - first) // (1 + self.count(table, those) // PAGE_ROWS) + 1
                ranges += [(at, min(at + step - 1, last)) for at in range(first, last + 1, step)][::-1]

    def those(self, table: Table, field: str, values: Iterable[int], fields: Sequence[str]) -> Iterator[Row]:
        """Rows whose field is one of these."""
        wanted = list(values)
        for at in range(0, len(wanted), BATCH_ROWS):
            some = ", ".join(map(str, wanted[at : at + BATCH_ROWS]))
            yield from self.scan(table, f"{field} in [{some}]", fields)

    # ------------------------------------------------------------------------------------------ writing

    def upsert(self, table: Table, rows: Sequence[Row]) -> None:
        """Write rows, each as a whole; call `settle` before the next reading."""
        with self._errors(writing=True):
            for at in range(0, len(rows), BATCH_ROWS):
                some = list(rows[at : at + BATCH_ROWS])
                self._client.upsert(self._name(table), some, timeout=self._change_s, **self._where(table, one=True))

    def delete(self, table: Table, ids: Sequence[int]) -> None:
        """Delete rows; call `settle` before the next reading."""
        with self._errors(writing=True):
            for at in range(0, len(ids), BATCH_ROWS):
                some = list(ids[at : at + BATCH_ROWS])
                where = self._where(table, one=True)
                self._client.delete(self._name(table), ids=some, timeout=self._change_s, **where)

    def settle(self) -> None:
        """From now on, answers include everything written so far: Milvus doesn't say when it deleted something, so its
        clock is asked."""
        with self._errors(writing=True):
            now = self._now(self._change_s)
        with self._guard:
            self._floor = max(self._floor, now)

    def look_at_the_clock(self) -> None:
        """Learn what Milvus' clock says; for a thread that calls this all the time. Raises Busy and StorageFailed."""
        asked = time.monotonic()  # before the answer, so that what is counted from it is never too old
        with self._errors():
            now = self._now(self._question_s)
        with self._guard:
            self._seen = (now >> _LOGICAL_BITS, asked)

    def _now(self, timeout_s: float) -> int:
        return int(self._client._get_connection().alloc_timestamp(timeout=timeout_s))

    def _from_when(self) -> Row:
        with self._guard:
            floor, (seen_ms, at) = self._floor, self._seen
        if self.address.staleness_ms == 0:
            return {"consistency_level": "Strong"}
        if seen_ms:
            then = seen_ms + int((time.monotonic() - at) * 1000) - self.address.staleness_ms
            floor = max(floor, then << _LOGICAL_BITS)
        return {"consistency_level": "Customized", "guarantee_timestamp": floor}

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Around a change from its first writing on, and what is read after it: of that nobody may hear `busy`, which
        says that nothing was begun. Raises StorageFailed instead."""
        try:
            yield
        except Busy as error:
            raise self._half_made(str(error)) from error

    # ------------------------------------------------------------------------------------------ collections

    def description(self) -> str | None:
        """What is kept with the gallery's collection; None if there is none. Raises Busy and StorageFailed."""
        with self._errors():
            name = self._name(Table(""))
            if not self._client.has_collection(name, timeout=self._question_s):
                return None
            return str(self._client.describe_collection(name, timeout=self._question_s)["description"])

    def create(
        self,
        suffix: str,
        dimension: int,
        fields: Sequence[Row],
        partitions: Sequence[str] = (),
        description: str = "",
        index: Row | None = None,
    ) -> None:
        """Make a collection with `id` and `vector` and load it. `fields`: as pymilvus' add_field."""
        with self._errors(writing=True):
            name = self._name(Table(suffix))
            schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False, description=description)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimension)
            for field in fields:
                kinds = {key: DataType[value] for key, value in field.items() if key in ("datatype", "element_type")}
                schema.add_field(**{**field, **kinds})
            self._client.create_collection(name, schema=schema, num_shards=1, timeout=OPENING_S)
            for partition in partitions:
                self._client.create_partition(name, partition, timeout=OPENING_S)
            parameters = MilvusClient.prepare_index_params()
            parameters.add_index("vector", metric_type="L2", **(index or {"index_type": "FLAT"}))
            self._client.create_index(name, parameters, timeout=OPENING_S)
            self._client.load_collection(name, timeout=OPENING_S)

    def load(self, suffix: str) -> None:
        """Have a collection in Milvus' memory; takes no time if it is."""
        with self._errors():
            self._client.load_collection(self._name(Table(suffix)), timeout=OPENING_S)

    def drop(self, suffix: str) -> None:
        """Drop a collection, if there is one."""
        with self._errors(writing=True):
            self._client.drop_collection(self._name(Table(suffix)), timeout=OPENING_S)

    def rename(self, suffix: str, to: MilvusAddress) -> None:
        """Make a collection another gallery's, on the same Milvus, which must not have it."""
        with self._errors(writing=True):
            name = to.name + suffix
            self._client.rename_collection(self._name(Table(suffix)), name, timeout=OPENING_S)

    def compact(self, suffix: str) -> None:
        """Have Milvus write its files anew without what was deleted."""
        with self._errors(writing=True):
            self._client.compact(self._name(Table(suffix)), timeout=self._question_s)

    def close(self) -> None:
        self._client.close()

    # ------------------------------------------------------------------------------------------ helpers

    def _name(self, table: Table) -> str:
        return self.address.name + table.suffix

    @staticmethod
    def _where(table: Table, *, one: bool = False) -> Row:
        if table.partition is None:
            return {}
        return {"partition_name": table.partition} if one else {"partition_names": [table.partition]}

    @contextmanager
    def _errors(self, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except MilvusException as error:
            raise self._failure(error.code, str(error.message), writing=writing) from error
        except grpc.RpcError as error:  # a timeout, which pymilvus passes on as it is
            raise self._failure(0, str(error.details()), writing=writing) from error

    def _failure(self, code: int, said: str, *, writing: bool) -> RequestError:
        """Busy where asking again may help and nothing was begun."""
        words = said.lower().replace(self.address.name.lower(), "")  # which may be "authors"
        if code in _NOT_FOUND or "collection not found" in words:
            return StorageFailed(f"{self.address} was dropped while in use: restore a backup of it, or build it again")
        if "auth" in words or "permission" in words:
            return StorageFailed(f"{self.address}: Milvus refuses the token in {TOKEN_VARIABLE} ({_first_line(said)})")
        if writing and any(word in words for word in _FULL):
            return StorageFailed(f"{self.address} is full: make room, then ask again ({_first_line(said)})")
        if writing:
            return self._half_made(said)
        return Busy(
            f"{self.address} can't be reached at the moment: {_first_line(said)}", retry_after_ms=RETRY_AFTER_MS
        )

    def _half_made(self, said: str) -> StorageFailed:
        return StorageFailed(
            f"{self.address} failed in the middle of a change, which may be half made: ask for it again"
            f" ({_first_line(said)})"
        )


def _require_somebody(address: MilvusAddress) -> None:
    """Raises StartError where no program listens: pymilvus would go on trying."""
    try:
        socket.create_connection((address.host, address.port), timeout=address.timeout_s).close()
    except OSError as error:
        raise StartError(
            f"{address}: nothing is listening there ({error.strerror or error}): start Milvus, or name another address"
        ) from error


def _first_line(text: str) -> str:
    return (text.strip() or "it gives no reason").splitlines()[0][:200]
