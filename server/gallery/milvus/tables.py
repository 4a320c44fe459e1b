"""What the gallery's collections hold, as values. Names stand in no filter: they are found by their hashes.

NAME holds the templates, a row each, with the picture and the person it belongs to: moving a template to another person
replaces one row, so it never belongs to neither. NAME_records holds everything that is not searched by likeness, in
partitions.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from facewire.server.gallery.milvus.connection import FIRST_ID, Row, Table
from facewire.server.gallery.records import Box, Landmarks, Person
from facewire.server.names import folded

RECORDS = "_records"
TEMPLATES = Table("")
PEOPLE = Table(RECORDS, "people")
EVENTS = Table(RECORDS, "events")
UNDO = Table(RECORDS, "undo")
CROPS = Table(RECORDS, "crops")
AXES = Table(RECORDS, "axes")
PARTITIONS = ("people", "events", "undo", "crops", "axes")

LONGEST_TEXT = 65_535
"""Bytes in a field of text, Milvus' limit."""

MOST_ABOUT = 4096
"""Milvus' limit of numbers in a row."""

TEMPLATE_FIELDS: tuple[Row, ...] = (
    {"field_name": "person", "datatype": "INT64"},
    # Whether it is the first of its picture: pictures are counted by these.
    {"field_name": "leads", "datatype": "BOOL"},
    {"field_name": "added", "datatype": "INT64"},
    {"field_name": "path", "datatype": "VARCHAR", "max_length": 16_384},
    {"field_name": "body", "datatype": "VARCHAR", "max_length": 16_384},
)

RECORD_FIELDS: tuple[Row, ...] = (
    {"field_name": "name", "datatype": "INT64"},
    {"field_name": "folded", "datatype": "INT64"},
    {"field_name": "owner", "datatype": "INT64"},
    {"field_name": "state", "datatype": "INT64"},
    {"field_name": "about", "datatype": "ARRAY", "element_type": "INT64", "max_capacity": MOST_ABOUT},
    {"field_name": "body", "datatype": "VARCHAR", "max_length": LONGEST_TEXT},
)

RECORD_DIMENSION = 2
"""Milvus wants a vector in every collection; theirs mean nothing."""

SEARCHED = ("person", "added", "path", "vector")
WHOLE = ("id", "person", "leads", "added", "path", "body", "vector")
PERSON = ("id", "body")


def hashed(*parts: object) -> int:
    """An id made of these, the same everywhere."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return FIRST_ID + (int.from_bytes(digest[:7], "big") & (FIRST_ID - 1))


_ODD = 0x9E37_79B9_7F4A7
"""The golden ratio's digits: multiples of it, without their carry, spread evenly."""


def spread(number: int) -> int:
    """The id of what had this number, below 2**52, in another database: different for each, and like a hash."""
    return FIRST_ID + number * _ODD % FIRST_ID


def gathered(id: int) -> int:
    """The inverse of `spread`; a large number for a hash."""
    return (id - FIRST_ID) * pow(_ODD, -1, FIRST_ID) % FIRST_ID


def name_hash(name: str) -> int:
    """What `name` is found by."""
    return hashed("name", name)


def folded_hash(name: str) -> int:
    """What names that differ in case and accents only are found by."""
    return hashed("folded", folded(name))


class Clock:
    """Numbers that grow with time, each given once by this process: milliseconds, with 10 bits for a counter."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # guards _last
        self._last = 0

    def next(self) -> int:
        """The next number; below FIRST_ID for another 80 years."""
        with self._guard:
            self._last = max(self._last + 1, int(time.time() * 1000) << 10)
            return self._last


class OfPicture(Protocol):
    """What `template_body` keeps of a picture; see `NewPicture`."""

    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def source(self) -> str | None: ...
    @property
    def mtime_ns(self) -> int | None: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def fingerprint(self) -> bytes | None: ...


class OfTemplate(Protocol):
    """What `template_body` keeps of a template; see `NewTemplate`."""

    @property
    def box(self) -> Box: ...
    @property
    def landmarks(self) -> Landmarks: ...
    @property
    def detection(self) -> float: ...


def template_body(picture: OfPicture, created: str, template: OfTemplate) -> dict[str, Any]:
    """Of a template, as `Stored` keeps it. `created`: when its picture was enrolled."""
    return {
        "sha256": picture.sha256,
        "size": picture.size_bytes,
        "source": picture.source,
        "mtime": picture.mtime_ns,
        "width": picture.width,
        "height": picture.height,
        "fingerprint": None if picture.fingerprint is None else base64.b64encode(picture.fingerprint).decode(),
        "created": created,
        "box": template.box,
        "landmarks": template.landmarks,
        "detection": template.detection,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A template with its picture. `body`: as `template_body` makes it."""

    id: int
    person: int
    leads: bool
    added: int
    path: str
    body: Mapping[str, Any]
    vector: NDArray[np.float32] = field(repr=False)

    @classmethod
    def of(cls, row: Row) -> Self:
        """From WHOLE."""
        vector = np.asarray(row["vector"], np.float32)
        return cls(row["id"], row["person"], row["leads"], row["added"], row["path"], json.loads(row["body"]), vector)

    def row(self) -> Row:
        """As Milvus keeps it."""
        return {
            "id": self.id,
            "vector": self.vector.tolist(),
            "person": self.person,
            "leads": self.leads,
            "added": self.added,
            "path": self.path,
            "body": _text(self.body),
        }

    @property
    def sha256(self) -> str:
        return str(self.body["sha256"])

    @property
    def box(self) -> Box:
        x, y, width, height = self.body["box"]
        return (x, y, width, height)

    @property
    def fingerprint(self) -> bytes | None:
        text = self.body["fingerprint"]
        return None if text is None else base64.b64decode(text)

    def with_person(self, person: int) -> Stored:
        """The same for somebody else."""
        return replace(self, person=person)

    def to_json(self) -> Row:
        """For the journal."""
        return {**self.row(), "vector": base64.b64encode(self.vector.astype("<f4").tobytes()).decode()}

    @classmethod
    def from_json(cls, row: Row) -> Self:
        """The inverse of `to_json`."""
        return cls.of({**row, "vector": np.frombuffer(base64.b64decode(row["vector"]), "<f4")})


def person_row(person: Person) -> Row:
    """As PEOPLE keeps them."""
    body = _text({"name": person.name, "created": person.created})
    return record(person.id, body, name=name_hash(person.name), folded=folded_hash(person.name))


def person_of(row: Row) -> Person:
    """From PERSON."""
    body = json.loads(row["body"])
    return Person(row["id"], body["name"], body["created"])


def crop_id(template_id: int) -> int:
    """Of a template's crop."""
    return hashed("crop", template_id)


def crop_row(template_id: int, jpeg: bytes) -> Row | None:
    """As CROPS keeps it; None if it is too long for Milvus."""
    text = base64.b64encode(jpeg).decode()
    return None if len(text) > LONGEST_TEXT else record(crop_id(template_id), text, owner=template_id)


def record(
    id: int, body: str, *, name: int = 0, folded: int = 0, owner: int = 0, state: int = 0, about: Sequence[int] = ()
) -> Row:
    """A row of RECORDS."""
    return {
        "id": id,
        "vector": [0.0] * RECORD_DIMENSION,
        "name": name,
        "folded": folded,
        "owner": owner,
        "state": state,
        "about": list(about[:MOST_ABOUT]),
        "body": body,
    }


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
