"""What is fuzzed: the code that reads strangers' bytes, and what must hold whatever the bytes are.

A target takes bytes. It must end soon, and raise nothing: every error that the code documents is expected, any other
exception is a find.
"""

from __future__ import annotations

import io
import json
import os
import socket
import ssl
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from facewire.protocol.address import parse_address
from facewire.protocol.codec import as_result, decode_answer, decode_request, encode_answer, encode_request
from facewire.protocol.errors import ErrorCode, FrameError, ProtocolError
from facewire.protocol.framing import FrameDecoder, encode_frame
from facewire.protocol.gallery_messages import Enrol, People, PeopleListed, PersonEntry
from facewire.protocol.messages import (
    Failure,
    Hello,
    Identify,
    Ping,
    Pong,
    Progress,
    Request,
    RequestBody,
    Success,
    Verify,
)
from facewire.protocol.schema import REQUEST_OF
from facewire.protocol.tls import NotTls, TlsChannel, TlsFailed
from facewire.server.access.gate import Gate
from facewire.server.access.token_file import TokenFile, read_tokens
from facewire.server.access.tokens import Limits, master
from facewire.server.access.usage import Cost, Usage
from facewire.server.albums.settings import AlbumLimits
from facewire.server.albums.zips import PhotoZip
from facewire.server.errors import BadRequest, Busy, InvalidImage, OverLimit, StartError
from facewire.server.vision.cutoff import jpeg_end
from facewire.server.vision.decoding.reading import before_looking, look
from facewire.server.vision.image import ImageLimits
from facewire.server.vision.readers import webp_mended

Target = Callable[[bytes], None]

MAX_FRAME = 4096
_LIMITS = ImageLimits()
_ZIP_LIMITS = AlbumLimits(zip_entries=50, zip_expanded=1 << 20, photo_bytes=1 << 16)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """A target, and valid inputs to begin with."""

    target: Target
    seeds: Callable[[], Iterator[bytes]]
    longest: int = 4096  # bytes of an input


def framing(data: bytes) -> None:
    """Any cuts give the same frames as the whole, and no frame is over the limit."""
    step, stream = (data[0] % 97 + 1, data[1:]) if data else (1, b"")
    whole = _frames(stream, len(stream) or 1)
    pieces = _frames(stream, step)
    assert whole == pieces, "cutting the stream elsewhere gives other frames"
    assert all(0 < len(frame) <= MAX_FRAME for frame in whole[0])


def _frames(stream: bytes, step: int) -> tuple[list[bytes], str]:
    """The frames, and the error that ended the stream."""
    decoder, frames = FrameDecoder(MAX_FRAME), []
    try:
        for at in range(0, len(stream), step):
            decoder.feed(stream[at : at + step])
            while (frame := decoder.next_frame()) is not None:
                frames.append(frame)
        decoder.finish()
    except FrameError as error:
        return frames, type(error).__name__
    return frames, ""


def codec(data: bytes) -> None:
    """What can be read as a request can be written and read again; answers are read or refused."""
    try:
        request = decode_request(data)
    except ProtocolError:
        pass
    else:
        if "nan" not in repr(request):  # which equals nothing, not even itself
            assert decode_request(encode_request(request)) == request
    with suppress(ProtocolError):
        answer = decode_answer(data)
        if not isinstance(answer, (Failure, Progress)):
            as_result(People, answer)


def headers(data: bytes) -> None:
    """A picture file's structure and header, as a child process reads them before any pixel."""
    with suppress(InvalidImage):
        before_looking(data, _LIMITS)
        header = look(data, _LIMITS)
        assert header.width * header.height <= _LIMITS.max_pixels
    assert len(webp_mended(data)) <= len(data) + (1 << 20)
    if data.startswith(b"\xff\xd8"):
        jpeg_end(data)


def zips(data: bytes) -> None:
    """A ZIP's photos are listed and unpacked within the limits, or it is refused."""
    with _as_file(data) as path, suppress(BadRequest, OverLimit), PhotoZip(path, _ZIP_LIMITS) as archive:
        assert len(archive.entries) <= _ZIP_LIMITS.zip_entries
        for entry in archive.photos():
            assert entry.data is None or len(entry.data) <= _ZIP_LIMITS.photo_bytes


def tls(data: bytes) -> None:
    """Whatever a stranger sends first, in two pieces, is waited for or refused; what is not TLS is told apart."""
    cut, sent = (data[0], data[1:]) if data else (0, b"")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        channel = TlsChannel(ours, _tls_context())
        try:
            for piece in (sent[:cut], sent[cut:]):
                theirs.sendall(piece)
                with suppress(BlockingIOError):
                    channel.shake_hands()
            theirs.shutdown(socket.SHUT_WR)
            channel.shake_hands()
        except TlsFailed as error:
            other = sent[:1] not in (b"", b"\x15", b"\x16")
            assert isinstance(error, NotTls) == other
        else:
            raise AssertionError("a handshake without keys succeeded")


@cache
def _tls_context() -> ssl.SSLContext:
    """Without a certificate, so that no handshake gets as far as costly arithmetic."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def tokens(data: bytes) -> None:
    """A file of tokens is read or refused as a whole; what was read can be used."""
    with _as_file(data) as path, suppress(StartError):
        gate = Gate(None, TokenFile(path))
        for token in read_tokens(path).values():
            gate.find(token.digest)
            with suppress(Busy):
                Usage().begin(token, Cost(1, 1000, 1))
            for names in (token.rights, token.people or (), token.albums or ()):
                "".join(sorted(names)).encode()
            assert token.name.encode()


def addresses(data: bytes) -> None:
    """An address that can be read names the same server when it is written and read again."""
    text = data.decode(errors="replace")
    with suppress(ValueError):
        address = parse_address(text)
        assert 0 < address.port < 1 << 16 and address.host
        assert parse_address(str(address)) == replace(address, tls=False)


@cache
def _scratch() -> int:
    return os.memfd_create("fuzzed")


@contextmanager
def _as_file(data: bytes) -> Iterator[Path]:
    fd = _scratch()
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)
    yield Path(f"/proc/self/fd/{fd}")


# ---- valid inputs


def _frame_seeds() -> Iterator[bytes]:
    for payload in _codec_seeds():
        if len(payload) <= MAX_FRAME:
            yield b"\x06" + encode_frame(payload) + encode_frame(b"x")
    yield b"\x01GET / HTTP/1.1\r\n\r\n"
    yield b"\x01\x16\x03\x01\x02\x00\x01\x00"


def _codec_seeds() -> Iterator[bytes]:
    bodies: list[RequestBody] = [Ping(), Hello("token"), Identify(b"picture", k=3, emotion=True)]
    bodies += [Verify(b"one", b"two", 0.001, (1.0, 2.0)), Enrol("Ada", images=(b"one", b"two")), People(10, 20, "a")]
    for number, body in enumerate(bodies):
        yield encode_request(Request(number, body))
    for op in REQUEST_OF:
        yield b"\x82\xa2id\x01\xa2op" + bytes([0xA0 | len(op)]) + op.encode()
    yield encode_answer(Success(1, Pong(server="1")))
    yield encode_answer(Success(1, PeopleListed((PersonEntry("Ada", 1, 1),), 1)))
    yield encode_answer(Progress(1, 2, 3, {"faces": 4}))
    yield encode_answer(Failure(1, ErrorCode.BUSY, "later", 500))


def _pictures() -> Iterator[bytes]:
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    for extension in (".jpg", ".png", ".webp", ".tiff", ".bmp"):
        yield cv2.imencode(extension, pixels)[1].tobytes()
    yield cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 1])[1].tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    for form in ("JPEG", "PNG", "WEBP", "TIFF", "GIF"):
        out = io.BytesIO()
        options = {"exif": exif} if form != "GIF" else {"save_all": True, "append_images": [Image.new("P", (8, 8))]}
        Image.fromarray(pixels).save(out, form, **options)
        yield out.getvalue()


def _zip_seeds() -> Iterator[bytes]:
    picture = next(_pictures())
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", method) as archive:
            archive.writestr("Trip/Zoë.jpg", picture)
            archive.writestr("__MACOSX/._Zoë.jpg", b"clutter")
            with archive.open("far.png", "w", force_zip64=True) as file:
                file.write(picture)
        yield out.getvalue()


def _hello_seeds() -> Iterator[bytes]:
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context()
        context.minimum_version = context.maximum_version = version
        arrived, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        with suppress(ssl.SSLWantReadError):
            context.wrap_bio(arrived, leaving, server_hostname="photos.example").do_handshake()
        yield b"\x09" + leaving.read()
    yield b"\x00\x15\x03\x03\x00\x02\x02\x28"  # an alert
    yield b"\x00GET / HTTP/1.1\r\n\r\n"
    yield b"\x00" + encode_frame(encode_request(Request(1, Ping())))


def _token_seeds() -> Iterator[bytes]:
    plain = asdict(master("sesame")) | {"rights": ["identify"], "people": ["Ada"], "expires": 1.5, "limits": None}
    for limits in (None, asdict(Limits())):
        yield json.dumps({"version": 1, "tokens": [plain | {"limits": limits}]}).encode()
    yield b'{"version": 1, "tokens": []}'


def _address_seeds() -> Iterator[bytes]:
    yield from (
        b"10.0.0.5",
        b"localhost:5050",
        b"facewires://photos.example:5050",
        b"facewire://[::1]:1",
        b"[fe80::1%1]:2",
    )


TARGETS = {
    "framing": Fuzzed(framing, _frame_seeds, 512),
    "codec": Fuzzed(codec, _codec_seeds, 1024),
    "headers": Fuzzed(headers, _pictures),
    "zips": Fuzzed(zips, _zip_seeds),
    "tls": Fuzzed(tls, _hello_seeds, 2048),
    "tokens": Fuzzed(tokens, _token_seeds, 1024),
    "addresses": Fuzzed(addresses, _address_seeds, 128),
}
