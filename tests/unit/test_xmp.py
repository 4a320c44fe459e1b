"""XMP from strangers: every form of a region that programs write, and nothing from what is hostile."""

from __future__ import annotations

import pytest

from facewire.server.albums.packets import packets
from facewire.server.albums.regions import Area
from facewire.server.albums.xmp import Region, regions_of, with_people

ADA = Region("Ada", Area(0.25, 0.5, 0.25, 0.5))
ROOT = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/" '
    'xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#" xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#" '
    'xmlns:MP="http://ns.microsoft.com/photo/1.2/" xmlns:MPRI="http://ns.microsoft.com/photo/1.2/t/RegionInfo#" '
    'xmlns:MPReg="http://ns.microsoft.com/photo/1.2/t/Region#">{}</rdf:Description></rdf:RDF></x:xmpmeta>'
)
AREA = 'stArea:x="0.25" stArea:y="0.5" stArea:w="0.25" stArea:h="0.5" stArea:unit="normalized"'
REGION = f'<rdf:li mwg-rs:Name="Ada" mwg-rs:Type="Face"><mwg-rs:Area {AREA}/></rdf:li>'
MWG = (
    '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag>{}</rdf:Bag></mwg-rs:RegionList>{}'
    "</mwg-rs:Regions>"
)
FORMS = {
    "Lightroom": MWG.format(
        '<rdf:li><rdf:Description mwg-rs:Rotation="0.00000" mwg-rs:Name="Ada" mwg-rs:Type="Face">'
        f"<mwg-rs:Area {AREA}/></rdf:Description></rdf:li>",
        "",
    ),
    "digiKam": MWG.format(REGION, ""),
    "elements": MWG.format(
        '<rdf:li rdf:parseType="Resource"><mwg-rs:Area rdf:parseType="Resource"><stArea:x>0.25</stArea:x>'
        "<stArea:y>0.5</stArea:y><stArea:w>0.25</stArea:w><stArea:h>0.5</stArea:h></mwg-rs:Area>"
        "<mwg-rs:Name>Ada</mwg-rs:Name></rdf:li>",
        "",
    ),
    "Microsoft": '<MP:RegionInfo rdf:parseType="Resource"><MPRI:Regions><rdf:Bag><rdf:li '
    'MPReg:Rectangle="0.125, 0.25, 0.25, 0.5" MPReg:PersonDisplayName="Ada"/></rdf:Bag></MPRI:Regions></MP:RegionInfo>',
}


def read(inside: str) -> list[Region]:
    return regions_of(ROOT.format(inside).encode(), 400, 300)


@pytest.mark.parametrize("form", FORMS)
def test_a_region_is_read_in_every_form(form: str) -> None:
    assert read(FORMS[form]) == [ADA]


@pytest.mark.parametrize(
    ("size", "found"),
    [((4000, 3000), [ADA]), ((300, 400), [Region("Ada", ADA.area, shown=True)]), ((400, 400), []), ((0, 0), [ADA])],
)
def test_regions_are_of_the_size_that_they_name(size: tuple[int, int], found: list[Region]) -> None:
    region = f'<rdf:li mwg-rs:Name="Ada"><mwg-rs:Area {AREA}/></rdf:li>'
    applied = f'<mwg-rs:AppliedToDimensions stDim:w="{size[0]}" stDim:h="{size[1]}" stDim:unit="pixel"/>'
    assert read(MWG.format(region, applied)) == found


@pytest.mark.parametrize(
    "region",
    [
        f'<rdf:li mwg-rs:Name="Rex" mwg-rs:Type="Pet"><mwg-rs:Area {AREA}/></rdf:li>',
        f'<rdf:li mwg-rs:Type="Face"><mwg-rs:Area {AREA}/></rdf:li>',
        f'<rdf:li mwg-rs:Name="Ada"><mwg-rs:Area {AREA.replace("0.25", "nan")}/></rdf:li>',
        f'<rdf:li mwg-rs:Name="Ada"><mwg-rs:Area {AREA.replace("0.25", "9")}/></rdf:li>',
        '<rdf:li mwg-rs:Name="Ada"><mwg-rs:Area stArea:x="0.5"/></rdf:li>',
        '<rdf:li mwg-rs:Name="Ada"/>',
    ],
)
def test_what_is_no_named_face_is_passed_over(region: str) -> None:
    assert read(MWG.format(region + REGION, "")) == [ADA]


NAMED_F = ROOT.format(FORMS["digiKam"].replace("Ada", "&f;")).encode()
LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10 if n else "ha"}">' for n in range(10))


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\0" * 100,
        b"not XML at all",
        ROOT.format(FORMS["digiKam"]).encode()[:-20],
        f"<!DOCTYPE x [{LAUGHS}]>{ROOT.format(FORMS['digiKam'].replace('Ada', '&l9;'))}".encode(),
        b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>' + NAMED_F,
        ROOT.format("<a>" * 100 + "</a>" * 100 + FORMS["digiKam"]).encode(),
        ROOT.format("<a/>" * 120_000 + FORMS["digiKam"]).encode(),
        ROOT.format(FORMS["digiKam"] + " " * 2**21).encode(),
        b'<?xml version="1.0" encoding="utf-99"?>' + ROOT.format(FORMS["digiKam"]).encode(),
    ],
    ids=["empty", "zeros", "text", "cut", "laughs", "file", "deep", "wide", "long", "encoding"],
)
def test_hostile_xmp_costs_its_names_and_nothing_else(packet: bytes) -> None:
    assert regions_of(packet, 400, 300) == []


def test_a_copy_says_who_is_there_and_keeps_the_rest() -> None:
    theirs = ROOT.replace(
        '<rdf:Description rdf:about=""', '<rdf:Description rdf:about="" xmlns:ns1="urn:&amp;" ns1:a="&lt;"'
    )
    pet = REGION.replace("Ada", "Rex").replace("Face", "Pet")
    rest = '<e xmlns="urn:two" xml:lang="de">5 &gt; 4</e>' + MWG.format(REGION + pet, "") + FORMS["Microsoft"]
    ours = ROOT.format(MWG.format(REGION.replace("Ada", "Ben &amp; Bo"), "")).encode()
    merged = with_people(theirs.format(rest).encode(), ours)
    assert regions_of(merged, 400, 300) == [Region("Ben & Bo", ADA.area)]
    for kept in (b'xmlns:ns1="urn:&amp;"', b'ns1:a="&lt;"', b'xml:lang="de">5 &gt; 4<', b"Rex"):
        assert kept in merged
    assert b"Ada" not in merged
    assert regions_of(with_people(merged, ours), 400, 300) == [Region("Ben & Bo", ADA.area)]


def test_a_packet_continued_in_other_segments_is_put_together() -> None:
    guid, whole = b"0123456789ABCDEF0123456789ABCDEF", ROOT.format(FORMS["digiKam"]).encode()
    main = ROOT.format(f'<n:E xmlns:n="http://ns.adobe.com/xmp/note/">{guid.decode()}</n:E>').encode()
    parts = [(at, whole[at : at + 400]) for at in range(0, len(whole), 400)]
    stray = (2**31, b"beyond")

    def segment(body: bytes) -> bytes:
        return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body

    def extension(at: int, part: bytes) -> bytes:
        place = len(whole).to_bytes(4, "big") + at.to_bytes(4, "big")
        return segment(b"http://ns.adobe.com/xmp/extension/\0" + guid + place + part)

    data = b"\xff\xd8" + segment(b"http://ns.adobe.com/xap/1.0/\0" + main)
    data += b"".join(extension(*part) for part in (stray, *reversed(parts))) + b"\xff\xd9"
    assert packets(data) == [main, whole]
    assert regions_of(packets(data)[1], 400, 300) == [ADA]
