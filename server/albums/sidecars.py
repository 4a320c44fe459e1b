"""Metadata exported with the photos: names and positions of faces, as XMP and JSON."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from html import escape
from typing import BinaryIO, Literal

from facewire.protocol.albums.looking import AlbumFaceEntry, AlbumPhotoEntry
from facewire.server.albums.regions import Area
from facewire.server.vision.image import lies


@dataclass(frozen=True, slots=True)
class ExportedPhoto:
    """An exported photo. `path`: in the ZIP; `names`: all names under which it was added; `orientation`: by which EXIF
    has the stored picture turned."""

    path: str
    entry: AlbumPhotoEntry
    names: tuple[str, ...]
    faces: tuple[AlbumFaceEntry, ...]
    orientation: int

    @property
    def people(self) -> list[str]:
        """The names of the people it shows, each once."""
        return list(dict.fromkeys(face.name for face in self.faces if face.name is not None))


def as_json(photo: ExportedPhoto, metadata: Literal["embedded", "sidecar"] | None) -> dict[str, object]:
    """A photo's entry in labels.json. Boxes are x, y, width, height in pixels of the upright photo; `metadata`: where
    its names are, None if it has none."""
    return {
        "file": photo.path,
        "names": list(photo.names),
        "sha256": photo.entry.sha256,
        "width": photo.entry.width,
        "height": photo.entry.height,
        "state": photo.entry.state,
        "taken": photo.entry.taken,
        "metadata": metadata,
        "people": photo.people,
        "faces": [
            {
                "face": face.face,
                "box": list(face.box),
                "detection": face.detection,
                "person": face.person,
                "name": face.name,
                "placed": face.placed,
                "drawn": face.drawn,
            }
            for face in photo.faces
        ],
    }


def as_xmp(photo: ExportedPhoto) -> bytes:
    """An XMP sidecar: the names as IPTC's PersonInImage, the faces as regions of the Metadata Working Group.

    Regions are relative to the photo as it is stored, whose size is in AppliedToDimensions.
    """
    people = "".join(f"<rdf:li>{escape(name, quote=False)}</rdf:li>" for name in photo.people)
    regions = "".join(_region(face, photo) for face in photo.faces if face.name is not None)
    width, height = photo.entry.width, photo.entry.height
    if lies(photo.orientation):
        width, height = height, width
    size = f'stDim:w="{width}" stDim:h="{height}" stDim:unit="pixel"'
    return _XMP.format(people=people, regions=regions, size=size).encode()


def _region(face: AlbumFaceEntry, photo: ExportedPhoto) -> str:
    area = Area.of(face.box, photo.entry.width, photo.entry.height).as_stored(photo.orientation)
    numbers = " ".join(f'stArea:{key}="{getattr(area, key):.6f}"' for key in "xywh")
    return (
        '<rdf:li rdf:parseType="Resource">'
        f'<mwg-rs:Area {numbers} stArea:unit="normalized"/>'
        f"<mwg-rs:Name>{escape(face.name or '', quote=False)}</mwg-rs:Name><mwg-rs:Type>Face</mwg-rs:Type></rdf:li>"
    )


class LabelsFile:
    """labels.json, written incrementally."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = 0
        self._crc32 = 0
        self._begun = False

    def add(self, photo: dict[str, object]) -> None:
        """Adds a photo."""
        self._write(",\n" if self._begun else '{"photos": [\n')
        self._begun = True
        self._write(json.dumps(photo, ensure_ascii=False))

    def end(self, head: dict[str, object]) -> tuple[int, int]:
        """Finishes the file with `head`. Returns its size and CRC-32."""
        self._write("" if self._begun else '{"photos": [')
        self._write("],\n" + json.dumps(head, ensure_ascii=False, indent=1).removeprefix("{"))
        return self._size, self._crc32

    def _write(self, text: str) -> None:
        data = text.encode()
        self._file.write(data)
        self._size += len(data)
        self._crc32 = zlib.crc32(data, self._crc32)


_XMP = """<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="facewire">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about=""
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
 xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
 xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#">
<Iptc4xmpExt:PersonInImage><rdf:Bag>{people}</rdf:Bag></Iptc4xmpExt:PersonInImage>
<mwg-rs:Regions rdf:parseType="Resource">
<mwg-rs:AppliedToDimensions {size}/>
<mwg-rs:RegionList><rdf:Bag>{regions}</rdf:Bag></mwg-rs:RegionList>
</mwg-rs:Regions>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
"""
