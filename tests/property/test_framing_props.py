"""Any frames, in any pieces."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from facewire.protocol.errors import FrameError
from facewire.protocol.framing import FrameDecoder, encode_frame

EXAMPLES = settings(max_examples=100, derandomize=True, deadline=None)

payloads = st.lists(st.binary(min_size=1, max_size=200), max_size=8)


@EXAMPLES
@given(payloads, st.data())
def test_any_chunking_gives_the_same_frames(sent: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(payload) for payload in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20).map(sorted))
    decoder = FrameDecoder()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        decoder.feed(stream[start:end])
        while (frame := decoder.next_frame()) is not None:
            received.append(frame)
    decoder.finish()
    assert received == sent


@EXAMPLES
@given(st.binary(max_size=300), st.integers(1, 64))
def test_random_bytes_give_frames_or_a_frame_error(stream: bytes, max_frame: int) -> None:
    decoder = FrameDecoder(max_frame)
    decoder.feed(stream)
    try:
        while (frame := decoder.next_frame()) is not None:
            assert 0 < len(frame) <= max_frame
        decoder.finish()
    except FrameError:
        return
