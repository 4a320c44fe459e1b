"""Every message travels unchanged, and no bytes at all get more out of the codec than a ProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facewire.protocol.codec import (
    ANSWER_LIMITS,
    Limits,
    RawSuccess,
    as_result,
    check_limits,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from facewire.protocol.errors import BadMessage, ErrorCode, ProtocolError
from facewire.protocol.gallery_messages import Enrol, History, Merge, People, Remove, Show, Split, Undo
from facewire.protocol.messages import Failure, Identify, Progress, Request, RequestBody, Success
from facewire.protocol.schema import REQUEST_OF, answer_of
from facewire.protocol.videos import IdentifyVideo
from tests.support import album_messages
from tests.support.msgpacked import pack

EXAMPLES = settings(max_examples=60, derandomize=True, deadline=None)

ids = st.integers(0, 2**64 - 1)
floats = st.floats(allow_nan=False)
texts = st.text(max_size=20)
numbers = st.integers(1, 2**53)
st.register_type_strategy(float, floats)
st.register_type_strategy(int, st.integers(-(2**63), 2**64 - 1))

special = {
    Identify: st.builds(Identify, k=st.integers(1, 100)),
    IdentifyVideo: st.builds(IdentifyVideo, k=st.integers(1, 100)),
    Enrol: st.builds(Enrol, image=st.binary(), labels=st.just(()))
    | st.builds(
        Enrol, images=st.lists(st.binary(), min_size=1, max_size=3).map(tuple), labels=st.just(()), at=st.none()
    ),
    People: st.builds(People, offset=st.integers(0, 2**53), limit=st.integers(1, 1000)),
    Show: st.builds(Show, offset=st.integers(0, 2**53), limit=st.integers(1, 100)),
    Merge: st.builds(Merge, names=st.lists(texts, min_size=1, max_size=3).map(tuple)),
    Split: st.builds(Split, templates=st.lists(numbers, min_size=1, max_size=3).map(tuple)),
    Remove: st.builds(Remove, templates=st.lists(numbers, max_size=3).map(tuple)),
    Undo: st.builds(Undo, count=st.integers(1, 100), last=st.none() | numbers),
    History: st.builds(History, limit=st.integers(1, 1000), before=st.none() | numbers),
    **album_messages.REFUSING,
}
bodies = st.one_of([special.get(shape, st.builds(shape)) for shape in REQUEST_OF.values()])
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(texts, inner, max_size=5),
    max_leaves=20,
)


@EXAMPLES
@given(ids, bodies)
def test_requests_travel_unchanged(number: int, body: RequestBody) -> None:
    request = Request(number, body)
    assert decode_request(encode_request(request)) == request


@pytest.mark.parametrize("op", sorted(REQUEST_OF))
def test_results_travel_unchanged(op: str) -> None:
    @settings(max_examples=15, derandomize=True, deadline=None)
    @given(ids, st.builds(answer_of(REQUEST_OF[op])))
    def travels(number: int, result: object) -> None:
        raw = decode_answer(encode_answer(Success(number, result)))
        assert isinstance(raw, RawSuccess)
        assert raw.id == number
        assert as_result(REQUEST_OF[op], raw) == result

    travels()


@EXAMPLES
@given(ids, st.sampled_from(ErrorCode), texts, st.none() | st.integers(0, 2**32))
def test_failures_travel_unchanged(number: int, code: ErrorCode, message: str, wait: int | None) -> None:
    failure = Failure(number, code, message, wait)
    assert decode_answer(encode_answer(failure)) == failure


@EXAMPLES
@given(ids, st.integers(0, 2**32), st.integers(0, 2**32))
def test_progress_travels_unchanged(number: int, done: int, total: int) -> None:
    assert decode_answer(encode_answer(Progress(number, done, total))) == Progress(number, done, total)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=80) | plain.map(pack) | st.dictionaries(texts, plain).map(pack))
def test_random_bytes_raise_protocol_errors_only(payload: bytes) -> None:
    for decode in (decode_request, decode_answer):
        try:
            decode(payload)
        except ProtocolError:
            continue


@EXAMPLES
@given(st.dictionaries(st.sampled_from(["id", "op", "image", "other", "k", "emotion", "limit", "token"]), plain))
def test_random_values_under_known_keys_raise_protocol_errors_only(fields: dict[str, object]) -> None:
    try:
        decode_request(pack(fields))
    except ProtocolError as error:
        number = fields.get("id")
        if type(number) is int and number >= 0:
            assert error.request_id in (number, 0)


@EXAMPLES
@given(st.dictionaries(texts, plain))
def test_the_structure_check_agrees_with_msgpack(fields: dict[str, object]) -> None:
    payload = pack(fields)
    check_limits(payload, ANSWER_LIMITS)
    for wrong in (payload[:-1], payload + b"\xc0"):
        with pytest.raises(BadMessage):
            check_limits(wrong, ANSWER_LIMITS)


def _measure(value: object) -> tuple[int, int]:
    """The slow, obvious oracle: how deep, and how many keys and values."""
    if not isinstance(value, (dict, list)):
        return 0, 0
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    measured = [_measure(item) for item in inner]
    return 1 + max((d for d, _ in measured), default=0), len(inner) + sum(n for _, n in measured)


@EXAMPLES
@given(st.dictionaries(texts, plain), st.integers(1, 4), st.integers(0, 12))
def test_depth_and_elements_are_counted_exactly(fields: dict[str, object], depth: int, elements: int) -> None:
    limits = Limits(depth=depth, elements=elements, container=1000, text=1000, key=1000)
    deep, many = _measure(fields)
    payload = pack(fields)
    if deep <= depth and many <= elements:
        check_limits(payload, limits)
    else:
        with pytest.raises(BadMessage):
            check_limits(payload, limits)
