"""Faces with names in XMP: regions of the Metadata Working Group, and of Microsoft (MP:RegionInfo).

XMP comes with pictures, and so from strangers. It is read by expat without a document type, so it has no entities; what
is too large, too deep or not XML says nothing. The forms of RDF that exiftool, digiKam, Lightroom and Windows write are
read alike: properties as elements or attributes, structures as `rdf:Description` or with `rdf:parseType`.
"""

from __future__ import annotations

import math
import xml.parsers.expat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from xml.sax.saxutils import escape, quoteattr

from facewire.protocol.albums.adding import LARGEST_SIDECAR
from facewire.server.albums.regions import Area

MOST_NODES, DEPTH = 100_000, 60
MOST_REGIONS = 200

_XML = "http://www.w3.org/XML/1998/namespace"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_MWG = "http://www.metadataworkinggroup.com/schemas/regions/ Regions"
_MICROSOFT = "http://ns.microsoft.com/photo/1.2/ RegionInfo"


@dataclass(frozen=True, slots=True)
class Region:
    """A face with a name; `area`: of the picture as stored, or as shown if `shown`."""

    name: str
    area: Area
    shown: bool = False


@dataclass(slots=True)
class _Node:
    """An element; names are "namespace local"."""

    tag: str
    attributes: dict[str, str]
    children: list[_Node] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.texts)


class Refused(Exception):
    """This is not read, because it is too much or more than XML."""


def regions_of(packet: bytes, width: int, height: int) -> list[Region]:
    """The faces that a packet names; `width`, `height`: of the picture as stored.

    MWG says which size its regions are of. Where that is the size of the picture as shown, they are of that; where it
    has other proportions, the picture was cropped since, and they lie nowhere.
    """
    try:
        root, _ = _parsed(packet)
    except (Refused, xml.parsers.expat.ExpatError, ValueError, LookupError):
        return []
    found: list[Region] = []
    for node in _all(root):
        if node.tag == _MWG:
            found += _of_mwg(_fields(node), width, height)
        elif node.tag == _MICROSOFT:
            found += _of_microsoft(_fields(node))
    return found[:MOST_REGIONS]


# ---- XML


def _parsed(packet: bytes) -> tuple[_Node, dict[str, str]]:
    """What holds the packet's element, and the prefixes of the namespaces. Raises Refused, and what expat raises."""
    if len(packet) > LARGEST_SIDECAR:
        raise Refused
    parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    root = _Node("", {})
    open_ones, nodes = [root], 0
    prefixes: dict[str, str] = {}

    def begin(tag: str, attributes: dict[str, str]) -> None:
        nonlocal nodes
        nodes += 1 + len(attributes)
        if nodes > MOST_NODES or len(open_ones) > DEPTH:
            raise Refused
        node = _Node(tag, attributes)
        open_ones[-1].children.append(node)
        open_ones.append(node)

    def end(_: str) -> None:
        open_ones.pop()

    def text(data: str) -> None:
        open_ones[-1].texts.append(data)

    def prefixed(prefix: str | None, namespace: str | None) -> None:
        if prefix and namespace and prefix not in prefixes.values():
            prefixes.setdefault(namespace, prefix)

    def refuse(*_: object) -> None:
        raise Refused

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = begin, end, text
    parser.StartNamespaceDeclHandler = prefixed
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.Parse(packet.strip(b"\0"), True)
    return root, prefixes


def _written(root: _Node, prefixes: dict[str, str]) -> str:
    """The element as XML; all prefixes are declared by the outermost one."""
    names = dict(prefixes)

    def name(tag: str) -> str:
        namespace, _, local = tag.rpartition(" ")
        if not namespace or namespace == _XML:
            return f"xml:{local}" if namespace else local
        if namespace not in names:
            free = (f"ns{number}" for number in count())
            names[namespace] = next(prefix for prefix in free if prefix not in names.values())
        return f"{names[namespace]}:{local}"

    def attribute(key: str, value: str) -> str:
        return f" {name(key)}={quoteattr(value)}"

    def element(node: _Node, declared: str = "") -> str:
        attributes = "".join(attribute(key, value) for key, value in node.attributes.items())
        inside = "".join(map(element, node.children)) or escape(node.text)
        return f"<{name(node.tag)}{declared}{attributes}>{inside}</{name(node.tag)}>"

    element(root)  # so that every namespace has its prefix
    return element(root, "".join(f" xmlns:{prefix}={quoteattr(uri)}" for uri, prefix in names.items()))


def _all(root: _Node) -> Iterator[_Node]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed(node.children)


# ---- RDF


def _fields(node: _Node) -> dict[str, _Node]:
    """The properties of a structure by their local names, however they are written."""
    fields = {
        _local(name): _Node(name, {}, texts=[value])
        for name, value in node.attributes.items()
        if " " in name and not name.startswith(_RDF)
    }
    for child in node.children:
        if child.tag == f"{_RDF} Description":
            fields |= _fields(child)
        else:
            fields[_local(child.tag)] = child
    return fields


def _items(node: _Node | None) -> list[_Node]:
    """The members of a bag, a sequence, or alternatives."""
    if node is None:
        return []
    containers = [child for child in node.children if child.tag in _CONTAINERS]
    return [item for container in containers for item in container.children if item.tag == f"{_RDF} li"]


_CONTAINERS = tuple(f"{_RDF} {kind}" for kind in ("Bag", "Seq", "Alt"))


def _text(node: _Node | None) -> str:
    """A text, or the first of its alternatives."""
    if node is None:
        return ""
    items = _items(node)
    return (items[0] if items else node).text.strip()


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


# ---- regions


def _of_mwg(fields: dict[str, _Node], width: int, height: int) -> Iterator[Region]:
    applied = fields.get("AppliedToDimensions")
    shown = _is_of_the_shown(_numbers(_fields(applied), "w", "h"), width, height) if applied is not None else False
    if shown is None:
        return
    for item in _items(fields.get("RegionList")):
        one = _fields(item)
        name, kind, place = _text(one.get("Name")), _text(one.get("Type")), one.get("Area")
        if not name or kind not in ("", "Face") or place is None:
            continue
        corners = _fields(place)
        numbers = _numbers(corners, "x", "y", "w", "h")
        if numbers is not None and _text(corners.get("unit")) in ("", "normalized") and _is_area(*numbers):
            yield Region(name, Area(*numbers), shown)


def _is_of_the_shown(applied: Sequence[float] | None, width: int, height: int) -> bool | None:
    """Are regions of a picture of this size relative to it as shown? None: it is another picture."""
    if applied is None or min(applied) <= 0:
        return False
    ratio = math.log(applied[0] / applied[1])
    if abs(ratio - math.log(width / height)) < _SAME_RATIO:
        return False
    return True if abs(ratio - math.log(height / width)) < _SAME_RATIO else None


_SAME_RATIO = 0.03  # of the logarithms of two proportions: rounding of small pictures


def _of_microsoft(fields: dict[str, _Node]) -> Iterator[Region]:
    """`Rectangle`: left, top, width and height as parts of the picture."""
    for item in _items(fields.get("Regions")):
        one = _fields(item)
        name, parts = _text(one.get("PersonDisplayName")), _text(one.get("Rectangle")).split(",")
        numbers = [_number(part) for part in parts]
        if name and len(numbers) == 4 and None not in numbers:
            x, y, w, h = (number or 0.0 for number in numbers)
            if _is_area(x + w / 2, y + h / 2, w, h):
                yield Region(name, Area(x + w / 2, y + h / 2, w, h))


def _is_area(x: float, y: float, w: float, h: float) -> bool:
    return 0 <= x <= 1 and 0 <= y <= 1 and 0 < w <= 1 and 0 < h <= 1


def _numbers(fields: dict[str, _Node], *names: str) -> list[float] | None:
    numbers = [number for name in names if (number := _number(_text(fields.get(name)))) is not None]
    return numbers if len(numbers) == len(names) else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


# ---- writing


def with_people(theirs: bytes, ours: bytes) -> bytes:
    """The packet `theirs` with what `ours` says of people in place of its own; of its regions, those that are no faces
    stay. Raises Refused, and what expat raises."""
    root, prefixes = _parsed(theirs)
    told, more = _parsed(ours)
    into = next((node for node in _all(root) if node.tag == f"{_RDF} RDF"), None)
    source = next(node for node in _all(told) if node.tag == f"{_RDF} RDF")
    if into is None or len(root.children) != 1:
        raise Refused
    kept = [item for node in _all(into) if node.tag == _MWG for item in _no_faces(node)]
    for description in into.children:
        description.children = [child for child in description.children if child.tag not in _OF_PEOPLE]
    bag = next(node for node in _all(source) if node.tag == f"{_MWG_NAMESPACE} RegionList").children[0]
    bag.children += kept
    into.children += source.children
    for namespace, prefix in more.items():
        if prefix not in prefixes.values():
            prefixes.setdefault(namespace, prefix)
    return _packet(_written(root.children[0], prefixes))


def as_packet(sidecar: bytes) -> bytes:
    """What a sidecar of ours says, as it stands in a picture."""
    root, prefixes = _parsed(sidecar)
    return _packet(_written(root.children[0], prefixes))


def _packet(text: str) -> bytes:
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{text}<?xpacket end="w"?>'.encode()


def _no_faces(regions: _Node) -> list[_Node]:
    items = _items(_fields(regions).get("RegionList"))
    return [item for item in items if _text(_fields(item).get("Type")) not in ("", "Face")]


_MWG_NAMESPACE = _MWG.partition(" ")[0]
_OF_PEOPLE = (_MWG, _MICROSOFT, "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ PersonInImage")
