"""Builds into a gallery in Milvus.

There is no one transaction: pictures move in steps, each an event of its own that can be undone. A build that was cut
off between them is resumed by the next, which finds what is there already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set

import numpy as np

from facewire.server.errors import ModelMismatch
from facewire.server.gallery.address import MilvusAddress
from facewire.server.gallery.milvus.building import Building, NewFace, StoredPicture
from facewire.server.gallery.records import Counts
from facewire.server.maintenance.build.plan import Before, Enrolled, Held, Relink, names_alike
from facewire.server.maintenance.build.staging import Staging
from facewire.server.maintenance.build.target import nothing_held
from facewire.server.spec import EmbeddingSpec


class MilvusTarget:
    """See `Target`. Pictures are numbered in the order they come from Milvus, for one build."""

    def __init__(self, address: MilvusAddress) -> None:
        self._address = address
        self._building = Building(address)
        self._pictures: list[StoredPicture] = []

    def before(self) -> Before:
        if self._building.spec is None:
            return Before(None, [])
        self._pictures = list(self._building.pictures())
        return Before(self._building.spec, [_enrolled(at, one) for at, one in enumerate(self._pictures)])

    def held(self, spec: EmbeddingSpec, most: int) -> Held | None:
        if self._building.spec is None:
            return nothing_held(spec)
        if self._building.counts().templates > most:
            return None
        embeddings, names = self._building.held()
        return Held(embeddings, np.full(len(names), -1, np.int64), names)

    def take(self, staging: Staging, relinks: Sequence[Relink], removed: Sequence[int], *, rebuild: bool) -> None:
        spec = staging.spec
        if rebuild or self._building.spec is None:
            self._building.create(spec)
        elif self._building.spec != spec:
            raise ModelMismatch(f"{self._address} was rebuilt for another model meanwhile")
        if not rebuild:
            self._building.relink(
                [(self._pictures[one.image_id], one.source, one.path, one.mtime_ns) for one in relinks]
            )
            self._building.remove([self._pictures[number] for number in removed])
        self._building.add(NewFace(name, picture) for name, picture in staging.contents())

    def create(self, spec: EmbeddingSpec) -> None:
        self._building.create(spec)

    def counts(self) -> Counts | None:
        return None if self._building.spec is None else self._building.counts()

    def shared(self, source: str) -> Iterable[tuple[str, str]]:
        owners: dict[str, set[str]] = defaultdict(set)
        mine: list[StoredPicture] = []
        for picture in self._now():
            owners[picture.sha256].add(picture.person)
            mine += [picture] if picture.source == source else []
        return sorted((picture.path, other) for picture in mine for other in owners[picture.sha256] - {picture.person})

    def alike(self, names: Set[str]) -> list[tuple[str, ...]]:
        return [] if self._building.spec is None else names_alike(self._building.names(), names)

    def close(self) -> None:
        self._building.close()

    def _now(self) -> Iterator[StoredPicture]:
        return iter(()) if self._building.spec is None else self._building.pictures()


def _enrolled(number: int, picture: StoredPicture) -> Enrolled:
    return Enrolled(
        number, picture.person, picture.source, picture.path, picture.size_bytes, picture.mtime_ns, picture.sha256,
        picture.fingerprint,
    )  # fmt: skip
