"""Metadata exported with the photos: names and positions of faces, as XMP and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

from facewire.protocol.albums.looking import AlbumFaceEntry, AlbumPhotoEntry


@dataclass(frozen=True, slots=True)
class ExportedPhoto:
    """An exported photo. `path`: in the ZIP; `names`: all names under which it was added."""

    path: str
    entry: AlbumPhotoEntry
    names: tuple[str, ...]
    faces: tuple[AlbumFaceEntry, ...]

    @property
    def people(self) -> list[str]:
        """The names of the people it shows, each once."""
        return list(dict.fromkeys(face.name for face in self.faces if face.name is not None))


def as_json(photo: ExportedPhoto) -> dict[str, object]:
    """A photo's entry in labels.json. Boxes are x, y, width, height in pixels of the upright photo."""
    return {
        "file": photo.path,
        "names": list(photo.names),
        "sha256": photo.entry.sha256,
        "width": photo.entry.width,
        "height": photo.entry.height,
        "state": photo.entry.state,
        "people": photo.people,
        "faces": [
            {
                "face": face.face,
                "box": list(face.box),
                "detection": face.detection,
                "person": face.person,
                "name": face.name,
                "placed": face.placed,
            }
            for face in photo.faces
        ],
    }


def as_xmp(photo: ExportedPhoto) -> bytes:
    """An XMP sidecar: the names as IPTC's PersonInImage, the faces as regions of the Metadata Working Group.

    Regions are relative to the upright photo, whose size is in AppliedToDimensions.
    """
    people = "".join(f"<rdf:li>{escape(name)}</rdf:li>" for name in photo.people)
    regions = "".join(_region(face, photo.entry) for face in photo.faces if face.name is not None)
    size = f'stDim:w="{photo.entry.width}" stDim:h="{photo.entry.height}" stDim:unit="pixel"'
    return _XMP.format(people=people, regions=regions, size=size).encode()


def _region(face: AlbumFaceEntry, photo: AlbumPhotoEntry) -> str:
    x, y, w, h = face.box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(photo.width, x + w), min(photo.height, y + h)
    area = (
        f'stArea:x="{(left + right) / 2 / photo.width:.6f}" stArea:y="{(top + bottom) / 2 / photo.height:.6f}" '
        f'stArea:w="{(right - left) / photo.width:.6f}" stArea:h="{(bottom - top) / photo.height:.6f}"'
    )
    return (
        '<rdf:li rdf:parseType="Resource">'
        f'<mwg-rs:Area {area} stArea:unit="normalized"/>'
        f"<mwg-rs:Name>{escape(face.name or '')}</mwg-rs:Name><mwg-rs:Type>Face</mwg-rs:Type></rdf:li>"
    )


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
