"""Albums for tests: a service over the synthetic engine, alone or behind a real socket."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from facewire.client import FaceClient
from facewire.protocol.messages import Progress, Request, Result
from facewire.protocol.schema import A, Asks
from facewire.server.albums.clustering.evidence import strangers_exceed
from facewire.server.albums.service import AlbumService
from facewire.server.albums.settings import AlbumLimits, AlbumSettings
from facewire.server.app import compose
from facewire.server.gallery.records import Match
from facewire.server.gallery.search.cohort import Cohort, Statistics
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.recognition.decision import Judge
from facewire.server.reply import Reply
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.listener import Listener
from tests.support.fake_service import PATIENCE_S, FakeService
from tests.support.galleries import spec
from tests.support.synthetic_engine import DIMENSION, SyntheticEngine

THRESHOLD = 0.8  # different colours are different directions; equal ones have a cosine of 1


class PlainJudge:
    """A judge with a constant threshold, whatever the number of people."""

    error_rate = 0.01

    def __init__(self, judge: Judge) -> None:
        """`judge`: for the gallery's people."""
        self._judge = judge

    def named(self, embedding: NDArray[np.float32]) -> tuple[Match, float] | None:
        return self._judge.named(embedding)

    def similarities(
        self, probes: NDArray[np.float32], templates: NDArray[np.float32], statistics: Statistics | None
    ) -> NDArray[np.float32]:
        return np.asarray(probes @ templates.T, np.float32)

    def threshold_among(self, people: int) -> float:
        return THRESHOLD

    def strangers_exceed(self, rate: float) -> float:
        """The distribution that clustering expects of Facenet512."""
        return strangers_exceed(rate)


@dataclass
class Heard:
    """An in-process connection that records what is sent about one request."""

    news: list[tuple[int, int, Mapping[str, object]]] = field(default_factory=list)
    result: Result | None = None
    error: Exception | None = None
    ended: threading.Event = field(default_factory=threading.Event)

    def gone(self) -> bool:
        return False

    def send_progress(self, progress: Progress) -> None:
        self.news.append((progress.done, progress.total, progress.details))

    def send_answer(self, reply: Reply, outcome: Result | Exception | None) -> None:
        if isinstance(outcome, Exception):
            self.error = outcome
        else:
            self.result = outcome
        self.ended.set()


def ask(service: AlbumService, body: Asks[A]) -> A:
    """The answer, computed in process; waits for long-running jobs. Raises the error that a client would get."""
    if type(body) not in service.followed:
        return cast(A, service.handlers[type(body)](body))
    heard = Heard()
    service.followed[type(body)](body, reply=Reply(Request(1, body), heard))
    assert heard.ended.wait(PATIENCE_S)
    if heard.error is not None:
        raise heard.error
    assert heard.result is not None
    return cast(A, heard.result)


@contextlib.contextmanager
def album_service(
    room: Path,
    *,
    engine: SyntheticEngine | None = None,
    limits: AlbumLimits | None = None,
    cohort: Cohort | None = None,
    clip: Path | None = None,
) -> Iterator[AlbumService]:
    """A service on `room`/albums with a gallery on `room`/gallery.db; imports are allowed below `room`/import."""
    engine = engine or SyntheticEngine(model="Facenet512")
    db = room / "gallery.db"
    (room / "import").mkdir(exist_ok=True)
    gallery = SqliteGallery.open(db) if db.exists() else SqliteGallery.create(db, spec(DIMENSION, "Facenet512"))
    with gallery:
        # An engine of the gallery's model, which may differ from the albums' engine.
        known = SyntheticEngine(model=gallery.spec.model)
        recognition = compose(known, gallery, 0.01, runtime="synthetic")
        settings = AlbumSettings(room / "albums", room / "import", limits or AlbumLimits(), clip=clip)
        service = AlbumService(settings, engine, PlainJudge(recognition.judge), recognition.curator.enrol, cohort)
        try:
            yield service
        finally:
            service.close()


@contextlib.contextmanager
def listening(service: AlbumService, **tcp: Any) -> Iterator[tuple[str, int]]:
    """A real server on a free port; yields its address."""
    limits = TcpLimits(**tcp)
    listener = Listener(Dispatcher(FakeService(), albums=service), "127.0.0.1", 0, limits=limits)
    listener.start()
    try:
        yield listener.address
    finally:
        assert listener.stop()


@contextlib.contextmanager
def serving_albums(service: AlbumService, **tcp: Any) -> Iterator[FaceClient]:
    """A real server on a free port; yields a client, which outlives it."""
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(listening(service, **tcp))
        with FaceClient(*address, timeout=PATIENCE_S) as client:
            yield client
            stack.close()
