"""The loop: the newest frame, a question, events for every sink."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from facewire.client.camera.drawing import View
from facewire.client.camera.events import Event, Situation
from facewire.client.camera.frames import Camera, Frame, Lost, Opened, Over
from facewire.client.camera.observer import Observer
from facewire.client.camera.picture import Picture
from facewire.client.camera.sinks import Say, Sink
from facewire.client.errors import (
    BadCertificate,
    ClientError,
    ConnectionLost,
    Forbidden,
    ServerRefused,
    Unauthorized,
)
from facewire.client.face_client import FaceClient
from facewire.protocol.messages import EmbeddedFace, Identified

_TICK_S = 0.5  # without a frame, how often to see who has left
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0  # for a server that is away or busy

Draw = Callable[[bytes, Identified], bytes]


class CannotWatch(Exception):
    """The source is nothing that can be watched; the message says why."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`least_s`: seconds from one question to the next, at least; the server's own pace may be slower."""

    live: bool
    least_s: float


class Watching:
    """Watches one camera until it is over, or somebody ends the program."""

    def __init__(
        self, name: str, shown: str, camera: Camera, client: FaceClient, observer: Observer, sinks: Sequence[Sink],
        say: Say, pace: Pace, view: View | None = None, draw: Draw | None = None,
    ) -> None:  # fmt: skip
        """`name`: the camera's, in events; `shown`: the source, without a password."""
        self._name = name
        self._shown = shown
        self._camera = camera
        self._client = client
        self._observer = observer
        self._sinks = sinks
        self._say = say
        self._pace = pace
        self._view = view
        self._draw = draw
        self._online = False
        self._trouble = ""  # of the camera, as it was last said
        self._server_trouble = ""
        self._server_wait_s = _FIRST_WAIT_S
        self._told = Situation()
        self._last_at = 0.0

    def run(self) -> None:
        """Raises CannotWatch; ClientError for what asking again can't mend: a token, a certificate."""
        while True:
            began = time.monotonic()
            happened = self._camera.next(_TICK_S)
            if isinstance(happened, Over):
                self._over(happened)
                return
            if isinstance(happened, Frame):
                self._look(happened)
            else:
                self._news(happened)
                self._tick()
            self._tell_situation()
            if isinstance(happened, Frame) and self._pace.live:
                time.sleep(max(0.0, self._pace.least_s - (time.monotonic() - began)))

    def _over(self, over: Over) -> None:
        self._emit(self._observer.finish(self._last_at, time.time()))
        self._online = False
        self._tell_situation()
        if over.wrong:
            raise CannotWatch(f"{self._shown}: {over.wrong}")

    def _news(self, happened: Opened | Lost | None) -> None:
        if isinstance(happened, Opened):
            self._online = True
            self._say(f"{self._shown}: watching" if not self._trouble else f"{self._shown}: back")
            if self._trouble:
                self._emit([Event("camera_back", self._name, time.time())])
            self._trouble = ""
        elif isinstance(happened, Lost) and happened.why != self._trouble:
            first = not self._trouble
            self._trouble = happened.why
            self._online = False
            self._say(f"{self._shown}: {happened.why}; still trying")
            if first:
                self._emit([Event("camera_lost", self._name, time.time(), why=happened.why)])

    def _look(self, frame: Frame) -> None:
        self._last_at = frame.at
        answer = self._asked(frame)
        if answer is None:
            self._tick()
            return
        picture = Picture(frame.jpeg)
        self._emit(self._observer.see(answer, picture, lambda: self._embedded(frame), frame.at, frame.time))
        if self._view is not None and self._draw is not None and self._view.wanted:
            self._view.show(self._draw(frame.jpeg, self._observer.shown(answer)))

    def _tick(self) -> None:
        if self._pace.live:
            self._emit(self._observer.tick(time.monotonic(), time.time()))

    # ------------------------------------------------------------------------------------------ the server

    def _asked(self, frame: Frame) -> Identified | None:
        """The answer; of a file, however long it takes; of a camera None, as there will be a newer frame."""
        while True:
            try:
                answer = self._client.identify(frame.jpeg)
            except (Unauthorized, Forbidden, BadCertificate):
                raise
            except ClientError as error:
                self._wait_for_server(error)
                if self._pace.live:
                    return None
                continue
            if self._server_trouble:
                self._say("the server answers again")
            self._server_trouble, self._server_wait_s = "", _FIRST_WAIT_S
            return answer

    def _embedded(self, frame: Frame) -> tuple[EmbeddedFace, ...]:
        try:
            return self._client.embed(frame.jpeg).faces
        except (Unauthorized, Forbidden, BadCertificate):
            raise
        except ClientError:
            return ()  # busy or gone, which the next frame's question says: this face is then followed by overlap only

    def _wait_for_server(self, error: ClientError) -> None:
        kind = type(error).__name__
        if kind != self._server_trouble:
            self._server_trouble = kind
            self._say(f"the server: {error}; still trying")
        wait = self._server_wait_s
        if isinstance(error, ServerRefused) and error.retry_after_ms is not None:
            wait = error.retry_after_ms / 1000
        elif isinstance(error, ConnectionLost):
            self._server_wait_s = 2 * wait
        until = time.monotonic() + min(wait, _LONGEST_WAIT_S)
        self._server_wait_s = min(self._server_wait_s, _LONGEST_WAIT_S)
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_S))
            self._tick()
            self._tell_situation()

    # ------------------------------------------------------------------------------------------ the sinks

    def _emit(self, events: Sequence[Event]) -> None:
        for event in events:
            for sink in self._sinks:
                sink.take(event)

    def _tell_situation(self) -> None:
        situation = self._observer.situation(online=self._online)
        if situation != self._told:
            self._told = situation
            for sink in self._sinks:
                sink.situation(situation)
