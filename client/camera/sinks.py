"""Where events go. Each sink has a thread and a bounded queue of its own, so that one that hangs holds up nobody."""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Callable
from typing import Protocol

from facewire.client.camera.events import Event, Situation

Say = Callable[[str], None]
"""Says something to whoever runs the program, on stderr."""

WAITING = 200
"""Events that wait for a sink, at most; then the oldest is dropped, and that is said."""

CLOSING_S = 3.0
"""For what still waits when the program ends."""


class Sink(Protocol):
    """Takes events. Neither `take` nor `situation` waits for anybody."""

    def take(self, event: Event) -> None: ...
    def situation(self, situation: Situation) -> None: ...
    def close(self) -> None: ...


class Queued:
    """Calls `deliver` for one event after another, in a thread of its own."""

    def __init__(self, name: str, deliver: Callable[[Event], None], say: Say) -> None:
        """`deliver` may raise OSError, which is said once until it works again."""
        self._name = name
        self._deliver = deliver
        self._say = say
        self._waiting: queue.Queue[Event | None] = queue.Queue(WAITING)
        self._dropped = 0
        self._failing = False
        self._thread = threading.Thread(target=self._run, name=f"facewire-camera-{name}", daemon=True)
        self._thread.start()

    def take(self, event: Event) -> None:
        """Queues it."""
        self._put(event)

    def situation(self, situation: Situation) -> None:
        """Events say it all."""

    def close(self) -> None:
        """Delivers what waits, for a few seconds at most."""
        self._put(None)
        self._thread.join(CLOSING_S)

    def _put(self, event: Event | None) -> None:
        while True:
            try:
                return self._waiting.put_nowait(event)
            except queue.Full:
                self._drop()

    def _drop(self) -> None:
        try:
            self._waiting.get_nowait()
        except queue.Empty:
            return  # the thread has just taken it
        self._dropped += 1
        if self._dropped == 1:
            self._say(f"{self._name}: doesn't keep up, so the oldest events are dropped")

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            try:
                self._deliver(event)
                self._failing = False
            except OSError as error:
                if not self._failing:
                    self._failing = True
                    self._say(f"{self._name}: {error.strerror or error}")


def json_lines(say: Say) -> Queued:
    """A line of JSON an event, on stdout."""

    def write(event: Event) -> None:
        sys.stdout.write(json.dumps(event.plain()) + "\n")
        sys.stdout.flush()

    return Queued("output", write, say)
