"""Settings -> an Analyser: finds the weights, converts a network once, and puts the room together."""

from __future__ import annotations

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
from facewire.server.errors import StartError
from facewire.server.spec import EmbeddingSpec
from facewire.server.vision import deepface_models, dlib_models, runtime
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.cache import default_cache_dir
from facewire.server.vision.decoding.decoder import Decoder, DecodingSettings
from facewire.server.vision.detector import TILES, Detector, YuNet
from facewire.server.vision.embedder import Embedder
from facewire.server.vision.emotion import Calibration, EmotionReader, EmotionSpec
from facewire.server.vision.facenet import Runtime, open_facenet
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
from facewire.server.vision.turning import AnyWayUp
from facewire.server.vision.weights import MissingWeights, WeightsFile, WeightsFinder, choose

EmotionChoice = Literal["facewire", "deepface", "off"]
DetectorChoice = Literal["auto", "yunet", "dlib"]

EMOTION_MODEL = MODELS / "emotion.json"

log = logging.getLogger("facewire.vision")


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """What the vision room can be told. `canvas`: the longest side, in pixels, at which a picture is searched; `tiles`:
    see `YuNet`."""

    model: str = DEFAULT_MODEL
    weights_dir: Path | None = setting(
        None, metavar="DIR",
        help="where the weights lie; else $DEEPFACE_HOME/.deepface/weights, installed packages, a download",
    )  # fmt: skip
    mirror: str | None = setting(
        None, flag="--weights-mirror", metavar="URL", help="fetch missing weights from URL/FILE instead of their home"
    )
    downloads: bool = setting(
        True, flag="--no-download", help="never fetch weights: what is not on this machine is an error"
    )
    runtime: Runtime = setting("openvino")
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


def open_analyser(settings: VisionSettings) -> Analyser:
    """Everything loaded, nothing warmed. Raises StartError with what to do next."""
    finder = WeightsFinder(
        settings.weights_dir, deepface_models.download if settings.downloads else None, settings.mirror
    )
    card = model_card(settings.model)
    if settings.runtime == "tensorflow" and card.family != "facenet":
        raise StartError(
            f"--runtime tensorflow is for Facenet512 and Facenet; {card.name} has one runtime", exit_code=2
        )
    own = EmotionSpec.load(EMOTION_MODEL) if settings.emotion == "facewire" else None
    # Files are found, and fetched, on this thread: Ctrl-C reaches no other, and progress is shown one by one.
    open_detector = _detector(settings, finder)
    with ExitStack() as on_failure:
        decoder = on_failure.enter_context(closing(Decoder(settings.decoding)))  # which starts meanwhile
        with ThreadPoolExecutor(2) as aside:  # compiling a network takes one core some tenths of a second
            opening_detector = aside.submit(open_detector)
            weights = find_weights(card, finder, settings.runtime)
            opening_emotions = aside.submit(_emotions(settings, finder, own))
            embedder = _open_found(card, weights, settings, finder, own)
            detector, emotions = opening_detector.result(), opening_emotions.result()
        decoder.wait_until_ready()
        on_failure.pop_all()
    log.info("model %s, detector %s, runtime %s", card.name, detector.name, settings.runtime)
    return Analyser(
        AnyWayUp(detector), embedder, emotions, decoder, settings.limits, queue_capacity=settings.queue_capacity
    )


def open_embedder(
    card: ModelCard, settings: VisionSettings, finder: WeightsFinder, emotions: EmotionSpec | None = None
) -> Embedder:
    """A recognition model and, where it can carry it, the head of `emotions`. Raises MissingWeights or StartError."""
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
    riding = head.onnx if head and fits else None
    return _EMBEDDERS[card.family](_Opening(card, weights, settings, finder, riding))


def find_weights(card: ModelCard, finder: WeightsFinder, with_runtime: Runtime = "openvino") -> WeightsFile:
    """The file with a recognition model's weights, in a format that can be read here. Raises MissingWeights or
    StartError."""
    names = (card.weights_file,) if with_runtime == "tensorflow" else card.files
    name = choose(names, finder, tensorflow=_has_tensorflow(), onnx_too=card.family == "facenet")
    attributes = {"Facenet": "FACENET128_WEIGHTS", "Facenet512": "FACENET512_WEIGHTS", "Dlib": "WEIGHT_URL"}
    attribute = attributes.get(card.name, "WEIGHTS_URL")
    addresses = partial(deepface_models.weights_addresses, "facial_recognition", card.name, attribute)
    return finder.find(name, addresses)


def _has_tensorflow() -> bool:
    return deepface_models.tensorflow_version() is not None


def hint_of_better_weights(spec: EmbeddingSpec, settings: VisionSettings, db: Path) -> str | None:
    """What to do where a gallery was built with the fallback, and the default model's weights have come since."""
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
    """What an embedder is made of; `head` is the network to ride on it, if any."""

    card: ModelCard
    weights: WeightsFile
    settings: VisionSettings
    finder: WeightsFinder
    head: Path | None


def _facenet(of: _Opening) -> Embedder:
    return open_facenet(of.card, of.weights, of.settings.runtime, of.settings.cache_dir, of.head)


def _dlib(of: _Opening) -> Embedder:
    landmarks = of.finder.find("shape_predictor_5_face_landmarks.dat").path
    return Embedder(of.card.spec(of.weights.sha256), dlib_models.DlibEngine(of.weights.path, landmarks))


def _deepface(of: _Opening) -> Embedder:
    return Embedder(of.card.spec(of.weights.sha256), deepface_models.DeepFaceEmbedder(of.card, of.weights.path))


_EMBEDDERS: dict[str, Callable[[_Opening], Embedder]] = {"facenet": _facenet, "dlib": _dlib, "deepface": _deepface}


def _detector(settings: VisionSettings, finder: WeightsFinder) -> Callable[[], Detector]:
    """What opens the detector, its file found."""
    if settings.detector == "dlib":
        return _dlib_detector(finder)
    try:
        return partial(YuNet, _find_yunet(finder).path, settings.canvas, settings.tiles)
    except MissingWeights as error:
        if settings.detector == "yunet":
            raise
        log.warning("%s", error)
        log.warning("going on with dlib's detector, which finds frontal faces from 40 px up")
        return _dlib_detector(finder)


def open_yunet(settings: VisionSettings, finder: WeightsFinder) -> YuNet:
    """YuNet with the canvas of `settings`. Raises MissingWeights or StartError."""
    return YuNet(_find_yunet(finder).path, settings.canvas, settings.tiles)


def _find_yunet(finder: WeightsFinder) -> WeightsFile:
    return finder.find(YUNET_FILE, partial(deepface_models.weights_addresses, "face_detector", "yunet", "WEIGHTS_URL"))


def _dlib_detector(finder: WeightsFinder) -> Callable[[], Detector]:
    return partial(dlib_models.DlibDetector, finder.find("shape_predictor_68_face_landmarks.dat").path)


def _emotions(
    settings: VisionSettings, finder: WeightsFinder, own: EmotionSpec | None
) -> Callable[[], EmotionReader | None]:
    """What opens the emotions, their file found."""
    if settings.emotion == "deepface":
        addresses = partial(deepface_models.weights_addresses, "facial_attribute", "Emotion", "WEIGHTS_URL")
        names = (DEEPFACE_EMOTION_ONNX, DEEPFACE_EMOTION_FILE)
        name = choose(names, finder, tensorflow=_has_tensorflow(), onnx_too=True)
        return partial(_deepface_emotions, finder.find(name, addresses).path)
    return lambda: EmotionReader(own, runtime.open_network(own.onnx)) if own else None


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
