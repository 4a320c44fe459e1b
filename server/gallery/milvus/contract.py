"""Making a gallery in Milvus, and recognising one: what it was made with stands in its collection's description."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import StartError
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.connection import Milvus, Row
from facewire.server.gallery.milvus.tables import (
    AXES,
    PARTITIONS,
    RECORD_DIMENSION,
    RECORD_FIELDS,
    RECORDS,
    TEMPLATE_FIELDS,
    hashed,
    record,
)
from facewire.server.gallery.milvus.vectors import Vectors, axes_for
from facewire.server.gallery.search.cohort import Cohort
from facewire.server.spec import EmbeddingSpec

VERSION = 1
"""Of the collections' layout."""

_MARK = "facewire gallery"

_INDEXES: dict[str, Row] = {
    "flat": {"index_type": "FLAT"},
    # 1 KB a template of links; at a million templates 98 % of the nearest are found in 3 ms, instead of all in 20.
    "hnsw": {"index_type": "HNSW", "params": {"M": 16, "efConstruction": 200}},
}


@dataclass(frozen=True, slots=True)
class Contract:
    """What a gallery was made with. `cohort`: its fingerprint, "" without one; `axes`: that of its directions, which
    may differ between galleries of one model that two machines built."""

    spec: EmbeddingSpec
    cohort: str
    axes: str
    version: int = VERSION

    def to_text(self) -> str:
        """The description."""
        return json.dumps({
            "kind": _MARK, "version": self.version, "spec": self.spec.to_json(), "cohort": self.cohort,
            "axes": self.axes,
        })  # fmt: skip

    @classmethod
    def of(cls, text: str, address: MilvusAddress) -> Self:
        """From the description. Raises StartError for any other collection."""
        try:
            told = json.loads(text)
            if told["kind"] != _MARK:
                raise ValueError("another kind")
            version = int(told["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise StartError(
                f"{address} is a collection, but not a facewire gallery: choose another name", exit_code=2
            ) from error
        if version > VERSION:
            raise StartError(
                f"{address} was written by a newer facewire (its layout {version}, ours {VERSION}):"
                " update facewire here"
            )
        try:
            return cls(EmbeddingSpec.from_json(told["spec"]), str(told["cohort"]), str(told["axes"]), version)
        except (ValueError, KeyError, TypeError) as error:
            raise StartError(f"{address} names a model that this version can't read: {error}") from error


def contract(milvus: Milvus) -> Contract | None:
    """The gallery's; None if there is no such collection. Raises StartError, Busy and StorageFailed."""
    text = milvus.description()
    return None if text is None else Contract.of(text, milvus.address)


def create(milvus: Milvus, spec: EmbeddingSpec, cohort: Cohort | None) -> None:
    """Make an empty gallery. The templates' collection comes last: where it is, the gallery is complete."""
    axes = axes_for(cohort, spec.dimension)
    milvus.drop(RECORDS)  # of a gallery whose creation was interrupted
    milvus.create(RECORDS, RECORD_DIMENSION, RECORD_FIELDS, PARTITIONS)
    milvus.upsert(AXES, _axes_rows(axes))
    width = Vectors(axes, cohort).width
    fingerprint = hashlib.sha256(axes.astype("<f4").tobytes()).hexdigest()
    text = Contract(spec, cohort.fingerprint if cohort else "", fingerprint).to_text()
    milvus.create("", width, TEMPLATE_FIELDS, description=text, index=_INDEXES[milvus.address.index])
    milvus.settle()


def drop(milvus: Milvus) -> None:
    """Drop a gallery with everything in it."""
    milvus.drop("")
    milvus.drop(RECORDS)


def axes_of(milvus: Milvus, dimension: int) -> NDArray[np.float32]:
    """The directions that the gallery's vectors are in, (d, r). Raises StartError if they are damaged."""
    rows = sorted(milvus.scan(AXES, "", ("state", "body")), key=lambda row: int(row["state"]))
    columns = [np.frombuffer(base64.b64decode(row["body"]), "<f4") for row in rows]
    if not columns or {len(column) for column in columns} != {dimension}:
        raise StartError(
            f"{milvus.address} is damaged: part of its description is missing; restore a backup or build it again"
        )
    return np.ascontiguousarray(np.stack(columns, axis=1), np.float32)


def _axes_rows(axes: NDArray[np.float32]) -> list[Row]:
    return [
        record(hashed("axis", number), base64.b64encode(column.astype("<f4").tobytes()).decode(), state=number)
        for number, column in enumerate(axes.T)
    ]
