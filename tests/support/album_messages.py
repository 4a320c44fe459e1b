"""Hypothesis strategies for album requests with restricted values, for the codec's round trips."""

from __future__ import annotations

from hypothesis import strategies as st

from facewire.protocol.albums.adding import AlbumAddZip
from facewire.protocol.albums.collection import MAX_ALBUM_PAGE, AlbumList
from facewire.protocol.albums.correcting import (
    AlbumDifferent,
    AlbumHistory,
    AlbumMerge,
    AlbumMove,
    AlbumNot,
    AlbumSplit,
    AlbumSuggest,
)
from facewire.protocol.albums.enrolling import AlbumEnrol
from facewire.protocol.albums.export import MAX_EXPORT_READ, AlbumExport, AlbumExportRead
from facewire.protocol.albums.looking import MAX_THUMBNAIL, AlbumFace, AlbumFaces, AlbumPeople, AlbumPhoto, AlbumPhotos
from facewire.protocol.albums.search import AlbumSearch, AlbumWanted

_numbers = st.integers(0, 2**53)
_some_numbers = st.lists(_numbers, min_size=1, max_size=4).map(tuple)
_names = st.text(max_size=20)
_pages = {"offset": _numbers, "limit": st.integers(1, MAX_ALBUM_PAGE)}
_maybe = st.none() | _numbers
_wanted = st.builds(AlbumWanted, faces=_some_numbers)

REFUSING = {
    AlbumList: st.builds(AlbumList, **_pages),
    AlbumAddZip: st.builds(AlbumAddZip, offset=_numbers),
    AlbumPhotos: st.builds(AlbumPhotos, person=_maybe, **_pages),
    AlbumPhoto: st.builds(AlbumPhoto, size=st.integers(0, MAX_THUMBNAIL)),
    AlbumFace: st.builds(AlbumFace, size=st.integers(16, 1024)),
    AlbumFaces: st.builds(AlbumFaces, person=_maybe, photo=_maybe, **_pages),
    AlbumPeople: st.builds(AlbumPeople, **_pages),
    AlbumMerge: st.builds(AlbumMerge, people=st.lists(_numbers, min_size=2, max_size=4, unique=True).map(tuple)),
    AlbumSplit: st.builds(AlbumSplit, faces=_some_numbers),
    AlbumMove: st.builds(AlbumMove, faces=_some_numbers),
    AlbumNot: st.builds(AlbumNot, faces=_some_numbers),
    AlbumDifferent: st.builds(
        AlbumDifferent, people=st.lists(_numbers, min_size=2, max_size=2, unique=True).map(tuple)
    ),
    AlbumHistory: st.builds(AlbumHistory, **_pages),
    AlbumSuggest: st.builds(AlbumSuggest, limit=st.integers(1, MAX_ALBUM_PAGE)),
    AlbumEnrol: st.builds(
        AlbumEnrol, templates=st.integers(1, 100), accept=st.sampled_from([(), ("blurred",), ("all",)])
    ),
    AlbumSearch: st.builds(AlbumSearch, wanted=st.lists(_wanted, min_size=1, max_size=2).map(tuple), **_pages),
    AlbumExport: st.builds(AlbumExport, people=st.lists(_numbers).map(tuple), photos=st.just(()), wanted=st.just(())),
    AlbumExportRead: st.builds(AlbumExportRead, offset=_numbers, size=st.integers(1, MAX_EXPORT_READ)),
}
