"""Opens an Analyser from its settings: finds the weights, converts a network once, and wires the parts together."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from facewire.models import FOLDER as MODELS
from facewire.protocol.settings import setting
from facewire.server.cache import cache_key, default_cache_dir
from facewire.server.errors import StartError
from facewire.server.measures import NOT_MEASURED, Measures
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision import deepface_models, dlib_models, runtime
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.decoding.exchange import DecodingSettings
from facewire.server.vision.detector import TILES, Detector, YuNet
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.emotion import Calibration, EmotionReader, EmotionSpec
from facewire.server.vision.facenet import Precision, Runtime, open_facenet
from facewire.server.vision.image import ImageLimits
from facewire.server.vision.models import (
    DEEPFACE_EMOTION_FILE,
    DEEPFACE_EMOTION_ONNX,
    DEFAULT_MODEL,
    FALLBACK_MODEL,
    YUNET_FILE,
    ModelCard,
    model_card,
)
from facewire.server.vision.streams import open_split
from facewire.server.vision.turning import AnyWayUp
from facewire.server.vision.weights import MissingWeights, WeightsFile, WeightsFinder, choose

EmotionChoice = Literal["facewire", "deepface", "off"]
DetectorChoice = Literal["auto", "yunet", "dlib"]

EMOTION_MODEL = MODELS / "emotion.json"

log = logging.getLogger("facewire.vision")


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """Settings of the vision package. `canvas`: the longest side, in pixels, at which a picture is searched; `tiles`:
    see `YuNet`."""

    model: str = DEFAULT_MODEL
    weights_dir: Path | None = setting(
        None, metavar="DIR",
        help="folder of the weights; else $DEEPFACE_HOME/.deepface/weights, installed packages, a download",
    )  # fmt: skip
    mirror: str | None = setting(
        None,
        flag="--weights-mirror",
        metavar="URL",
        help="download missing weights from URL/FILE instead of their usual address",
    )
    downloads: bool = setting(True, flag="--no-download", help="never download weights: missing files are an error")
    runtime: Runtime = setting("openvino")
    precision: Precision = setting(
        "auto", help="FaceNet's arithmetic; auto: int8 where that is faster and its rounding was measured, else f32"
    )
    detector: DetectorChoice = setting("auto", help="auto: YuNet, or dlib's where YuNet's weights can't be had")
    canvas: int = setting(
        1920, flag="--detect-size", metavar="PX",
        help="longest side at which a picture is searched for faces; larger finds smaller faces",
    )  # fmt: skip
    tiles: int = setting(
        TILES, flag="--detect-tiles",
        help="a picture more than twice as long as wide (a panorama) is searched in up to N tiles of that size, each "
        "at the cost of half a large photo; 1: in one piece, where small faces are lost",
    )  # fmt: skip
    emotion: EmotionChoice = setting("facewire", help="our own network, DeepFace's, or none")
    cache_dir: Path = setting(
        default_factory=default_cache_dir, metavar="DIR", help="where converted networks are kept"
    )
    limits: ImageLimits = field(default_factory=ImageLimits)
    decoding: DecodingSettings = field(default_factory=DecodingSettings)
    queue_capacity: int = 256


def open_analyser(
    settings: VisionSettings, measures: Measures = NOT_MEASURED, decoder: Decoder | None = None
) -> Analyser:
    """An analyser with all networks loaded but not warmed up. `decoder`: one of these settings that was started before.
    Raises StartError, which says what to do next."""
    finder = WeightsFinder(
        settings.weights_dir, deepface_models.download if settings.downloads else None, settings.mirror
    )
    card = model_card(settings.model)
    if settings.runtime == "tensorflow" and card.family != "facenet":
        raise StartError(
            f"--runtime tensorflow is for Facenet512 and Facenet; {card.name} has one runtime", exit_code=2
        )
    if settings.precision == "int8" and card.family != "facenet":
        raise StartError(f"--precision int8 is for {DEFAULT_MODEL}, not for {card.name}", exit_code=2)
    own = EmotionSpec.load(EMOTION_MODEL) if settings.emotion == "facewire" else None
    # Files are found and downloaded on this thread: Ctrl-C reaches no other, and progress is shown one file at a time.
    open_detector = _detector(settings, finder)
    with ExitStack() as on_failure:
        decoder = on_failure.enter_context(closing(decoder or Decoder(settings.decoding)))  # starts in the background
        with ThreadPoolExecutor(2) as aside:  # compiling a network keeps one core busy for some tenths of a second
            opening_detector = aside.submit(open_detector)
            weights = find_weights(card, finder, settings.runtime)
            opening_emotions = aside.submit(_emotions(settings, finder, own))
            embedder = _open_found(card, weights, settings, finder, own)
            detector, emotions = opening_detector.result(), opening_emotions.result()
        decoder.wait_until_ready()
        on_failure.pop_all()
    log.info("model %s in %s, detector %s, runtime %s", card.name, embedder.precision, detector.name, settings.runtime)
    return Analyser(
        AnyWayUp(detector),
        embedder,
        emotions,
        decoder,
        settings.limits,
        queue_capacity=settings.queue_capacity,
        measures=measures,
    )


def open_embedder(
    card: ModelCard, settings: VisionSettings, finder: WeightsFinder, emotions: EmotionSpec | None = None
) -> Embedder:
    """A recognition model with the head of `emotions`, if it supports that. Raises MissingWeights or StartError."""
    return _open_found(card, find_weights(card, finder, settings.runtime), settings, finder, emotions)


def _open_found(
    card: ModelCard,
    weights: WeightsFile,
    settings: VisionSettings,
    finder: WeightsFinder,
    emotions: EmotionSpec | None,
) -> Embedder:
    head = emotions.head if emotions else None
    fits = head and (head.model, head.maps) == (card.name, card.maps)
    attached = head.onnx if head and fits else None
    return _EMBEDDERS[card.family](_Opening(card, weights, settings, finder, attached))


def find_weights(card: ModelCard, finder: WeightsFinder, with_runtime: Runtime = "openvino") -> WeightsFile:
    """A recognition model's weights file, in a format readable on this machine. Raises MissingWeights or StartError."""
    names = (card.weights_file,) if with_runtime == "tensorflow" else card.files
    name = choose(names, finder, tensorflow=_has_tensorflow(), onnx_too=card.family == "facenet")
    attributes = {"Facenet": "FACENET128_WEIGHTS", "Facenet512": "FACENET512_WEIGHTS", "Dlib": "WEIGHT_URL"}
    attribute = attributes.get(card.name, "WEIGHTS_URL")
    addresses = partial(deepface_models.weights_addresses, "facial_recognition", card.name, attribute)
    return finder.find(name, addresses)


def _has_tensorflow() -> bool:
    return deepface_models.tensorflow_version() is not None


def hint_of_better_weights(spec: EmbeddingSpec, settings: VisionSettings, db: object) -> str | None:
    """A suggestion to migrate, if the gallery was built with the fallback and the default model's weights are now
    available."""
    if spec.model != FALLBACK_MODEL:
        return None
    if WeightsFinder(settings.weights_dir, None).first(model_card(DEFAULT_MODEL).files) is None:
        return None
    return (
        f"{DEFAULT_MODEL}'s weights are on this machine now, and it errs less often than {spec.model}: "
        f"python scripts/migrate_model.py --to {DEFAULT_MODEL} --db {db} moves this gallery to it"
    )


@dataclass(frozen=True, slots=True)
class _Opening:
    """What an embedder is built from; `head`: the emotion head to attach, if any."""

    card: ModelCard
    weights: WeightsFile
    settings: VisionSettings
    finder: WeightsFinder
    head: Path | None


def _facenet(of: _Opening) -> Embedder:
    settings = of.settings
    return open_facenet(of.card, of.weights, settings.runtime, settings.cache_dir, of.head, settings.precision)


def _dlib(of: _Opening) -> Embedder:
    landmarks = of.finder.find("shape_predictor_5_face_landmarks.dat").path
    return Embedder(of.card.spec(of.weights.sha256), dlib_models.DlibEngine(of.weights.path, landmarks))


def _deepface(of: _Opening) -> Embedder:
    engine = deepface_models.DeepFaceEmbedder(of.card, of.weights.path)
    return Embedder(of.card.spec(of.weights.sha256), engine, open_bare=lambda: engine.forward_inputs)


_EMBEDDERS: dict[str, Callable[[_Opening], Embedder]] = {"facenet": _facenet, "dlib": _dlib, "deepface": _deepface}


def _detector(settings: VisionSettings, finder: WeightsFinder) -> Callable[[], Detector]:
    """Finds the detector's file; returns the function that opens it."""
    if settings.detector == "dlib":
        return _dlib_detector(finder)
    try:
        return partial(YuNet, _find_yunet(finder).path, settings.canvas, settings.tiles, settings.cache_dir)
    except MissingWeights as error:
        if settings.detector == "yunet":
            raise
        try:
            instead = _dlib_detector(finder)
        except MissingWeights:  # of a package that is not installed: YuNet's error has an address
            raise error from None
        log.warning("%s", error)
        log.warning("using dlib's detector instead, which finds frontal faces from 40 px up")
        return instead


def open_yunet(settings: VisionSettings, finder: WeightsFinder) -> YuNet:
    """YuNet with the canvas and tiles of `settings`. Raises MissingWeights or StartError."""
    return YuNet(_find_yunet(finder).path, settings.canvas, settings.tiles)


def _find_yunet(finder: WeightsFinder) -> WeightsFile:
    return finder.find(YUNET_FILE, partial(deepface_models.weights_addresses, "face_detector", "yunet", "WEIGHTS_URL"))


def _dlib_detector(finder: WeightsFinder) -> Callable[[], Detector]:
    return partial(dlib_models.DlibDetector, finder.find("shape_predictor_68_face_landmarks.dat").path)


def _emotions(
    settings: VisionSettings, finder: WeightsFinder, own: EmotionSpec | None
) -> Callable[[], EmotionReader | None]:
    """Finds the emotion network's file; returns the function that opens it."""
    if settings.emotion == "deepface":
        addresses = partial(deepface_models.weights_addresses, "facial_attribute", "Emotion", "WEIGHTS_URL")
        names = (DEEPFACE_EMOTION_ONNX, DEEPFACE_EMOTION_FILE)
        name = choose(names, finder, tensorflow=_has_tensorflow(), onnx_too=True)
        return partial(_deepface_emotions, finder.find(name, addresses).path)
    return lambda: _own_emotions(own, settings.cache_dir) if own else None


def _own_emotions(spec: EmotionSpec, cache_dir: Path) -> EmotionReader:
    """Our own network. Raises StartError."""
    digest = hashlib.sha256(spec.onnx.read_bytes()).hexdigest()
    network = runtime.prepared(
        cache_dir, cache_key("emotion", digest, runtime.version()), lambda: runtime.in_batches(spec.onnx)
    )
    return EmotionReader(spec, open_split(network))


def _deepface_emotions(weights: Path) -> EmotionReader:
    if weights.suffix == ".h5":
        network = deepface_models.keras_emotion_network(weights)
    else:
        network = runtime.open_network(weights)
    return EmotionReader(deepface_emotion_spec(weights), deepface_models.DeepFaceEmotion(network))


def deepface_emotion_spec(weights: Path) -> EmotionSpec:
    """DeepFace's Emotion network, fed as DeepFace feeds it: the detector's box, 48x48, not calibrated."""
    return EmotionSpec(
        name="DeepFace Emotion",
        onnx=weights,
        labels=deepface_models.EMOTION_LABELS,
        input_size=48,
        side=1.0,
        down=0.0,
        calibration=Calibration(((1.0, 1.0),), certain_at=0.5),
    )
