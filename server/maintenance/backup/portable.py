"""Exports people and templates to files that any program can read, and imports them: JSON and npz, no pickle
(docs/portable-format.md)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import FacewireError, ModelMismatch, StartError
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.gallery.search.index import check_unit
from facewire.server.gallery.storage import journal
from facewire.server.gallery.storage.schema import CURRENT_SPEC_ID
from facewire.server.gallery.storage.store import LITTLE_ENDIAN, Store, Written
from facewire.server.names import person_name, tidy
from facewire.server.spec import EmbeddingSpec

FORMAT, VERSION = "facewire-people", 1
PEOPLE_FILE, ARRAYS_FILE = "people.json", "templates.npz"
LARGEST_JSON = 2**30
"""Bytes, enough for about two million templates. Larger files are rejected."""

_IMAGE = ("id", "sha256", "size", "path", "source", "width", "height", "created", "fingerprint")


class Unreadable(FacewireError):
    """Not an export, or a damaged one; the message says why."""


@dataclass(frozen=True, slots=True)
class Portion:
    """How much was written or read; `present`: pictures that the gallery already had."""

    people: int
    images: int
    templates: int
    present: int = 0


def export(store: Store, folder: Path, names: Sequence[str] = ()) -> Portion:
    """Write everybody, or the people with these names, to `folder`, which must not exist; it appears only when
    complete.

    Raises StartError for an unknown name or an existing folder, OSError.
    """
    if folder.exists():
        raise StartError(f"{folder} exists already: name a new folder", exit_code=2)
    with store.reading():
        people, embeddings, crops = _collected(store, [tidy(name) for name in names])
    document = {"format": FORMAT, "version": VERSION, "spec": json.loads(store.spec.to_json()), "people": people}
    folder.parent.mkdir(parents=True, exist_ok=True)
    room = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))  # readable by the owner only
    try:
        (room / PEOPLE_FILE).write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
        lengths = np.array([len(crop) for crop in crops], dtype=np.int64)
        np.savez(
            room / ARRAYS_FILE,
            embeddings=np.stack(embeddings) if embeddings else np.zeros((0, store.spec.dimension), LITTLE_ENDIAN),
            crops=np.frombuffer(b"".join(crops), dtype=np.uint8),
            crop_ends=np.cumsum(lengths),
        )
        os.rename(room, folder)  # noqa: PTH104 - beside os.replace, which does the same to files
    finally:
        shutil.rmtree(room, ignore_errors=True)
    images = sum(len(person["images"]) for person in people)
    return Portion(len(people), images, len(embeddings))


def _collected(
    store: Store, names: Sequence[str]
) -> tuple[list[dict[str, Any]], list[NDArray[np.float32]], list[bytes]]:
    chosen = [person for person in store.people() if not names or person.name in names]
    missing = set(names) - {person.name for person in chosen}
    if missing:
        raise StartError(f"nobody called {', '.join(sorted(missing))} is enrolled", exit_code=2)
    people, embeddings, crops = [], list[NDArray[np.float32]](), list[bytes]()
    for person in chosen:
        images = []
        query = f"SELECT {', '.join(_IMAGE)} FROM images WHERE person_id = ? ORDER BY id"
        for row in store.execute(query, (person.id,)).fetchall():
            image = dict(zip(_IMAGE, row, strict=True))
            templates = _templates(store, image.pop("id"), person.id, embeddings, crops)
            fingerprint = image.pop("fingerprint")
            image["fingerprint"] = None if fingerprint is None else fingerprint.hex()
            if templates:
                images.append(image | {"templates": templates})
        people.append({"name": person.name, "created": person.created, "images": images})
    return people, embeddings, crops


def _templates(
    store: Store, image_id: int, person_id: int, embeddings: list[NDArray[np.float32]], crops: list[bytes]
) -> list[dict[str, Any]]:
    rows = store.execute(
        "SELECT t.x, t.y, t.w, t.h, t.landmarks, t.detection, t.embedding, c.jpeg"
        " FROM templates t INDEXED BY templates_by_image"
        " LEFT JOIN crops c ON c.id = t.id WHERE t.image_id = ? AND t.person_id = ?"
        f" AND t.spec_id = {CURRENT_SPEC_ID} ORDER BY t.id",
        (image_id, person_id),
    ).fetchall()
    templates = []
    for x, y, w, h, landmarks, detection, embedding, crop in rows:
        templates.append(
            {"row": len(embeddings), "box": [x, y, w, h], "landmarks": json.loads(landmarks), "detection": detection}
        )
        embeddings.append(np.frombuffer(embedding, dtype=LITTLE_ENDIAN))
        crops.append(crop or b"")
    return templates


def read_spec(folder: Path) -> EmbeddingSpec:
    """The spec of an export. Raises Unreadable."""
    return _spec(_document(folder))


def import_into(store: Store, folder: Path) -> Portion:
    """Enrol everybody in an export, in one transaction and one event, which can be undone.

    Pictures that a person already has are skipped. Raises Unreadable, or ModelMismatch if the export has another spec;
    nothing was changed then.
    """
    people = read(folder, store.spec)
    images = templates = present = 0
    with store.transaction():
        store.require_spec()
        draft = journal.begin(store, "import")
        try:
            for name, pictures in people:
                enrolled = store.ensure_person(name)
                draft.subjects.append(enrolled)
                for picture in pictures:
                    written: Written | None = store.add_picture(enrolled.id, picture)
                    present += written is None
                    images += written is not None
                    templates += len(written.template_ids) if written else 0
        except OverflowError as error:  # SQLite's numbers have 64 bits
            raise Unreadable(f"{folder / PEOPLE_FILE} is damaged: {error}") from error
        draft.detail |= {"images": images, "templates": templates}
        journal.finish(store, draft)
    return Portion(len(people), images, templates, present)


def read(folder: Path, wanted: EmbeddingSpec) -> list[tuple[str, list[NewPicture]]]:
    """Everybody in an export for a gallery of this spec, with their pictures. Raises Unreadable and ModelMismatch."""
    document = _document(folder)
    spec = _spec(document)
    if spec != wanted:
        raise ModelMismatch(
            f"{folder} holds embeddings of {spec.model} ({spec.fingerprint}), the gallery those of {wanted.model}"
            f" ({wanted.fingerprint}): they can't be compared. Import into a gallery of that model, or enrol the"
            " pictures with scripts/create_db.py"
        )
    arrays = _arrays(folder, spec)
    try:
        return [
            (person_name(person["name"]), [_picture(image, arrays) for image in person["images"]])
            for person in document["people"]
        ]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise Unreadable(f"{folder / PEOPLE_FILE} is damaged: {type(error).__name__} {error}") from error


@dataclass(frozen=True, slots=True, eq=False)
class _Arrays:
    embeddings: NDArray[np.float32]
    crops: bytes
    ends: NDArray[np.int64]

    def crop(self, row: int) -> bytes | None:
        begin = int(self.ends[row - 1]) if row else 0
        return self.crops[begin : int(self.ends[row])] or None


def _document(folder: Path) -> dict[str, Any]:
    path = folder / PEOPLE_FILE
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise Unreadable(f"{path} is too large to be an export")
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Unreadable(f"{folder} is not an export: it has no {PEOPLE_FILE}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise Unreadable(f"{path} can't be read: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or "people" not in document:
        raise Unreadable(f"{path} is not a facewire export")
    if document.get("version") != VERSION:
        raise Unreadable(f"{path} is version {document.get('version')}; this facewire reads {VERSION}: update it")
    return document


def _spec(document: dict[str, Any]) -> EmbeddingSpec:
    try:
        return EmbeddingSpec.from_json(json.dumps(document["spec"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"the export names a model that this version can't read: {error}") from error


def _arrays(folder: Path, spec: EmbeddingSpec) -> _Arrays:
    path = folder / ARRAYS_FILE
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as npz:
            arrays = _Arrays(npz["embeddings"], npz["crops"].tobytes(), npz["crop_ends"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise Unreadable(f"{path} can't be read: {error}") from error
    shape, ends = arrays.embeddings.shape, arrays.ends
    if arrays.embeddings.dtype != LITTLE_ENDIAN or len(shape) != 2 or shape[1] != spec.dimension:
        raise Unreadable(f"{path} holds no float32 embeddings of {spec.dimension} dimensions")
    if ends.shape != shape[:1] or ends.dtype != np.int64 or np.any(np.diff(ends, prepend=0) < 0):
        raise Unreadable(f"{path} is damaged: its crops don't fit its embeddings")
    try:
        check_unit(arrays.embeddings, spec.dimension)
    except ValueError as error:
        raise Unreadable(f"{path} is damaged: {error}") from error
    return arrays


def _picture(image: dict[str, Any], arrays: _Arrays) -> NewPicture:
    fingerprint = image["fingerprint"]
    return NewPicture(
        sha256=str(image["sha256"]),
        size_bytes=int(image["size"]),
        path=str(image["path"]),
        width=int(image["width"]),
        height=int(image["height"]),
        templates=tuple(_template(template, arrays) for template in image["templates"]),
        source=None if image["source"] is None else str(image["source"]),
        fingerprint=None if fingerprint is None else bytes.fromhex(fingerprint),
    )


def _template(template: dict[str, Any], arrays: _Arrays) -> NewTemplate:
    row = template["row"]
    if not isinstance(row, int) or not 0 <= row < len(arrays.embeddings):
        raise IndexError(f"there is no row {row}")
    x, y, w, h = map(float, template["box"])
    landmarks = tuple((float(x), float(y)) for x, y in template["landmarks"])
    return NewTemplate(arrays.embeddings[row], (x, y, w, h), landmarks, float(template["detection"]), arrays.crop(row))
