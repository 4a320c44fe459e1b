"""Frames: every way that bytes can arrive, and every way that a frame can be wrong."""

from __future__ import annotations

import tracemalloc

import pytest

from facewire.protocol.errors import EmptyFrame, ErrorCode, ForeignProtocol, FrameTooLarge, TruncatedFrame
from facewire.protocol.framing import SMALL, FrameDecoder, encode_frame


def test_a_frame_is_four_bytes_of_length_and_the_payload() -> None:
    assert encode_frame(b"abc") == b"\x00\x00\x00\x03abc"


def test_byte_by_byte() -> None:
    decoder = FrameDecoder()
    frames = []
    for byte in encode_frame(b"abc") + encode_frame(b"d"):
        decoder.feed(bytes([byte]))
        frames.append(decoder.next_frame())
    assert frames == [None] * 6 + [b"abc"] + [None] * 4 + [b"d"]


def test_two_frames_and_a_half_at_once() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(b"one") + encode_frame(b"two") + encode_frame(b"three")[:6])
    assert [decoder.next_frame(), decoder.next_frame(), decoder.next_frame()] == [b"one", b"two", None]
    assert decoder.inside_frame
    decoder.feed(encode_frame(b"three")[6:])
    assert decoder.next_frame() == b"three"
    assert not decoder.inside_frame
    decoder.finish()


def test_a_frame_of_the_limit_is_fine_and_one_byte_more_is_not() -> None:
    assert encode_frame(bytes(10), max_frame=10)
    with pytest.raises(FrameTooLarge):
        encode_frame(bytes(11), max_frame=10)
    decoder = FrameDecoder(max_frame=10)
    decoder.feed(encode_frame(bytes(10)))
    assert decoder.next_frame() == bytes(10)


def test_too_large_is_known_after_four_bytes_and_stays_so() -> None:
    decoder = FrameDecoder(max_frame=10)
    decoder.feed(b"\x00\x00\x00")
    assert decoder.next_frame() is None
    decoder.feed(b"\x0b")
    for _ in range(2):
        with pytest.raises(FrameTooLarge, match="11 bytes") as caught:
            decoder.next_frame()
    assert caught.value.code is ErrorCode.TOO_LARGE


def test_an_empty_frame_is_refused_on_both_sides() -> None:
    with pytest.raises(EmptyFrame):
        encode_frame(b"")
    decoder = FrameDecoder()
    decoder.feed(bytes(4))
    with pytest.raises(EmptyFrame) as caught:
        decoder.next_frame()
    assert caught.value.code is ErrorCode.BAD_FRAME


@pytest.mark.parametrize(("start", "told"), [(b"\x00", "its length"), (b"\x00\x00\x00\x05ab", "5 bytes expected, 2")])
def test_an_end_inside_a_frame_is_told(start: bytes, told: str) -> None:
    decoder = FrameDecoder()
    decoder.feed(start)
    assert decoder.next_frame() is None
    with pytest.raises(TruncatedFrame, match=told):
        decoder.finish()


def test_a_declared_length_takes_no_memory_until_bytes_arrive() -> None:
    decoder = FrameDecoder()
    tracemalloc.start()
    decoder.feed(b"\x01\xff\xff\xff")  # nearly the default limit of 32 MiB
    assert decoder.next_frame() is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000


def test_a_large_frame_in_tiny_pieces_is_copied_in_linear_time() -> None:
    # Quadratic copying would move 2 MiB * 32,768 / 2 = 34 GB here, some minutes' worth; linear takes no second.
    payload = bytes(2 * 2**20)
    frame = encode_frame(payload)
    decoder = FrameDecoder()
    for start in range(0, len(frame), 64):
        decoder.feed(frame[start : start + 64])
        if start + 64 < len(frame):
            assert decoder.next_frame() is None
    assert decoder.next_frame() == payload


@pytest.mark.parametrize("size", [SMALL, SMALL + 1, SMALL + 5, 3 * SMALL])
@pytest.mark.parametrize("piece", [1000, 64 * 1024, 10**9])
def test_small_and_large_frames_follow_each_other_however_they_are_cut(size: int, piece: int) -> None:
    payloads = [b"before", bytes(range(256)) * (size // 256) + b"x" * (size % 256), b"after"]
    stream = b"".join(map(encode_frame, payloads))
    decoder = FrameDecoder()
    found = []
    for start in range(0, len(stream), piece):
        decoder.feed(stream[start : start + piece])
        while (payload := decoder.next_frame()) is not None:
            found.append(payload)
    assert found == payloads
    assert not decoder.inside_frame
    decoder.finish()


def test_an_end_inside_a_large_frame_is_told() -> None:
    decoder = FrameDecoder()
    decoder.feed(encode_frame(bytes(2 * SMALL))[:-3])
    assert decoder.next_frame() is None
    assert decoder.announced == 2 * SMALL
    with pytest.raises(TruncatedFrame, match=f"{2 * SMALL} bytes expected, {2 * SMALL - 3} arrived"):
        decoder.finish()
    decoder.drop()
    assert decoder.arrived == 0


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"GET / HTTP/1.1", "HTTP"), (b"HTTP/1.0 400", "HTTP"), (b"<!DOCTYPE", "HTTP"), (b"\x16\x03\x01\x02", "TLS")],
)
def test_another_protocol_is_known_by_its_first_bytes(start: bytes, name: str) -> None:
    decoder = FrameDecoder()
    decoder.feed(start)
    with pytest.raises(ForeignProtocol, match=f"this is {name}") as caught:
        decoder.next_frame()
    assert (caught.value.protocol, caught.value.code) == (name, ErrorCode.TOO_LARGE)
