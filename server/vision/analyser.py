"""A picture file -> faces -> embeddings and emotions: the vision package's interface to the rest of the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from facewire.server.asker import WAITS_FOREVER, Asker, Part
from facewire.server.errors import TimedOut
from facewire.server.measures import NOT_MEASURED, Measures
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision import engine
from facewire.server.vision.alignment import upright, whole_box
from facewire.server.vision.as_deepface import AsDeepFace, DeepFaceRecipe
from facewire.server.vision.batching import DEFAULT_CAPACITY, Batcher
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.detector import Box, Detection, Detector, Landmarks
from facewire.server.vision.embedder import Embedder, mean_directions, mirrored
from facewire.server.vision.emotion import Emotion, EmotionReader, FaceCrop
from facewire.server.vision.image import ImageLimits, Photo, Pixels
from facewire.server.vision.pointing import pointed_at
from facewire.server.vision.quality import FaceQuality, looked_at, quality_of
from facewire.server.vision.runtime import BATCH_SIZES, Floats

COMPANY_AFTER_S = 1.0
"""After a start, until the networks for several faces are opened, which keeps a core busy for a quarter of a second."""


@dataclass(frozen=True, slots=True)
class FoundFace:
    """A face and its upright crops for the networks. `emotion_crop` is None if no emotion was requested."""

    box: Box
    landmarks: Landmarks
    detection: float
    crop: Pixels
    emotion_crop: FaceCrop | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture's size in pixels as shown, its faces (largest first), and the duration of each step."""

    width: int
    height: int
    faces: tuple[FoundFace, ...]
    timing_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Features:
    """The networks' outputs for one face; `embedding` is (d,) float32 of unit length."""

    embedding: Floats
    emotion: Emotion | None


class Analyser:
    """Thread-safe. Decoding runs in child processes, detection on the caller's thread, the networks on the
    batcher's."""

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        emotions: EmotionReader | None,
        decoder: Decoder,
        limits: ImageLimits,
        *,
        queue_capacity: int = DEFAULT_CAPACITY,
        measures: Measures = NOT_MEASURED,
    ) -> None:
        """The analyser closes `decoder`; others may use it until then."""
        self._measures = measures
        self.spec: EmbeddingSpec = embedder.spec
        self.precision = embedder.precision
        self.decoder = decoder
        self._detector = detector
        self._embedder = embedder
        self._emotions = emotions
        self._limits = limits
        self._batcher: Batcher[FoundFace, Features] = Batcher(
            self._compute, largest=BATCH_SIZES[-1], capacity=queue_capacity, clock=time.monotonic
        )
        self._as_deepface = AsDeepFace(embedder, queue_capacity)
        self._closing = threading.Event()
        self._expecting_company = threading.Thread(target=self._expect_company, name="expecting-company", daemon=True)

    def faces(self, data: bytes, *, emotion: bool = False) -> Picture:
        """Decodes a picture file and finds its faces. Raises InvalidImage and Busy."""
        begun = time.perf_counter()
        photo = self.decoder.photo(data, self._limits, self._detector.enough)
        decoded = time.perf_counter()
        detections = self._detector.detect(photo.pixels)
        found = time.perf_counter()
        faces = self._cut_out(data, photo, detections, emotion)
        done = time.perf_counter()
        self._measures.took("decode", decoded - begun)
        self._measures.took("detect", found - decoded)
        timing = {"decode": decoded - begun, "detect": found - decoded, "crop": done - found}
        return Picture(photo.width, photo.height, faces, {step: took * 1000 for step, took in timing.items()})

    def features(self, faces: Sequence[FoundFace], abandoned: Asker = WAITS_FOREVER) -> list[Features]:
        """Embedding of each face and, for faces prepared with `emotion`, its emotion; batched with other callers'
        faces.

        Raises Busy if too many faces are waiting, TimedOut if `abandoned` became true first.
        """
        if faces and abandoned():
            raise TimedOut("the client is no longer waiting for this")
        if not faces:
            return []
        with self._measures.timing("embed"):
            return self._batcher.run(faces, abandoned)

    def cut(self, data: bytes, face: Detection) -> Pixels:
        """The embedder's crop of a face that was found in this picture earlier. Raises InvalidImage."""
        return self._embedder.crop(*upright(self.decoder.photo(data, self._limits).pixels, face))

    def pointed_at(self, data: bytes, boxes: Sequence[Box]) -> list[FoundFace | None]:
        """The faces in boxes that somebody drew; None where none can be made out. Raises InvalidImage and Busy."""
        pixels = self.decoder.photo(data, self._limits).pixels
        seen = (pointed_at(self._detector, pixels, box) for box in boxes)
        return [None if face is None else self._found(pixels, face, emotion=False) for face in seen]

    def fingerprint(self, data: bytes) -> bytes:
        """The perceptual hash of a picture file. Raises InvalidImage."""
        return fingerprint_of(self.decoder, data, self._limits)

    def quality(self, face: engine.Face, picture: engine.Picture) -> FaceQuality:
        """Measures how clearly a face can be seen; takes two milliseconds."""
        quality = quality_of(face.crop, face.box, face.landmarks, picture.width, picture.height)
        known = self.spec.crop.kind == "square" and self._detector.sure > 0
        return looked_at(quality, face.crop, face.detection) if known else quality

    def templates(self, crops: Sequence[Pixels], probes: Floats | None = None) -> Floats:
        """(n, d) unit-length embeddings for enrolment, which may take two forward passes per face; one less if the
        crops' `probes` are given."""
        return self._embedder.templates(crops, probes)

    def enrolments(self, faces: Sequence[engine.Face], abandoned: Asker = WAITS_FOREVER) -> Floats:
        """`templates` of faces, (n, d), through the batcher: for use while clients are being served.

        Submits a few faces at a time, so that others' faces get into the batches in between. Raises what `features`
        raises.
        """
        rows = [np.zeros((0, self.spec.dimension), np.float32)]
        for start in range(0, len(faces), _ENROLLED_AT_ONCE):
            rows.append(self._enrol(faces[start : start + _ENROLLED_AT_ONCE], Part(abandoned)))
            done = min(start + _ENROLLED_AT_ONCE, len(faces))
            if len(faces) > _ENROLLED_AT_ONCE:
                abandoned.progress(done, len(faces))
        return np.concatenate(rows)

    def _enrol(self, faces: Sequence[engine.Face], abandoned: Asker) -> Floats:
        views = [FoundFace(face.box, face.landmarks, face.detection, face.crop) for face in faces]
        if self.spec.template_views == 2:
            views += [replace(face, crop=mirrored(face.crop)) for face in views]
        rows = np.stack([features.embedding for features in self.features(views, abandoned)])
        return mean_directions(rows.reshape(self.spec.template_views, len(faces), -1))

    def probes(self, crops: Sequence[Pixels]) -> Floats:
        """(n, d) unit-length embeddings of probes, bypassing the batcher: for scripts, which do their own batching."""
        return self._embedder.probes(crops)

    def warm_up(self) -> None:
        """One real pass through every network, so that the first request doesn't pay for it. Batch sizes other than 1
        cost 20 ms more when they first occur; warming them all would delay the start by 0.7 s. So would opening what
        serves several faces at once: that is done in the background, once the first request had its chance."""
        self._pass()
        self._expecting_company.start()

    def _expect_company(self) -> None:
        if self._closing.wait(COMPANY_AFTER_S):
            return
        grey = np.full((*self.spec.input_size[::-1], 3), 127, np.uint8)
        self._embedder.probes([grey, grey])

    def as_deepface(
        self, data: bytes, recipe: DeepFaceRecipe, abandoned: Asker = WAITS_FOREVER
    ) -> tuple[Picture, Floats]:
        """The faces and their (n, d) embeddings by DeepFace's recipe, of the network's own length; the whole picture is
        one face, without landmarks, of detection 0.

        Always in full size: where a picture is reduced first, crops differ a little. Raises InvalidImage, BadRequest
        for a model without that recipe, Busy and TimedOut.
        """
        begun = time.perf_counter()
        image = self.decoder.photo(data, self._limits).pixels
        decoded = time.perf_counter()
        whole = Detection(whole_box(image), (), 0.0)
        faces = [whole] if recipe == "deepface_whole" else self._detector.detect(image)
        found = time.perf_counter()
        inputs = self._as_deepface.inputs(image, faces, recipe)
        timing = {"decode": (decoded - begun) * 1000, "detect": (found - decoded) * 1000}
        picture = Picture(image.shape[1], image.shape[0], tuple(_uncut(face, image) for face in faces), timing)
        return picture, self._as_deepface.embeddings(inputs, abandoned)

    def check(self) -> float:
        """Run one real inference; returns its milliseconds."""
        begun = time.perf_counter()
        self._pass()
        return (time.perf_counter() - begun) * 1000

    def _pass(self) -> None:
        """A search and one face, on a grey picture."""
        grey = np.full((*self.spec.input_size[::-1], 3), 127, np.uint8)
        self._detector.glance(grey)
        self._batcher.run([self._found(grey, _WHOLE_FACE, self._emotions is not None)])

    def close(self) -> None:
        """Ends the threads and the decoder's processes."""
        self._closing.set()
        if self._expecting_company.ident is not None:
            self._expecting_company.join()
        self._batcher.close()
        self._as_deepface.close()
        self.decoder.close()

    def _cut_out(
        self, data: bytes, photo: Photo, detections: Sequence[Detection], emotion: bool
    ) -> tuple[FoundFace, ...]:
        """The faces in pixels of the whole picture. If the picture was decoded at reduced scale, faces smaller there
        than the network's input are cropped from the full-size picture, which is decoded once for all of them."""
        if photo.factor == 1:
            return tuple(self._found(photo.pixels, face, emotion) for face in detections)
        whole: Pixels | None = None
        faces = []
        for face in detections:
            in_full = face.scaled(photo.factor)
            if max(face.box[2:]) < max(self.spec.input_size):
                whole = self.decoder.photo(data, self._limits).pixels if whole is None else whole
                faces.append(self._found(whole, in_full, emotion))
            else:
                reduced = self._found(photo.pixels, face, emotion)
                faces.append(replace(reduced, box=in_full.box, landmarks=in_full.landmarks))
        return tuple(faces)

    def _found(self, image: Pixels, face: Detection, emotion: bool) -> FoundFace:
        pixels, standing = upright(image, face)
        crop = self._embedder.crop(pixels, standing)
        wanted = self._emotions if emotion else None
        seen = wanted.crop(pixels, standing.box) if wanted else None
        return FoundFace(face.box, face.landmarks, face.score, crop, seen)

    def _compute(self, faces: list[FoundFace]) -> list[Features]:
        begun = time.perf_counter()
        outcomes = self._computed(faces)
        self._measures.batch(len(faces), time.perf_counter() - begun)
        return outcomes

    def _computed(self, faces: list[FoundFace]) -> list[Features]:
        embeddings, head_logits = self._embedder.look([face.crop for face in faces])
        asked = [number for number, face in enumerate(faces) if face.emotion_crop is not None]
        crops = [crop for face in faces if (crop := face.emotion_crop) is not None]
        emotions = iter(self._emotions.read(crops, head_logits[asked]) if self._emotions and crops else ())
        return [
            Features(embedding, next(emotions) if face.emotion_crop is not None else None)
            for face, embedding in zip(faces, embeddings, strict=True)
        ]


def _uncut(face: Detection, image: Pixels) -> FoundFace:
    """A face without a crop of ours."""
    return FoundFace(face.box, face.landmarks, face.score, image[:0, :0])


_ENROLLED_AT_ONCE = BATCH_SIZES[-1]

_WHOLE_FACE = Detection((30.0, 30.0, 90.0, 110.0), ((60, 70), (95, 70), (78, 90), (62, 110), (93, 110)), 1.0)


GRID = 8

ENOUGH_PX = 8 * GRID
"""Minimum longer side when a JPEG is decoded at reduced scale: 8 pixels per cell average out the rounding."""


def fingerprint_of(decoder: Decoder, data: bytes, limits: ImageLimits) -> bytes:
    """The fingerprint of a picture file. Raises InvalidImage and Busy."""
    return fingerprint(decoder.photo(data, limits, ENOUGH_PX).pixels)


def fingerprint(pixels: Pixels) -> bytes:
    """(height, width, 3) uint8 RGB -> GRID x GRID x 3 bytes: the mean colours of a grid, rows from the top.

    A perceptual hash: similar for copies of a picture in other formats, qualities and sizes.
    `server.gallery.search.lookalikes` decides when two match.
    """
    cells = cv2.resize(pixels, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(cells, np.uint8).tobytes()
