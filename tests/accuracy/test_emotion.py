"""The shipped emotion model on real pictures, by the server's own code."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from scripts.evaluation import emotion
from server.vision.detector import Detector
from server.vision.emotion import EmotionReader, EmotionSpec
from server.vision.image import ImageLimits, decode_image
from server.vision.opening import EMOTION_MODEL
from server.vision.runtime import open_network

pytestmark = pytest.mark.shared

BY_EYE = Path(__file__).with_name("emotion_by_eye.json")
