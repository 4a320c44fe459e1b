"""The camera: receives frames over a websocket, identifies the newest, and drops outdated ones."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import suppress
from functools import partial

from starlette.websockets import WebSocket, WebSocketDisconnect

from facewire.client.face_client import FaceClient
from facewire.client.web.answers import FAILURES, failure
from facewire.client.web.gateway import gateway_of, session_of
from facewire.client.web.pictures import CANDIDATES
from facewire.protocol.schema import to_plain

MAX_FRAME = 4 * 1024 * 1024  # bytes of a camera frame; 1280x720 as JPEG takes 200 KB
_HEADER = struct.Struct(">I")  # before the picture: its number, repeated in the answer
_NO_BYTES, _TOO_BIG = 1003, 1009


class Newest:
    """Holds one frame. A newer one replaces it, so outdated frames are never processed."""

    def __init__(self) -> None:
        self._frame: bytes | None = None
        self._there = asyncio.Event()
        self.dropped = 0

    def put(self, frame: bytes) -> None:
        """Stores a frame, replacing one not taken yet."""
        self.dropped += self._frame is not None
        self._frame = frame
        self._there.set()

    async def take(self) -> bytes:
        """Waits for a frame."""
        await self._there.wait()
        self._there.clear()
        frame, self._frame = self._frame, None
        assert frame is not None
        return frame


async def live(socket: WebSocket) -> None:
    """Answers `{"frame": n, "dropped": n, "answer": ... or "error": ...}` for each frame processed."""
    try:
        await socket.accept()
    except WebSocketDisconnect:
        return
    newest = Newest()
    tasks = [asyncio.ensure_future(_receive(socket, newest)), asyncio.ensure_future(_answer(socket, newest))]
    _, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in unfinished:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            raise outcome


async def _receive(socket: WebSocket, newest: Newest) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        frame = message.get("bytes")
        if frame is None or not _HEADER.size < len(frame) <= MAX_FRAME:
            with suppress(RuntimeError, WebSocketDisconnect):  # closed by the browser meanwhile
                await socket.close(_NO_BYTES if frame is None else _TOO_BIG)
            return
        newest.put(frame)


async def _answer(socket: WebSocket, newest: Newest) -> None:
    gateway, session = gateway_of(socket), session_of(socket)
    while True:
        frame = await newest.take()
        (number,) = _HEADER.unpack_from(frame)
        said: dict[str, object] = {"frame": number, "dropped": newest.dropped}
        question = partial(FaceClient.identify, image=frame[_HEADER.size :], k=CANDIDATES)
        try:
            said["answer"] = to_plain(await gateway.ask(session, question))
        except FAILURES as error:
            said |= json.loads(bytes(failure(error).body))
        await socket.send_text(json.dumps(said))
