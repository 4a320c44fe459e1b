"""Stores FaceNet's embeddings of the drawn reference pictures: `python -m lab.reference_embeddings WEIGHTS_FOLDER`.

Run once per network, on the weights file whose sha256 identifies it in galleries and the cohort; needs TensorFlow. For
the purpose see server/vision/identity.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from facewire.server.vision.deepface_models import keras_model, tensorflow_network
from facewire.server.vision.identity import reference_embeddings, reference_path
from facewire.server.vision.models import DEFAULT_MODEL, model_card
from facewire.server.vision.opening import find_weights
from facewire.server.vision.weights import WeightsFinder


def main(folder: Path) -> int:
    """Writes the reference of the default model."""
    card = model_card(DEFAULT_MODEL)
    weights = find_weights(card, WeightsFinder(folder, None), "tensorflow")
    width, height = card.input_size
    rows = reference_embeddings(card, tensorflow_network(keras_model(card, weights.path), height, width))
    np.savez(reference_path(card), allow_pickle=False, sha256=np.array(weights.sha256), embeddings=rows)
    print(f"{reference_path(card)}: {weights.sha256}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
