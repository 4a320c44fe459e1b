"""Finds or downloads the file of a network's weights.

In this order: `--weights-dir`; DeepFace's own folder (`$DEEPFACE_HOME/.deepface/weights`, by default in the home
folder); an installed package that contains the file (face_recognition_models: dlib's); a download with DeepFace's own
code, into a temporary folder from which only a complete and correct file is moved into place.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facewire.server.errors import StartError
from facewire.server.vision import runtime
from facewire.server.vision.models import KNOWN_SHA256

log = logging.getLogger("facewire.weights")

# (file name, addresses to try, DeepFace home to download into); raises ValueError or OSError on failure
Download = Callable[[str, Sequence[str], Path], None]

INSTALL_TENSORFLOW = 'pip install "facewire[tensorflow]" (in a checkout: make setup TENSORFLOW=1)'
CARRIERS = ("face_recognition_models",)  # packages with weights in their folder `models`


_HDF5 = b"\x89HDF\r\n\x1a\n"
_TRIES = 3
_PAUSE_S = 1.0  # before the second try; twice as long before the third


class BrokeOff(ValueError):
    """A failed download that may succeed when retried."""


class MissingWeights(StartError):
    """The file was not found and can't be downloaded: the only failure that callers may recover from."""

    def __init__(self, message: str, *, file: str) -> None:
        super().__init__(message)
        self.file = file


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """An existing file, with the sha256 of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class WeightsFinder:
    """Searches the places above. `mirror`: a base URL that replaces the built-in addresses, for closed networks."""

    weights_dir: Path | None
    download: Download | None
    mirror: str | None = None

    def find(self, name: str, addresses: Callable[[], Sequence[str]] = tuple) -> WeightsFile:
        """The file `name`, downloaded if necessary. `addresses` is only called if it is not on this machine.

        Raises MissingWeights if it is not found and can't be downloaded, StartError if its content is wrong.
        """
        for folder in self.places():
            path = folder / name
            if path.is_file():
                return checked(path, name)
        urls = [f"{self.mirror.rstrip('/')}/{Path(name).name}"] if self.mirror else list(addresses())
        if self.download is not None and urls:
            return self._fetched(name, urls)
        raise self._missing(name, urls, "it is not on this machine")

    def first(self, names: Sequence[str]) -> str | None:
        """The first of `names` found on this machine, ordered by place, then by name."""
        return next((name for folder in self.places() for name in names if (folder / name).is_file()), None)

    def places(self) -> list[Path]:
        """The folders searched, in order."""
        given = [self.weights_dir, self.weights_dir / ".deepface" / "weights"] if self.weights_dir else []
        return [*given, deepface_home() / ".deepface" / "weights", *_carrier_folders()]

    def _target(self) -> Path:
        return self.weights_dir or deepface_home() / ".deepface" / "weights"

    def _fetched(self, name: str, urls: Sequence[str]) -> WeightsFile:
        target = self._target() / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # Beside the target, so that moving the finished file is one atomic rename.
            with tempfile.TemporaryDirectory(prefix=".fetching-", dir=target.parent) as staging:
                self._download(name, urls, Path(staging))
                fetched = Path(staging) / ".deepface" / "weights" / name
                _check_download(fetched, name)
                fetched.replace(target)
        except OSError as error:
            reason = f"{target.parent} can't be written ({error.strerror or error})"
            raise self._missing(name, urls, reason) from error
        except ValueError as error:
            raise self._missing(name, urls, f"downloading it failed: {error}") from error
        return checked(target, name)

    def _download(self, name: str, urls: Sequence[str], staging: Path) -> None:
        """Raises OSError, or ValueError with the reason for the user."""
        assert self.download is not None
        for number in range(1, _TRIES):
            log.info("downloading %s from %s", name, urls[0])
            try:
                self.download(name, urls, staging)
            except BrokeOff as error:
                log.warning("downloading %s failed: %s; trying again in %g s", name, error, number * _PAUSE_S)
                time.sleep(number * _PAUSE_S)
            else:
                return
        self.download(name, urls, staging)

    def _missing(self, name: str, urls: Sequence[str], why: str) -> MissingWeights:
        places = ", ".join(str(place) for place in self.places())
        fetch = f"Download it from {' or '.join(urls)} and put" if urls else "Put"
        target = self._target()
        make = "" if target.is_dir() else " (make that folder first)"
        return MissingWeights(
            f"{name} is needed, but {why}. Looked in {places}. {fetch} it in {target}{make}", file=name
        )


def choose(names: Sequence[str], finder: WeightsFinder, *, tensorflow: bool, onnx_too: bool) -> str:
    """The name to look for among the possible names of one network's weights, preferred first.

    `tensorflow`: whether it is installed, so that .h5 files are readable. `onnx_too`: an ONNX file may be used even if
    TensorFlow is installed. Raises StartError if there is only a file that can't be read here.
    """
    keras = [name for name in names if name.endswith(".h5")]
    others = [name for name in names if name not in keras]
    if tensorflow and keras:
        return (onnx_too and finder.first(names)) or keras[0]
    if others and (finder.first(others) or not finder.first(keras)):
        return others[0]
    fetch = f", or download {others[0]}, which needs none" if others else ""
    raise StartError(f"{keras[0]} is read by TensorFlow, which is not installed: {INSTALL_TENSORFLOW}{fetch}")


def deepface_home() -> Path:
    """DeepFace's home folder, by DeepFace's own rule."""
    return Path(os.environ.get("DEEPFACE_HOME", Path.home()))


def checked(path: Path, name: str) -> WeightsFile:
    """The file with its sha256. Raises StartError if it is empty, or known and its content is wrong."""
    if path.stat().st_size == 0:
        raise StartError(f"{path} is empty: delete it, and it is downloaded again")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = KNOWN_SHA256.get(Path(name).name)
    if known is not None and digest != known:
        raise StartError(
            f"{path} is damaged or not the released file (its sha256 is {digest}):"
            " delete it, and it is downloaded again"
        )
    return WeightsFile(path, digest)


def _check_download(path: Path, name: str) -> None:
    """Raises ValueError for an incomplete or wrong file; `checked` would advise deleting a file that is temporary
    anyway. FaceNet's files have no known hash, but both of their formats reveal truncation."""
    try:
        checked(path, name)
        with path.open("rb") as file:
            begins = file.read(1024)
        if begins.startswith(_HDF5) and path.stat().st_size < _hdf5_length(begins):
            raise ValueError
        if path.suffix == ".onnx":
            runtime.read_model(path)
    except (StartError, OSError, ValueError, struct.error):
        raise ValueError("the download is damaged, or is a different file") from None
    if begins.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise ValueError("the download is a web page, perhaps a network's login")


def _hdf5_length(begins: bytes) -> int:
    """A file's length according to its superblock, whose versions store it at different offsets. Raises
    struct.error."""
    at = {0: 40, 1: 44}.get(begins[len(_HDF5)], 28)
    return int(struct.unpack_from("<Q", begins, at)[0])


def _carrier_folders() -> list[Path]:
    specs = (importlib.util.find_spec(package) for package in CARRIERS)
    roots = [location for spec in specs if spec for location in spec.submodule_search_locations or ()]
    return [Path(root) / "models" for root in roots]
