"""A video -> the people in it: when each is seen, and their best face.

Frames are pictures from here on. A person's faces are grouped by their embeddings, whatever happens between them:
people leave and come back, and films are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facewire.server.vision.decoding.films import Films, VideoFrame
from facewire.server.vision.decoding.on_disk import Video
from facewire.server.vision.detector import Box, Landmarks
from facewire.server.vision.engine import Face, Picture
from facewire.server.vision.image import jpeg_bytes

Floats = NDArray[np.float32]

FACES_A_FRAME = 16
"""The largest ones; more are a crowd, too small in a video to be recognised."""

GAP_FRAMES = 2
"""Frames looked at in a row in which somebody may be missed, and still counts as seen without a break: who turns away
for a second."""

Find = Callable[[bytes], Picture]
"""The faces in a picture file. Raises InvalidImage."""

Embed = Callable[[Sequence[Face]], Floats]
"""(n, d) embeddings of unit length."""

Group = Callable[[Floats, NDArray[np.int64]], NDArray[np.int64]]
"""(n, d) embeddings and the frames (n,) that show them -> (n,) whose each is; hardly ever two of a frame one person's.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """A face in the frame number `frame`, at `at` seconds; `box` and `landmarks` in pixels of the video as shown;
    `crop`: a JPEG of it as the network sees it; `embedding`: (d,)."""

    frame: int
    at: float
    box: Box
    landmarks: Landmarks
    detection: float
    crop: bytes
    embedding: Floats

    @property
    def quality(self) -> float:
        """How good a face it is: large and surely one. As in albums."""
        return self.detection * min(self.box[2:])


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A person in a video. `embedding`: (d,) mean direction of their faces, good ones counting more; `when`: from when
    to when, in seconds; `frames`: in how many they are; `best`: their best face."""

    embedding: Floats
    when: tuple[tuple[float, float], ...]
    frames: int
    best: Sighting


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """What is in a video. `people` in the order in which they appear; `seconds`: its length; `width` and `height` as
    shown; `frames`: how many were looked at; `scenes`: where each begins, in seconds."""

    people: tuple[Seen, ...]
    seconds: float
    width: int
    height: int
    frames: int
    scenes: tuple[float, ...]


class Watch:
    """Looks at a video, frame by frame: iterate, then take the `result`."""

    def __init__(self, films: Films, find: Find, embed: Embed, group: Group) -> None:
        self._films = films
        self._find = find
        self._embed = embed
        self._group = group
        self._frames: list[tuple[float, bool]] = []  # at, cut
        self._faces: list[Sighting] = []
        self._last: VideoFrame | None = None

    def frames(self, video: Video) -> Generator[VideoFrame, None, None]:
        """Each frame, once it has been looked at. Raises InvalidImage, and Busy of what looks at it."""
        with closing(self._films.frames(video)) as frames:
            for frame in frames:
                self._look_at(frame)
                yield frame

    def result(self) -> Watched:
        """Of the frames that were looked at; one at least."""
        assert self._last is not None
        last = self._last
        people: list[Seen] = []
        if self._faces:
            embeddings = np.stack([face.embedding for face in self._faces])
            of = self._group(embeddings, np.array([face.frame for face in self._faces], np.int64))
            groups = [[self._faces[row] for row in np.flatnonzero(of == each)] for each in np.unique(of)]
            people = [self._seen(faces) for faces in groups]
        people.sort(key=lambda person: (person.when[0][0], -person.frames))
        scenes = tuple(at for at, cut in self._frames if cut)
        return Watched(tuple(people), last.seconds, last.width, last.height, len(self._frames), scenes)

    def _look_at(self, frame: VideoFrame) -> None:
        picture = self._find(frame.jpeg)
        number = len(self._frames)
        self._frames.append((frame.at, frame.cut))
        self._last = frame
        faces = picture.faces[:FACES_A_FRAME]
        if not faces:
            return
        scale = frame.width / picture.width
        for face, embedding in zip(faces, self._embed(faces), strict=True):
            x, y, w, h = (scale * length for length in face.box)
            landmarks = tuple((scale * across, scale * down) for across, down in face.landmarks)
            crop = jpeg_bytes(face.crop)  # a tenth of its pixels, which for a long video would be too much
            self._faces.append(
                Sighting(number, frame.at, (x, y, w, h), landmarks, float(face.detection), crop, embedding)
            )

    def _seen(self, faces: list[Sighting]) -> Seen:
        weights = np.array([face.quality for face in faces], np.float32)
        mean = weights @ np.stack([face.embedding for face in faces])
        mean /= max(float(np.linalg.norm(mean)), float(np.finfo(np.float32).tiny))
        numbers = sorted({face.frame for face in faces})
        best = max(faces, key=lambda face: face.quality)
        return Seen(mean.astype(np.float32), tuple(self._spans(numbers)), len(numbers), best)

    def _spans(self, numbers: list[int]) -> Iterator[tuple[float, float]]:
        """From the first frame of each run of frames to the one after its last."""
        first = before = numbers[0]
        for number in [*numbers[1:], None]:
            if number is None or number - before > 1 + GAP_FRAMES:
                yield self._frames[first][0], self._end(before)
                first = number if number is not None else first
            before = number if number is not None else before

    def _end(self, number: int) -> float:
        assert self._last is not None
        following = self._frames[number + 1 :]
        return following[0][0] if following else max(self._frames[number][0], self._last.seconds)
