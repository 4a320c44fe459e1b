"""Strategies for album requests that refuse some values, for the codec's round trips."""

from __future__ import annotations

from hypothesis import strategies as st

from facewire.protocol import album_messages as album

_numbers = st.integers(0, 2**53)
_some_numbers = st.lists(_numbers, min_size=1, max_size=4).map(tuple)
_names = st.text(max_size=20)
_pages = {"offset": _numbers, "limit": st.integers(1, album.MAX_ALBUM_PAGE)}
_maybe = st.none() | _numbers
_wanted = st.builds(album.AlbumWanted, faces=_some_numbers)

REFUSING = {
    album.AlbumList: st.builds(album.AlbumList, **_pages),
    album.AlbumAddZip: st.builds(album.AlbumAddZip, offset=_numbers),
    album.AlbumPhotos: st.builds(album.AlbumPhotos, person=_maybe, **_pages),
    album.AlbumPhoto: st.builds(album.AlbumPhoto, size=st.integers(0, album.MAX_THUMBNAIL)),
    album.AlbumFace: st.builds(album.AlbumFace, size=st.integers(16, 1024)),
    album.AlbumFaces: st.builds(album.AlbumFaces, person=_maybe, photo=_maybe, **_pages),
    album.AlbumPeople: st.builds(album.AlbumPeople, **_pages),
    album.AlbumMerge: st.builds(
        album.AlbumMerge, people=st.lists(_numbers, min_size=2, max_size=4, unique=True).map(tuple)
    ),
    album.AlbumSplit: st.builds(album.AlbumSplit, faces=_some_numbers),
    album.AlbumMove: st.builds(album.AlbumMove, faces=_some_numbers),
    album.AlbumNot: st.builds(album.AlbumNot, faces=_some_numbers),
    album.AlbumDifferent: st.builds(
        album.AlbumDifferent, people=st.lists(_numbers, min_size=2, max_size=2, unique=True).map(tuple)
    ),
    album.AlbumHistory: st.builds(album.AlbumHistory, **_pages),
    album.AlbumSuggest: st.builds(album.AlbumSuggest, limit=st.integers(1, album.MAX_ALBUM_PAGE)),
    album.AlbumEnrol: st.builds(
        album.AlbumEnrol, templates=st.integers(1, 100), accept=st.sampled_from([(), ("blurred",), ("all",)])
    ),
    album.AlbumSearch: st.builds(
        album.AlbumSearch, wanted=st.lists(_wanted, min_size=1, max_size=2).map(tuple), **_pages
    ),
    album.AlbumExport: st.builds(
        album.AlbumExport, people=st.lists(_numbers).map(tuple), photos=st.just(()), wanted=st.just(())
    ),
    album.AlbumExportRead: st.builds(
        album.AlbumExportRead, offset=_numbers, size=st.integers(1, album.MAX_EXPORT_READ)
    ),
}
