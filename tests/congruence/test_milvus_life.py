"""One life of a gallery in SQLite in process, in SQLite over a socket and in the real Milvus over a socket: the same
answers, refusals, names and decisions, and similarities within 1e-4."""

from __future__ import annotations

import dataclasses
import math
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Where FACEWIRE_REQUIRE_MILVUS is set, tests/integration/test_milvus_server.py fails without it.
pytest.importorskip("pymilvus", reason="needs pymilvus (requirements-cluster.txt)")

from facewire.client import FaceClient, ServerRefused
from facewire.scripts.milvus_serving import Milvus
from facewire.server.errors import RequestError
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.gallery import MilvusGallery
from facewire.server.tcp.answers import code_of
from tests.congruence.test_living_gallery import LIFE, REFUSED, InProcess
from tests.support.living_server import SPEC, living_server, living_service, serving
from tests.support.synthetic_engine import draw, portrait
from tests.support.waiting import PATIENCE_S

Asked = Callable[[FaceClient], object]

NUMBERED = ("id", "template", "event", "version", "first")
"""Fields that number things: each kind of database does that in its own way."""

CLOCKED = ("at", "created", "address", "timing_ms")

OF_SQLITE_ALONE = ("journal", "complete", "note")
"""What an erasure says of the disk."""

TOLERANCE = 1e-4


def first_of(name: str) -> Callable[[FaceClient], int]:
    """A template of theirs, however it is numbered."""
    return lambda it: it.show(name, crops=False).templates[0].id


WITH_NUMBERS: dict[str, Asked] = {
    "one of Cleo's templates": lambda it: it.template("Cleo", first_of("Cleo")(it)),
    "a template that Dora had": lambda it: it.template("Dora", first_of("Ann")(it)),
    "a template split off": lambda it: it.split("Cléo Dubois", [first_of("Cléo Dubois")(it)], "Dora"),
    "Dora split off from herself": lambda it: it.split("Dora", [first_of("Dora")(it)], "Dora"),
    "a template removed": lambda it: it.remove("Ann", [it.show("Ann", crops=False).templates[1].id]),
}

THREE = draw(*((number, (16.0 * number, 8.0, 12.0, 12.0)) for number in (1, 3, 5)), size=(128, 48))

FACES: dict[str, Asked] = {
    "three faces": lambda it: it.identify(THREE, k=5),
    "a stranger": lambda it: it.identify(portrait(40), k=3),
    "two pictures of one": lambda it: it.verify(portrait(6), portrait(6, shade=2)),
}


def outcome(step: Asked, it: FaceClient) -> object:
    try:
        return plain(step(it))
    except RequestError as error:
        return str(code_of(error)), without_numbers(str(error))
    except ServerRefused as error:
        return str(error.code), without_numbers(error.message)


def plain(value: Any) -> Any:
    """Everything but numbers of things and what a clock said."""
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    return {
        field.name: plain(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.name not in (*CLOCKED, *OF_SQLITE_ALONE) and not is_number(field.name, getattr(value, field.name))
    }


def is_number(name: str, value: object) -> bool:
    return name in NUMBERED and isinstance(value, int)


def without_numbers(message: str) -> str:
    return re.sub(r"\d+", "#", message)


def differences(one: Any, other: Any, where: str) -> list[str]:
    """Where two outcomes differ, by more than TOLERANCE for numbers that are not whole."""
    if isinstance(one, float) and isinstance(other, float):
        return [] if math.isclose(one, other, abs_tol=TOLERANCE) else [f"{where}: {one} and {other}"]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{where}.{key}")]
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for at, (mine, theirs) in pairs for found in differences(mine, theirs, f"{where}[{at}]")]
    return [] if one == other else [f"{where}: {one} and {other}"]


def test_a_life_is_the_same_in_sqlite_and_in_milvus(tmp_path: Path, milvus: Milvus) -> None:
    address = MilvusAddress("127.0.0.1", milvus.port, f"life_{uuid.uuid4().hex}", timeout_s=PATIENCE_S)
    life = {**LIFE, **WITH_NUMBERS, **FACES}
    assert list(life)[: len(LIFE)] == list(LIFE)
    with (
        living_service(tmp_path / "inside.db") as (service, _),
        living_server(tmp_path / "outside.db") as by_file,
        MilvusGallery.create(address, SPEC) as gallery,
        serving(gallery) as by_milvus,
        by_file.client() as file,
        by_milvus.client() as there,
    ):
        within = FaceClient(transport=InProcess(service))
        for name, step in life.items():
            here, by_socket, in_milvus = (outcome(step, client) for client in (within, file, there))
            assert differences(here, by_socket, name) == []
            assert differences(here, in_milvus, name) == []
            refused = in_milvus[0] if isinstance(in_milvus, tuple) else None
            assert refused == REFUSED.get(name), name
