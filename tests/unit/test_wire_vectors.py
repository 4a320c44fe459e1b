"""The test vectors of protocol/README.md, read from there: what we publish is what we do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from facewire.protocol.codec import (
    RawSuccess,
    as_result,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from facewire.protocol.errors import ErrorCode, ProtocolError
from facewire.protocol.framing import FrameDecoder, encode_frame
from facewire.protocol.messages import Answer, Success
from facewire.protocol.schema import REQUEST_OF, to_plain

README = Path(__file__).parents[2] / "protocol" / "README.md"


def vectors(*directions: str) -> list[Any]:
    (block,) = re.findall(
        r"^## Test vectors$.*?^```json$(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    return [pytest.param(v, id=v["name"]) for v in json.loads(block) if v["direction"] in directions]


def with_binary(value: Any) -> Any:
    """`{"bin": hex}` as the bytes it stands for."""
    if isinstance(value, dict):
        return bytes.fromhex(value["bin"]) if set(value) == {"bin"} else {k: with_binary(v) for k, v in value.items()}
    return [with_binary(item) for item in value] if isinstance(value, list) else value


def only_frame(data: bytes) -> bytes:
    decoder = FrameDecoder()
    decoder.feed(data)
    payload = decoder.next_frame()
    decoder.finish()
    assert payload is not None
    return payload


@pytest.mark.parametrize("vector", vectors("request"))
def test_a_request_is_read_and_written_as_published(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    request = decode_request(only_frame(data))
    message = with_binary(vector["message"])
    assert request.id == message.pop("id", 0)
    assert request.body.op == message.pop("op", "identify")
    assert {key: value for key, value in to_plain(request.body).items() if key in message} == message
    assert (encode_frame(encode_request(request)) == data) is vector.get("canonical", True)


@pytest.mark.parametrize("vector", vectors("answer"))
def test_an_answer_is_read_and_written_as_published(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["hex"])
    raw = decode_answer(only_frame(data))
    answer: Answer = Success(raw.id, as_result(REQUEST_OF[vector["op"]], raw)) if isinstance(raw, RawSuccess) else raw
    message = with_binary(vector["message"])
    assert answer.id == message["id"]
    if isinstance(answer, Success):
        assert to_plain(answer.result) == message["result"]
    assert (encode_frame(encode_answer(answer)) == data) is vector.get("canonical", True)


@pytest.mark.parametrize("vector", vectors("broken"))
def test_a_broken_stream_is_refused_as_published(vector: dict[str, Any]) -> None:
    decoder = FrameDecoder()
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(bytes.fromhex(vector["hex"]))
        payload = decoder.next_frame()
        if payload is None:
            decoder.finish()
        else:
            decode_request(payload)
    assert caught.value.code == vector["code"]
    assert caught.value.request_id == vector["id"]


def test_the_readme_names_every_operation_and_code() -> None:
    text = README.read_text("utf-8")
    assert [name for name in (*REQUEST_OF, *ErrorCode) if f"`{name}`" not in text] == []
