"""A CLIP model: pictures and English sentences in one space, where a picture lies near what describes it.

Source: "Learning Transferable Visual Models From Natural Language Supervision" (Radford et al., 2021), and open_clip.
The operator brings a folder in the form that open_clip's models have as ONNX (docs/text-search.md):

    visual/model.onnx, visual/preprocess_cfg.json, textual/model.onnx, textual/tokenizer.json
    textual/tokenizer_config.json and config.json, if the model came with them
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facewire.server.cores import cores
from facewire.server.errors import StartError
from facewire.server.vision import runtime
from facewire.server.vision.image import Pixels
from facewire.server.vision.runtime import Floats

VISUAL, PREPROCESSING = "visual/model.onnx", "visual/preprocess_cfg.json"
TEXTUAL, TOKENIZER = "textual/model.onnx", "textual/tokenizer.json"
TOKENIZER_CONFIG, CONFIG = "textual/tokenizer_config.json", "config.json"
NEEDED = (VISUAL, PREPROCESSING, TEXTUAL, TOKENIZER)

CONTEXT = 77  # tokens of a sentence where no file says otherwise: CLIP's own
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)
_SIDES = range(32, 1025)
_CONTEXTS = range(4, 1025)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What open_clip does to a picture. `size`: height and width in pixels; `squash`: the picture is distorted to it,
    and not cropped; `mean`, `std`: of each channel of RGB, from 0 to 1."""

    size: tuple[int, int]
    squash: bool
    resampling: Image.Resampling
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises StartError."""
        try:
            return cls._of(path, _json(path))
        except (TypeError, ValueError) as error:  # a text for a number, or three sides
            raise StartError(f"{path} is damaged: {error}") from error

    @classmethod
    def _of(cls, path: Path, told: Mapping[str, Any]) -> Self:
        size, mode = told.get("size", 224), told.get("resize_mode", "shortest")
        height, width = (size, size) if isinstance(size, int) else size
        if mode not in ("shortest", "squash") or told.get("interpolation", "bicubic") not in _FILTERS:
            raise StartError(f"{path}: resize_mode must be shortest or squash, and interpolation bicubic or bilinear")
        mean, std = tuple(told.get("mean", _CLIP_MEAN)), tuple(told.get("std", _CLIP_STD))
        if not {height, width} <= set(_SIDES) or not len(mean) == len(std) == 3 or min(std) <= 0:
            raise StartError(f"{path} is damaged: size, mean or std is not what a picture has")
        return cls((height, width), mode == "squash", _FILTERS[told.get("interpolation", "bicubic")], mean, std)

    def __call__(self, pixels: Pixels) -> Floats:
        """(h, w, 3) RGB bytes -> (1, 3, height, width)."""
        image, (height, width) = Image.fromarray(pixels), self.size
        across, down = float(image.width), float(image.height)  # what is seen of it, in its middle
        if not self.squash:
            # Cut before it is scaled: of a strip of one pixel by 100,000, the whole would become billions of pixels.
            scale = max(height / image.height, width / image.width)
            across, down = min(across, width / scale), min(down, height / scale)
        left, top = (image.width - across) / 2, (image.height - down) / 2
        image = image.resize((width, height), self.resampling, box=(left, top, left + across, top + down))
        values = (np.asarray(image, np.float32) / 255 - np.array(self.mean, np.float32)) / np.array(
            self.std, np.float32
        )
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


class Clip:
    """`fingerprint`: of what its vectors depend on; `dimension`: of its vectors. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder's networks. Raises StartError, saying which file is missing or unfit."""
        missing = [name for name in NEEDED if not (folder / name).is_file()]
        if missing:
            raise StartError(
                f"--clip {folder}: {', '.join(missing)} missing; docs/text-search.md says which files a model has"
            )
        self.preprocessing = Preprocessing.load(folder / PREPROCESSING)
        visual, textual = (runtime.read_model(folder / name) for name in (VISUAL, TEXTUAL))
        height, width = self.preprocessing.size
        self.dimension = _fitted(folder / VISUAL, visual, (1, 3, height, width))
        context, self._plain = _text_settings(folder / CONFIG)
        own = runtime.shape_of(textual)[-1]
        context = own if own > 0 else context
        dimension = _fitted(folder / TEXTUAL, textual, (1, context))
        if dimension != self.dimension:
            raise StartError(
                f"{folder}: pictures have {self.dimension} numbers and texts {dimension}: the files are of two models"
            )
        self._tokens = runtime.input_type(textual)
        self._tokenizer = _tokenizer(folder, context)
        # Of a picture the other core goes on serving; a text is waited for.
        self._visual = runtime.OpenVinoGraph(visual, streams=1, threads=1)
        self._textual = runtime.OpenVinoGraph(textual, streams=1, threads=cores())
        self.fingerprint = _fingerprint(folder / VISUAL)

    def picture(self, pixels: Pixels) -> Floats:
        """(h, w, 3) RGB bytes -> (d,), of length 1."""
        return _unit(self._visual.run(self.preprocessing(pixels))[0])

    def text(self, sentence: str) -> Floats:
        """-> (d,), of length 1. What is longer than the model's context is cut off."""
        if self._plain:
            sentence = " ".join(sentence.translate(_WITHOUT_PUNCTUATION).lower().split())
        ids = self._tokenizer.encode(sentence).ids
        return _unit(self._textual.run(np.array([ids], self._tokens))[0])


def _fingerprint(network: Path) -> str:
    """Of the network and all beside it: how pictures are cut, and weights in files of their own."""
    digest = hashlib.sha256()
    for path in sorted(path for path in network.parent.iterdir() if path.is_file()):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:20]


def _unit(vectors: NDArray[Any]) -> Floats:
    vector = np.asarray(vectors, np.float32).reshape(-1)
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12), np.float32)


def _fitted(path: Path, model: Any, shape: tuple[int, ...]) -> int:
    """Of how many numbers a vector is that the model gives when it is fed this shape, which is set. Raises
    StartError."""
    own = runtime.shape_of(model)
    if len(own) != len(shape) or any(side not in (-1, wanted) for side, wanted in zip(own, shape, strict=True)):
        raise StartError(f"{path} doesn't take an input of {shape}: it is another model's, or not of open_clip's form")
    try:
        given = runtime.shape_of(runtime.reshape(model, shape), output=True)
    except RuntimeError as error:
        raise StartError(f"{path} can't be fed an input of {shape}: {str(error).splitlines()[0]}") from error
    if len(given) != 2 or given[0] != 1 or given[1] < 1:
        raise StartError(f"{path} gives {given}, where one vector is wanted: it is not of open_clip's form")
    return given[1]


def _text_settings(path: Path) -> tuple[int, bool]:
    """(tokens of a sentence, whether it is read without case and punctuation). Raises StartError."""
    told = _json(path).get("text_cfg") if path.is_file() else None
    told = told if isinstance(told, dict) else {}
    context, more = told.get("context_length", CONTEXT), told.get("tokenizer_kwargs")
    if context not in _CONTEXTS:
        raise StartError(f"{path} is damaged: context_length is {context}")
    return int(context), isinstance(more, dict) and more.get("clean") == "canonicalize"


def _tokenizer(folder: Path, context: int) -> Any:
    """The model's own, giving `context` numbers for every text. Raises StartError."""
    try:
        library = import_module("tokenizers")
    except ModuleNotFoundError as error:
        raise StartError("--clip needs the package tokenizers: pip install 'facewire[clip]'") from error
    try:
        tokenizer = library.Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:
        raise StartError(f"{folder / TOKENIZER} can't be read as a tokenizer: {error}") from error
    padding: Mapping[str, Any] = tokenizer.padding or {}
    name, number = padding.get("pad_token", "!"), padding.get("pad_id", 0)  # CLIP's own pads with 0, which is "!"
    if (folder / TOKENIZER_CONFIG).is_file():
        told = _json(folder / TOKENIZER_CONFIG).get("pad_token")
        said = told.get("content") if isinstance(told, dict) else told
        if isinstance(said, str) and tokenizer.token_to_id(said) is not None:
            name, number = said, tokenizer.token_to_id(said)
    tokenizer.enable_padding(length=context, pad_token=name, pad_id=number)
    tokenizer.enable_truncation(max_length=context)
    return tokenizer


def _json(path: Path) -> dict[str, Any]:
    """Raises StartError."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartError(f"{path} can't be read: {error}") from error
    if not isinstance(told, dict):
        raise StartError(f"{path} is damaged: it holds no JSON object")
    return cast(dict[str, Any], told)
