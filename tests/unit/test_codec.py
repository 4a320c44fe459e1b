"""The codec: what a request may look like, and how each wrong one is called."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from facewire.protocol.codec import (
    REQUEST_LIMITS,
    RawSuccess,
    as_result,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from facewire.protocol.errors import BadMessage, ErrorCode, InvalidRequest, ProtocolError, UnsupportedOp
from facewire.protocol.gallery_messages import People
from facewire.protocol.messages import Failure, Identify, Ping, Pong, Progress, Request, Success
from facewire.protocol.schema import from_plain, to_plain, without_defaults
from tests.support.msgpacked import pack, unpacked


def packed(*pairs: tuple[object, object], **fields: object) -> bytes:
    return pack(dict([*pairs, *fields.items()]))


def error_of(payload: bytes) -> ProtocolError:
    with pytest.raises(ProtocolError) as caught:
        decode_request(payload)
    return caught.value


class TestRequests:
    def test_op_and_id_have_defaults(self) -> None:
        assert decode_request(packed(image=b"jpeg")) == Request(0, Identify(b"jpeg"))

    def test_defaults_are_not_sent_so_that_older_servers_are_not_asked_for_what_they_lack(self) -> None:
        assert unpacked(encode_request(Request(3, People(limit=7)))) == {"id": 3, "op": "people", "limit": 7}

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"image": "text"}, "'image' must be binary, not a string"),
            ({"image": None}, "'image' must be binary, not nil"),
            ({"image": b"", "k": True}, "'k' must be an integer, not a boolean"),
            ({"image": b"", "k": 1.0}, "'k' must be an integer, not a number"),
            ({"image": b"", "emotion": 1}, "'emotion' must be a boolean, not an integer"),
            ({"op": "hello", "token": b"x"}, "'token' must be a string, not binary"),
            ({"op": 5}, "'op' must be a string"),
            ({"op": None}, "'op' must be a string"),
        ],
    )
    def test_a_wrong_type_is_a_bad_message_with_the_id(self, fields: dict[str, object], told: str) -> None:
        error = error_of(packed(id=77, **fields))
        assert isinstance(error, BadMessage)
        assert str(error) == told
        assert error.request_id == 77

    @pytest.mark.parametrize("number", [-1, True, 1.0, "1", None, [1]])
    def test_the_id_is_an_unsigned_integer(self, number: object) -> None:
        error = error_of(packed(id=number, op="ping"))
        assert isinstance(error, BadMessage)
        assert error.request_id == 0

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"op": "identify"}, "missing key 'image'"),
            ({"op": "verify", "image": b""}, "missing key 'other'"),
            ({"image": b"", "colour": 1}, "unknown key 'colour'; known here: image, k, emotion"),
            ({"op": "ping", "image": b""}, "unknown key 'image'; known here: none"),
            ({"image": b"", "k": 0}, "'k' must be from 1 to 100, not 0"),
            ({"image": b"", "k": 2**64 - 1}, "'k' must be from 1 to 100"),
            ({"op": "people", "limit": 1001}, "'limit' must be from 1 to 1000"),
        ],
    )
    def test_what_can_not_be_served_is_an_invalid_request_with_the_id(self, fields: dict[str, Any], told: str) -> None:
        error = error_of(packed(id=78, **fields))
        assert isinstance(error, InvalidRequest)
        assert str(error).startswith(told)
        assert error.request_id == 78

    def test_an_unknown_op_is_told_in_part(self) -> None:
        error = error_of(packed(id=79, op="x" * 1000))
        assert isinstance(error, UnsupportedOp)
        assert error.request_id == 79
        assert "x" * 32 in str(error)
        assert "x" * 33 not in str(error)


class TestStructure:
    """Limits hold before memory is spent: no payload here makes msgpack build a thing."""

    @pytest.mark.parametrize(
        "payload",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"\xc1", id="the unused byte"),
            pytest.param(b"\x93\x01\x02\x03", id="an array"),
            pytest.param(b"\xa3abc", id="a string"),
            pytest.param(b"\x80\x80", id="two maps"),
            pytest.param(b"\x81\xa2id", id="half a map"),
            pytest.param(b"\xde\x00", id="half a header"),
            pytest.param(b"\x81\x05\x05", id="a key that is a number"),
            pytest.param(b"\x81\xc4\x02id\x05", id="a key that is binary"),
            pytest.param(b"\x81\xa2id\xc7\x01\x05\x00", id="an ext type"),
            pytest.param(b"\x81\xa2id\xd6\xff\x00\x00\x00\x00", id="a timestamp"),
            pytest.param(b"\x81\xa2op\xa2\xff\xfe", id="not UTF-8"),
            pytest.param(b"\x82\xa2id\x01\xa2id\x02", id="a key twice"),
            pytest.param(b"\x81\xa1x\x82\xa1y\x01\xa1y\x02", id="a nested key twice"),
            pytest.param(b"\x81\xd9\x41" + b"k" * 65 + b"\x01", id="a long key"),
            pytest.param(b"\x81\xa2op\xda\x10\x01" + b"x" * 4097, id="a long string"),
            pytest.param(b"\x81\xa1x\xdc\x10\x01" + b"\xc0" * 4097, id="a large array"),
            pytest.param(b"\x81\xa1x\x98" + (b"\xdc\x08\x00" + b"\x80" * 2048) * 8, id="many small things"),
            pytest.param(b"\x81\xa1x" * 9 + b"\xc0", id="nine maps deep"),
            pytest.param(b"\x81\xa1x" + b"\x91" * 1_000_000 + b"\xc0", id="a million arrays deep"),
        ],
    )
    def test_refused(self, payload: bytes) -> None:
        assert isinstance(error_of(payload), BadMessage)

    @pytest.mark.parametrize("header", [b"\xdf", b"\x81\xa1x\xdd", b"\x81\xa1x\xdb", b"\x81\xa1x\xc6", b"\xdb"])
    def test_a_header_that_claims_4294967295_elements_costs_nothing(self, header: bytes) -> None:
        tracemalloc.start()
        error = error_of(header + b"\xff\xff\xff\xff" + bytes(1000))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert isinstance(error, BadMessage)
        assert peak < 50_000

    def test_eight_levels_and_4096_elements_are_within_the_limits(self) -> None:
        nested: object = [None] * REQUEST_LIMITS.container
        for _ in range(REQUEST_LIMITS.depth - 2):
            nested = [nested]
        assert isinstance(error_of(packed(op="ping", x=nested)), InvalidRequest)  # understood; the key is what is wrong


class TestAnswers:
    def test_a_failure_says_when_to_come_back_only_if_it_knows(self) -> None:
        plain = Failure(1, ErrorCode.NO_FACE, "none")
        assert "retry_after_ms" not in unpacked(encode_answer(plain))["error"]
        assert decode_answer(encode_answer(plain)) == plain
        busy = Failure(1, ErrorCode.BUSY, "later", 250)
        assert decode_answer(encode_answer(busy)) == busy

    def test_progress(self) -> None:
        progress = Progress(4, 1, 2, {"file": "a.jpg"})
        assert decode_answer(encode_answer(progress)) == progress

    def test_unknown_keys_of_a_newer_server_are_passed_over(self) -> None:
        raw = decode_answer(packed(id=1, ok=True, result={"version": 2, "new": [1]}, also="this"))
        assert isinstance(raw, RawSuccess)
        assert as_result(Ping, raw) == Pong(2)

    def test_an_unknown_code_of_a_newer_server_reads_as_internal(self) -> None:
        answer = decode_answer(packed(id=1, ok=False, error={"code": "on_fire", "message": "help"}))
        assert answer == Failure(1, ErrorCode.INTERNAL, "on_fire: help")

    @pytest.mark.parametrize(
        "fields",
        [
            {"ok": True, "result": {}},
            {"id": 1},
            {"id": 1, "ok": 1, "result": {}},
            {"id": 1, "ok": True},
            {"id": 1, "ok": True, "result": []},
            {"id": 1, "ok": False},
            {"id": 1, "ok": False, "error": {"code": "busy"}},
            {"id": 1, "progress": {"done": 1}},
        ],
    )
    def test_what_is_no_answer_is_a_bad_message(self, fields: dict[str, Any]) -> None:
        with pytest.raises(BadMessage):
            decode_answer(packed(**fields))

    def test_a_result_that_does_not_fit_is_a_bad_message(self) -> None:
        raw = RawSuccess(5, {"people": [{"name": 3, "templates": 1}], "total": 1})
        with pytest.raises(BadMessage, match=r"'people\[0\]\.name' must be a string") as caught:
            as_result(People, raw)
        assert caught.value.request_id == 5

    def test_what_is_no_wire_type_is_refused_when_writing(self) -> None:
        with pytest.raises(TypeError):
            encode_answer(Success(1, Pong(object())))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Inner:
    name: str
    size: float = 1.0


@dataclass(frozen=True, slots=True)
class _Shape:
    """Every kind of field that a later operation may use."""

    images: tuple[bytes, ...]
    mode: Literal["fast", "good"] = "fast"
    inner: _Inner | None = None
    pair: tuple[int, int] = (0, 0)
    weights: Mapping[str, float] | None = None


class TestShapes:
    full = _Shape((b"a", b"b"), "good", _Inner("x", 2.5), (1, 2), {"a": 0.5})

    def test_round_trip(self) -> None:
        for plain in (to_plain(self.full), without_defaults(self.full)):
            assert from_plain(_Shape, plain, strict=True) == self.full
        assert without_defaults(_Shape(())) == {"images": []}

    @pytest.mark.parametrize(
        ("fields", "kind", "told"),
        [
            ({"images": b"a"}, BadMessage, "'images' must be an array, not binary"),
            ({"images": [b"a", "b"]}, BadMessage, r"'images\[1\]' must be binary"),
            ({"images": [], "mode": "bad"}, InvalidRequest, "'mode' must be one of fast, good"),
            ({"images": [], "mode": 1}, BadMessage, "'mode' must be a string"),
            ({"images": [], "inner": {}}, InvalidRequest, "missing key 'inner.name'"),
            ({"images": [], "inner": {"name": "x", "nome": 1}}, InvalidRequest, "unknown key 'inner.nome'"),
            ({"images": [], "inner": {"name": "x", "size": True}}, BadMessage, "'inner.size' must be a number"),
            ({"images": [], "pair": [1]}, BadMessage, "'pair' must have 2 elements, not 1"),
            ({"images": [], "weights": {"a": "b"}}, BadMessage, "'weights.a' must be a number"),
        ],
    )
    def test_nested_errors_name_the_place(self, fields: dict[str, Any], kind: type[Exception], told: str) -> None:
        with pytest.raises(kind, match=told):
            from_plain(_Shape, fields, strict=True)

    def test_an_integer_stands_for_a_whole_number(self) -> None:
        assert from_plain(_Inner, {"name": "x", "size": 3}, strict=True) == _Inner("x", 3.0)

    def test_a_field_that_no_message_may_have_is_found_when_it_is_first_read(self) -> None:
        @dataclass(frozen=True, slots=True)
        class Choice:
            value: "int | str"  # noqa: UP037

        with pytest.raises(TypeError):
            from_plain(Choice, {"value": 1}, strict=True)


def test_ping_needs_nothing() -> None:
    assert decode_request(encode_request(Request(1, Ping()))) == Request(1, Ping())
