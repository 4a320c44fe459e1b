"""Files larger than a frame: videos and ZIPs that are sent in pieces, exports that are read in pieces."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from facewire.client.transport import OnProgress, Transport
from facewire.protocol.albums.adding import AlbumAdded, AlbumAddVideo, AlbumAddZip, AlbumIngested
from facewire.protocol.albums.export import EXPORT_READ, AlbumExported, AlbumExportRead
from facewire.protocol.formats import HEAD_BYTES, video_format_of

ZIP_PIECE = 1024 * 1024  # bytes of an uploaded ZIP a frame: as `export_read` the other way
VIDEO_PIECE = 1024 * 1024  # bytes of a video that is sent in pieces, a frame
LARGEST_WHOLE_VIDEO = 8 * 1024 * 1024  # bytes: a line of 2.5 Mbit/s sends it within the 30 s that a frame may take

OnBytes = Callable[[int], None]
"""Hears how many bytes have arrived."""


def is_large_video(head: bytes, size: int) -> bool:
    """Is a file of `size` bytes that begins with `head` a video that is sent in pieces?"""
    return size > LARGEST_WHOLE_VIDEO and video_format_of(head[:HEAD_BYTES]) is not None


def send_video(
    transport: Transport,
    album: str,
    name: str,
    file: BinaryIO,
    size: int,
    modified: str,
    on_sent: OnBytes | None,
    on_progress: OnProgress | None,
) -> AlbumAdded:
    """Sends `size` bytes of `file`, from where it stands. Raises EOFError for a file that is shorter."""
    upload, received = "", 0
    while True:
        piece = file.read(min(VIDEO_PIECE, size - received))
        if not piece:
            raise EOFError(f"the file has only {received} of {size} bytes")
        last = received + len(piece) == size
        body = AlbumAddVideo(album, name, size, piece, upload, received, modified)
        taken = transport.ask(body, on_progress if last else None)
        upload, received = taken.upload, received + len(piece)
        if on_sent is not None:
            on_sent(received)
        if taken.added is not None:
            return taken.added


def send_zip(
    transport: Transport,
    album: str,
    file: BinaryIO,
    metadata: bool,
    on_sent: OnBytes | None,
    on_progress: OnProgress | None,
) -> AlbumIngested:
    """Sends a ZIP to its end."""
    upload, received, piece = "", 0, file.read(ZIP_PIECE)
    while True:
        following = file.read(ZIP_PIECE)
        last = not following
        body = AlbumAddZip(album, piece, upload, received, last, metadata)
        taken = transport.ask(body, on_progress if last else None)
        upload, received = taken.upload, taken.received
        if on_sent is not None:
            on_sent(received)
        if taken.ingested is not None:
            return taken.ingested
        piece = following


def read_export(transport: Transport, export: AlbumExported, offset: int) -> Iterator[bytes]:
    """The ZIP's bytes from `offset` on."""
    while offset < export.size_bytes:
        piece = transport.ask(AlbumExportRead(export.export, offset, EXPORT_READ))
        offset += len(piece.data)
        yield piece.data


def save_export(transport: Transport, export: AlbumExported, path: Path, on_bytes: OnBytes | None) -> None:
    """Writes the ZIP to `path`, continuing where an earlier try stopped."""
    part = path.with_name(f"{path.name}.{export.export[:12]}.part")
    with part.open("ab") as file:
        file.seek(0, io.SEEK_END)
        if file.tell() > export.size_bytes:
            file.truncate(0)
        if on_bytes is not None:
            on_bytes(file.tell())
        for data in read_export(transport, export, file.tell()):
            file.write(data)
            if on_bytes is not None:
                on_bytes(file.tell())
    part.replace(path)
