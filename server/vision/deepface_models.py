"""The only module that imports DeepFace and TensorFlow, and only inside functions: a start from the cache needs
neither.

DeepFace reads its home folder from the environment, which belongs to the whole process and is never changed here.
Downloads get an absolute path as their target; while a model is loaded, DeepFace is given another home, under a lock.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from facewire.server.errors import StartError
from facewire.server.vision.detector import Detection
from facewire.server.vision.image import Pixels
from facewire.server.vision.models import DEEPFACE_EMOTION_FILE, ModelCard
from facewire.server.vision.runtime import BATCH_SIZES, Floats, Network
from facewire.server.vision.weights import BrokeOff

_STDERR = 2  # the file descriptor
_SERVERS_FAULT = 500  # HTTP statuses from here on
_alone = threading.RLock()  # guards process-wide state: DeepFace's home, and where output goes
EMOTION_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@contextmanager
def _deepface_home(home: Path) -> Iterator[None]:
    """Replaces the function that tells DeepFace's models where their weights are, so that it returns `home`."""
    from deepface.commons import folder_utils

    with _alone:
        its_own = folder_utils.get_deepface_home
        folder_utils.get_deepface_home = lambda: str(home)
        try:
            yield
        finally:
            folder_utils.get_deepface_home = its_own


@contextmanager
def _no_greetings() -> Iterator[None]:
    """Silences TensorFlow while it is imported or started: it writes to the file descriptor itself, whatever its
    settings."""
    with _alone:
        sys.stderr.flush()
        kept = os.dup(_STDERR)
        try:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), _STDERR)
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)


@contextmanager
def _no_plots() -> Iterator[None]:
    """Hides matplotlib from Keras, which imports it wherever it is installed (`make bench` does). We plot nothing, and
    its first import writes a list of the machine's fonts to the home folder."""
    with _alone:
        if "matplotlib" in sys.modules:
            yield
            return
        sys.modules["matplotlib"] = None  # type: ignore[assignment]  # how Python says "not installed"
        try:
            yield
        finally:
            del sys.modules["matplotlib"]


@contextmanager
def no_bytecode() -> Iterator[None]:
    """While TensorFlow traces a network for OpenVINO, it imports modules that it writes to the temporary folder. It
    deletes them at exit, but not their bytecode: nothing is compiled to files meanwhile."""
    with _alone:
        before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            yield
        finally:
            sys.dont_write_bytecode = before


def download(name: str, urls: Sequence[str], home: Path) -> None:
    """DeepFace's own download, with its progress on stderr, into `home`/.deepface/weights. Safe to run concurrently.

    Raises OSError, or ValueError on failure, as its subclass BrokeOff if a retry may succeed.
    """
    from deepface.commons import weight_utils

    # DeepFace joins the name to its own folder; an absolute path overrides that.
    target = home / ".deepface" / "weights" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = Path(urls[0].partition("?")[0]).suffix
    try:
        if packed == ".zip":  # DeepFace would unpack it into its own folder
            archive = weight_utils.download_weights_if_necessary(f"{target}.zip", list(urls))
            shutil.unpack_archive(archive, target.parent)
        else:
            weight_utils.download_weights_if_necessary(
                str(target), list(urls), compress_type="bz2" if packed == ".bz2" else None
            )
    except (ValueError, EOFError, shutil.ReadError) as error:
        reason, passing = _explained(error.__cause__ or error)
        raise (BrokeOff if passing else ValueError)(reason) from error


def _explained(cause: BaseException) -> tuple[str, bool]:
    """Why a download failed, and whether a retry may succeed: not if the server can't be reached, or refused."""
    import requests
    from gdown import DownloadError
    from urllib3.exceptions import MaxRetryError

    said = (str(cause).splitlines() or [""])[0]  # further lines name our staging folder
    if isinstance(cause, requests.Timeout):
        return "no answer in time", False
    if isinstance(cause, requests.HTTPError) and cause.response is not None:
        return f"the answer was status {cause.response.status_code}", cause.response.status_code >= _SERVERS_FAULT
    if isinstance(cause, requests.ConnectionError):
        if any(isinstance(argument, MaxRetryError) for argument in cause.args):
            return "no connection could be made", False
        return "the connection was lost", True
    status = re.search(r"status code (\d{3})$", said)
    if status:  # DeepFace's wording
        return f"the answer was status {status[1]}", int(status[1]) >= _SERVERS_FAULT
    if isinstance(cause, DownloadError | EOFError):
        return said.rstrip(".") or "the download broke off", True
    return said or type(cause).__name__, False


def weights_addresses(task: str, model: str, attribute: str) -> list[str]:
    """The addresses DeepFace downloads a model's weights from; `attribute`: the constant in the module of its class."""
    found = getattr(_client_module(task, model)[0], attribute, None)
    if found is None:
        return []
    return [found] if isinstance(found, str) else list(found)


def _client_module(task: str, model: str) -> tuple[ModuleType, str]:
    """The module and name of DeepFace's class for a model: the TensorFlow one if that is installed, else the ONNX one.
    DeepFace itself would choose PyTorch on some machines, with weights in a third format."""
    import importlib

    from deepface.modules import modeling

    by_engine = modeling.AVAILABLE_MODELS[task][model]
    engine = "tensorflow" if tensorflow_version() else "onnx"
    module, _, name = (by_engine.get(engine) or by_engine[modeling.ANY]).rpartition(".")
    with _no_greetings(), _no_plots():
        return importlib.import_module(module), name


def keras_model(card: ModelCard, weights: Path) -> Any:
    """DeepFace's Keras network of a FaceNet with these weights; if the card names `maps`, those are its second output.
    Raises StartError if the file does not match."""
    model = _client("facial_recognition", card.name, card.weights_file, weights).model
    if card.maps is None:
        return model
    import tensorflow as tf

    return tf.keras.Model(model.inputs, [*model.outputs, model.get_layer(card.maps).output])


def tensorflow_network(model: Any, height: int, width: int, head: Network | None = None) -> Network:
    """A Keras network as a `tf.function` with bounded batch sizes: six times as fast as calling it as DeepFace does.

    Returns the first of several outputs; with `head`, each row is followed by the head's output for the second.
    """
    import tensorflow as tf

    forward = tf.function(
        lambda batch: tf.nest.flatten(model(batch, training=False)),
        input_signature=[tf.TensorSpec((None, height, width, 3), tf.float32)],
        autograph=False,  # it would write modules to the temporary folder, as in `no_bytecode`
    )

    def rows(batch: NDArray[Any]) -> NDArray[Any]:
        first, *others = (output.numpy() for output in forward(tf.constant(batch)))
        return np.concatenate([first, head(others[0])], axis=1) if head else first

    def run(batch: NDArray[Any]) -> Floats:
        largest = BATCH_SIZES[-1]
        return cast(Floats, np.concatenate([rows(batch[at : at + largest]) for at in range(0, len(batch), largest)]))

    return run


def tensorflow_version() -> str | None:
    """The installed version, without importing TensorFlow; None if it is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("tensorflow")
    except PackageNotFoundError:
        return None


class DeepFaceEmbedder:
    """A model cropped, resized and normalised as in DeepFace; for models without a measured recipe of ours."""

    def __init__(self, card: ModelCard, weights: Path) -> None:
        self._client = _client("facial_recognition", card.name, card.file_like(weights), weights)
        self._one_at_a_time = threading.Lock()  # guards the client: SFace's OpenCV network stores its activations
        width, height = card.input_size
        self._size = (height, width)

    def crop(self, image: Pixels, face: Detection) -> Pixels:
        """See `deepface_crop`."""
        return deepface_crop(image, face, align=True)

    def forward(self, crops: Sequence[Pixels]) -> Floats:
        """(n, d) embeddings, not of unit length."""
        return self.forward_inputs(np.stack([deepface_input(crop, self._size) for crop in crops]))

    def forward_inputs(self, batch: NDArray[Any]) -> Floats:
        """The same of what `deepface_input` makes of the crops, (n, height, width, 3)."""
        with self._one_at_a_time:
            return np.asarray([self._client.forward(one[np.newaxis]) for one in batch], np.float32)


def deepface_crop(image: Pixels, face: Detection, *, align: bool) -> Pixels:
    """The face's box, with `align` rotated until the eyes are level, as DeepFace's extract_face does it; RGB of any
    size."""
    from deepface.models.Detector import FacialAreaRegion
    from deepface.modules import detection

    x, y, width, height = (int(value) for value in face.box)
    # DeepFace's "left eye" is the one on the picture's right: the person's own left.
    right_eye, left_eye = ((int(px), int(py)) for px, py in face.landmarks[:2])
    region = FacialAreaRegion(max(x, 0), max(y, 0), width, height, left_eye, right_eye, face.score)
    found = detection.extract_face(
        facial_area=region,
        img=image,
        align=align,
        expand_percentage=0,
        width_border=0,
        height_border=0,
        detector_backend="yunet",
    )
    return np.asarray(found.img, np.uint8)


def deepface_input(crop: NDArray[Any], size: tuple[int, int]) -> Floats:
    """A crop, RGB, as DeepFace feeds it to a network of `size` (height, width): resized, padded with black;
    (height, width, 3) float32 BGR from 0 to 1. A crop of floats is resized as floats."""
    from deepface.modules import preprocessing

    return np.asarray(preprocessing.resize_image(crop[:, :, ::-1], size)[0], np.float32)


class DeepFaceEmotion:
    """DeepFace's Emotion network: (n, 1, 48, 48) grey in 0..1 -> (n, 7) log-probabilities."""

    def __init__(self, network: Network) -> None:
        """`network`: (n, 48, 48, 1) -> (n, 7) probabilities."""
        self._network = network

    def __call__(self, batch: NDArray[Any]) -> Floats:
        faces = np.asarray(batch, np.float32).reshape(-1, 48, 48, 1)
        rows = self._network(faces)
        return np.asarray(np.log(np.maximum(rows, np.finfo(np.float32).tiny)), np.float32)


def keras_emotion_network(weights: Path) -> Network:
    """DeepFace's Emotion network in TensorFlow."""
    model = _client("facial_attribute", "Emotion", DEEPFACE_EMOTION_FILE, weights).model
    return lambda faces: np.asarray(model(faces, training=False), np.float32)


def _client(task: str, name: str, weights_file: str, weights: Path) -> Any:
    """DeepFace's model, loaded from any file."""
    import tempfile

    with tempfile.TemporaryDirectory() as home, _deepface_home(Path(home)):
        link = Path(home) / ".deepface" / "weights" / weights_file
        link.parent.mkdir(parents=True)
        link.symlink_to(weights.resolve())
        try:
            # Not with build_model: its cache is keyed by name alone and would ignore another file of the same model.
            module, client = _client_module(task, name)
            with _no_greetings():
                return getattr(module, client)()
        except (ValueError, OSError) as error:
            raise StartError(
                f"{weights} does not hold the weights of {name}: delete it, and it is downloaded again"
            ) from error
        except ImportError as error:
            raise StartError(f"{name} needs a package that is not installed: {error}") from error
