"""Hypothesis strategies for album requests with restricted values, for the codec's round trips."""

from __future__ import annotations

from hypothesis import strategies as st

from facewire.protocol.albums.adding import AlbumAdd, AlbumAddZip
from facewire.protocol.albums.collection import MAX_ALBUM_PAGE, AlbumList
from facewire.protocol.albums.correcting import (
    AlbumDifferent,
    AlbumHide,
    AlbumHistory,
    AlbumMerge,
    AlbumMove,
    AlbumNot,
    AlbumSplit,
    AlbumStranger,
    AlbumSuggest,
    AlbumUndo,
)
from facewire.protocol.albums.drawing import AlbumDrawFace, AlbumRedrawFace
from facewire.protocol.albums.enrolling import AlbumEnrol
from facewire.protocol.albums.export import MAX_EXPORT_READ, AlbumExport, AlbumExportRead
from facewire.protocol.albums.looking import (
    MAX_THUMBNAIL,
    AlbumDays,
    AlbumFace,
    AlbumFaces,
    AlbumFavourite,
    AlbumNames,
    AlbumPeople,
    AlbumPhoto,
    AlbumPhotos,
)
from facewire.protocol.albums.search import AlbumSearch, AlbumWanted

_numbers = st.integers(0, 2**53)
_some_numbers = st.lists(_numbers, min_size=1, max_size=4).map(tuple)
_names = st.text(max_size=20)
_pages = {"offset": _numbers, "limit": st.integers(1, MAX_ALBUM_PAGE)}
_maybe = st.none() | _numbers
_day = st.just("") | st.dates().map(str)
_days = {"since": _day, "until": _day}
_box = st.tuples(*[st.floats(0.5, 1e6)] * 4)
_wanted = st.builds(AlbumWanted, faces=_some_numbers)

REFUSING = {
    AlbumList: st.builds(AlbumList, **_pages),
    AlbumAdd: st.builds(AlbumAdd, sidecars=st.lists(st.binary(max_size=9), max_size=4).map(tuple)),
    AlbumAddZip: st.builds(AlbumAddZip, offset=_numbers),
    AlbumPhotos: st.builds(AlbumPhotos, person=_maybe, **_pages, **_days),
    AlbumDays: st.builds(AlbumDays, person=_maybe, **_pages, **_days),
    AlbumPhoto: st.builds(AlbumPhoto, size=st.integers(0, MAX_THUMBNAIL)),
    AlbumFace: st.builds(AlbumFace, size=st.integers(16, 1024)),
    AlbumFaces: st.builds(AlbumFaces, person=_maybe, photo=_maybe, **_pages),
    AlbumFavourite: st.builds(AlbumFavourite, photos=_some_numbers),
    AlbumNames: st.builds(AlbumNames, limit=st.integers(1, MAX_ALBUM_PAGE)),
    AlbumPeople: st.builds(AlbumPeople, **_pages),
    AlbumMerge: st.builds(AlbumMerge, people=st.lists(_numbers, min_size=2, max_size=4, unique=True).map(tuple)),
    AlbumSplit: st.builds(AlbumSplit, faces=_some_numbers),
    AlbumMove: st.builds(AlbumMove, faces=_some_numbers),
    AlbumNot: st.builds(AlbumNot, faces=_some_numbers),
    AlbumDifferent: st.builds(
        AlbumDifferent, people=st.lists(_numbers, min_size=2, max_size=2, unique=True).map(tuple)
    ),
    AlbumDrawFace: st.builds(AlbumDrawFace, box=_box, person=st.none() | st.integers(1, 2**53), name=st.just("")),
    AlbumRedrawFace: st.builds(AlbumRedrawFace, box=_box),
    AlbumUndo: st.builds(AlbumUndo, last=st.none() | st.integers(1, 2**53)),
    AlbumStranger: st.builds(AlbumStranger, people=_some_numbers),
    AlbumHide: st.one_of(
        st.builds(AlbumHide, person=_numbers, people=st.just(())),
        st.builds(AlbumHide, person=st.none(), people=_some_numbers),
    ),
    AlbumHistory: st.builds(AlbumHistory, **_pages),
    AlbumSuggest: st.builds(AlbumSuggest, limit=st.integers(1, MAX_ALBUM_PAGE), person=_maybe),
    AlbumEnrol: st.builds(
        AlbumEnrol, templates=st.integers(1, 100), accept=st.sampled_from([(), ("blurred",), ("all",)])
    ),
    AlbumSearch: st.builds(AlbumSearch, wanted=st.lists(_wanted, min_size=1, max_size=2).map(tuple), **_pages, **_days),
    AlbumExport: st.builds(
        AlbumExport, people=st.lists(_numbers).map(tuple), photos=st.just(()), wanted=st.just(()), **_days
    ),
    AlbumExportRead: st.builds(AlbumExportRead, offset=_numbers, size=st.integers(1, MAX_EXPORT_READ)),
}
