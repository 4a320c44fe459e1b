"""`Videos`: who is in a video, and when? One video after the other, in a thread of its own, so no picture waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facewire.protocol.messages import ImageSize, RequestBody
from facewire.protocol.videos import MAX_PEOPLE, BestFace, IdentifyVideo, VideoIdentified, VideoPerson
from facewire.server.errors import TimedOut
from facewire.server.jobs import Job, Jobs
from facewire.server.recognition.decision import Decided, Judge
from facewire.server.reply import Reply
from facewire.server.vision.engine import Face
from facewire.server.vision.serving import ServingEngine
from facewire.server.vision.watching import Group, Seen, Watch, Watched

WAITING = 4
"""Videos that may wait for the one being watched, with their bytes in memory: 128 MiB."""

_STOP_PATIENCE_S = 1.0  # of the five seconds a server has to stop: enough for a frame


class Videos:
    """Thread-safe. `close` ends the thread."""

    def __init__(self, engine: ServingEngine, judge: Judge, group: Group) -> None:
        self._engine = engine
        self._judge = judge
        self._group = group
        self._jobs = Jobs("videos", most=WAITING)
        self._jobs.start()

    @property
    def followed(self) -> Mapping[type[RequestBody], Callable[..., None]]:
        """Request -> the function that starts its job; the reply is answered later."""
        return {IdentifyVideo: self.identify}

    def identify(self, message: IdentifyVideo, /, *, reply: Reply) -> None:
        """Queues the video. Raises Busy if too many wait."""
        self._jobs.submit(object(), lambda job: self._identified(message, job, reply), reply)

    def close(self) -> None:
        """Ends the thread; videos that wait are answered `busy`."""
        self._jobs.close(_STOP_PATIENCE_S)

    def _identified(self, message: IdentifyVideo, job: Job, reply: Reply) -> VideoIdentified:
        """Raises InvalidImage, VideosNotRead, and TimedOut once nobody waits."""
        begun = time.perf_counter()
        watch = Watch(self._engine.decoder.films, self._patient(job, self._engine.faces), self._embed(job), self._group)
        with closing(watch.frames(message.video)) as frames:
            for frame in frames:
                if reply.gone():
                    raise TimedOut("the client is no longer waiting for this")
                job.at("frames", int(frame.at), int(frame.seconds))
        watched = watch.result()
        seen = time.perf_counter()
        people = sorted(watched.people, key=lambda person: -person.frames)[:MAX_PEOPLE]
        people.sort(key=watched.people.index)
        decided = self._judge.decide_all([person.embedding for person in people], message.k)
        found = tuple(_person(person, its, message.k) for person, its in zip(people, decided, strict=True))
        done = time.perf_counter()
        timing = {"watch": seen - begun, "search": done - seen, "total": done - begun}
        return self._answer(watched, found, {step: 1000 * took for step, took in timing.items()})

    def _answer(self, watched: Watched, found: tuple[VideoPerson, ...], timing: Mapping[str, float]) -> VideoIdentified:
        return VideoIdentified(
            people=found,
            seconds=watched.seconds,
            image=ImageSize(watched.width, watched.height),
            frames=watched.frames,
            scenes=watched.scenes,
            model=self._engine.spec.model,
            timing_ms=timing,
        )

    def _embed(self, job: Job) -> Callable[[Sequence[Face]], NDArray[np.float32]]:
        """Embeds faces as probes, in others' batches."""

        def embed(faces: Sequence[Any]) -> NDArray[np.float32]:
            return np.stack([features.embedding for features in self._engine.features(faces)])

        return self._patient(job, embed)

    def _patient(self, job: Job, work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`work`, tried again while too much else is waiting: a video that has begun is finished."""
        return lambda argument: job.patiently(lambda: work(argument))


def _person(seen: Seen, decided: Decided, k: int) -> VideoPerson:
    verdict, threshold = decided.verdict, decided.threshold
    nearest = decided.matches[0] if decided.matches else None
    face = seen.best
    return VideoPerson(
        decision=verdict.decision,
        name=nearest.name if nearest and verdict.decision == "match" else None,
        similarity=nearest.similarity if nearest else None,
        distance=nearest.distance if nearest else None,
        threshold=threshold,
        margin=nearest.similarity - threshold if nearest else None,
        false_match=verdict.false_match,
        candidates=decided.candidates(k),
        seen=seen.when,
        frames=seen.frames,
        best=BestFace(face.at, face.box, face.detection, face.crop),
    )
