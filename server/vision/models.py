"""The models that `--model` accepts: their weights files and their preprocessing.

Facenet512, Facenet and Dlib are fed as their networks were trained, regardless of DeepFace's defaults (FACTS: its
default costs FaceNet 2.7 points of accuracy on LFW). The others get DeepFace's own preprocessing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from facewire.server.errors import StartError
from facewire.server.spec import Crop, EmbeddingSpec

DEFAULT_MODEL = "Facenet512"
FALLBACK_MODEL = "Dlib"  # its weights come from the package index, so it works without any other download

YUNET_FILE = "face_detection_yunet_2023mar.onnx"
DEEPFACE_EMOTION_FILE = "facial_expression_model_weights.h5"
DEEPFACE_EMOTION_ONNX = "facial_expression_model_weights.onnx"

# Files with known content. FaceNet's are only recorded in the spec: releases differ in how they store the floats.
KNOWN_SHA256 = {
    YUNET_FILE: "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    "dlib_face_recognition_resnet_model_v1.dat": "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    "shape_predictor_5_face_landmarks.dat": "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    "shape_predictor_68_face_landmarks.dat": "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
}

# The margin, and the mean of two mirrored views for templates: docs/accuracy.md and FACTS ("What FaceNet must be fed").
_FACENET_CROP = Crop("square", 0.15)
_DEEPFACE_CROP = Crop("deepface", 0.0)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model without its weights; `family`: the engine that runs it.

    `onnx_file`: the same network as an ONNX file, if `weights_file` can only be read by TensorFlow. `maps`: the Keras
    layer whose feature maps the emotion head reads (data/models/README.md); None: no head fits. `maps_relu`: the same
    layer in an ONNX file, where layers may have lost their names: (channels, n) is the n-th ReLU, from 1, with that
    many channels.
    """

    name: str
    family: Literal["facenet", "dlib", "deepface"]
    weights_file: str
    crop: Crop
    colour: Literal["RGB", "BGR"]
    normalisation: str
    input_size: tuple[int, int]
    dimension: int
    template_views: Literal[1, 2] = 1
    onnx_file: str | None = None
    maps: str | None = None
    maps_relu: tuple[int, int] | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Possible names of its weights file, the preferred one first."""
        return (self.onnx_file, self.weights_file) if self.onnx_file else (self.weights_file,)

    def file_like(self, weights: Path) -> str:
        """DeepFace's name for a weights file of this format."""
        return next(name for name in self.files if Path(name).suffix == weights.suffix)

    def spec(self, weights_sha256: str) -> EmbeddingSpec:
        """The spec of this model's embeddings with these weights."""
        return EmbeddingSpec(
            model=self.name,
            weights_sha256=weights_sha256,
            crop=self.crop,
            colour=self.colour,
            normalisation=self.normalisation,
            input_size=self.input_size,
            dimension=self.dimension,
            template_views=self.template_views,
        )


def _facenet(name: str, file: str, normalisation: str, dimension: int) -> ModelCard:
    return ModelCard(
        name, "facenet", f"{file}.h5", _FACENET_CROP, "RGB", normalisation, (160, 160), dimension, 2, f"{file}.onnx"
    )


def _deepface(
    name: str, weights_file: str, input_size: tuple[int, int], dimension: int, onnx_file: str | None = None
) -> ModelCard:
    card = ModelCard(name, "deepface", weights_file, _DEEPFACE_CROP, "BGR", "deepface base", input_size, dimension)
    return replace(card, onnx_file=onnx_file)


_CARDS = (
    replace(
        _facenet("Facenet512", "facenet512_weights", "(x-127.5)/128", 512),
        maps="Block17_5_Activation",
        maps_relu=(896, 5),
    ),
    _facenet("Facenet", "facenet_weights", "per image: (x-mean)/std", 128),
    ModelCard(
        "Dlib",
        "dlib",
        "dlib_face_recognition_resnet_model_v1.dat",
        Crop("landmarks", 0.25),
        "RGB",
        "dlib",
        (150, 150),
        128,
        2,
    ),
    _deepface("VGG-Face", "vgg_face_weights.h5", (224, 224), 4096, "vgg_face_weights.onnx"),
    _deepface("OpenFace", "openface_weights.h5", (96, 96), 128, "openface_weights.onnx"),
    _deepface(
        "DeepFace",
        "VGGFace2_DeepFace_weights_val-0.9034.h5",
        (152, 152),
        4096,
        "VGGFace2_DeepFace_weights_val-0.9034.onnx",
    ),
    _deepface("DeepID", "deepid_keras_weights.h5", (47, 55), 160, "deepid_weights.onnx"),
    _deepface("ArcFace", "arcface_weights.h5", (112, 112), 512, "arcface_weights.onnx"),
    _deepface("SFace", "face_recognition_sface_2021dec.onnx", (112, 112), 128),
    _deepface("GhostFaceNet", "ghostfacenet_v1.h5", (112, 112), 512, "ghostfacenet_v1.onnx"),
    _deepface("Buffalo_L", "buffalo_l/webface_r50.onnx", (112, 112), 512),
)

MODELS = {card.name: card for card in _CARDS}


def model_card(name: str) -> ModelCard:
    """The card of a model, by DeepFace's name for it, ignoring case. Raises StartError (exit code 2) for unknown
    names."""
    for card in _CARDS:
        if card.name.casefold() == name.casefold():
            return card
    raise StartError(f"there is no model '{name}': choose one of {', '.join(MODELS)}", exit_code=2)
