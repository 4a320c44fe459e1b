"""A gallery of 20,000 templates in the real Milvus: all are compared before an index has them, and all are read."""

from __future__ import annotations

import uuid
from contextlib import closing

import numpy as np
import pytest

# Where FACEWIRE_REQUIRE_MILVUS is set, tests/integration/test_milvus_server.py fails without it.
pytest.importorskip("pymilvus", reason="needs pymilvus (requirements-cluster.txt)")

from facewire.scripts.milvus_serving import HOST, Milvus
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.contract import create, drop
from facewire.server.gallery.milvus.gallery import connected
from facewire.server.gallery.milvus.tables import TEMPLATES, Stored, spread
from facewire.server.gallery.milvus.vectors import Vectors, axes_for
from tests.support.galleries import random_units, spec
from tests.support.waiting import PATIENCE_S

ROWS = 20_000
"""By default Milvus makes its interim index at fewer, in a segment that still grows: at more than 12,000. More than
Milvus answers at once."""

PROBES, DIMENSION = 60, 50


def test_new_templates_are_all_compared_and_read_before_an_index_has_them(milvus: Milvus) -> None:
    address = MilvusAddress(HOST, milvus.port, f"test_{uuid.uuid4().hex}", index="hnsw", timeout_s=PATIENCE_S)
    rng = np.random.default_rng(1)
    faces, probes = random_units(rng, ROWS, DIMENSION), random_units(rng, PROBES, DIMENSION)
    vectors = Vectors(axes_for(None, DIMENSION), None)
    with closing(connected(address)) as there:
        create(there, spec(DIMENSION), None)
        ids = [spread(at) for at in range(ROWS)]
        stored = zip(ids, vectors.stored(faces), strict=True)
        there.upsert(TEMPLATES, [Stored(one, 1, True, 0, "face.jpg", {}, vector).row() for one, vector in stored])
        there.settle()
        found = there.search(TEMPLATES, vectors.asked(vectors.coordinates(probes)), 1, ("person",))
        assert [rows[0]["id"] for rows in found] == [ids[at] for at in (probes @ faces.T).argmax(axis=1)]
        assert sorted(row["id"] for row in there.scan(TEMPLATES, "", ("id",))) == sorted(ids)
        drop(there)
