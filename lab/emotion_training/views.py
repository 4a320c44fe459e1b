"""Augmented views of faces for the recognition network, on whose feature maps the head is trained; one at a time.

The head is trained on a few views per picture, made once, because FaceNet takes 15 ms per view.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lab.emotion_training.data import Faces, decode, members

Pixels = NDArray[np.uint8]

SIDE = 160
"""Pixels a side: FaceNet's own."""
SPAN = (0.92, 1.38)
"""The side of the view as a part of the picture's. The server shows FaceNet 1.15 of YuNet's box; FER2013's pictures are
0.96 of it and RAF-DB's 0.83, so that they have to be looked at from 1.20 and 1.39 times their side away."""
TURN, STRETCH, SHIFT = 10.0, 0.06, 0.06
"""Degrees; part of the span; part of the side. As in `augment`."""
GAMMA, SHADE, GAIN, NOISE = 0.35, 0.15, 0.2, 0.015
BLUR_CHANCE, BLUR_SIDES = 0.08, (24, 40)
ERASE_CHANCE, ERASE_SIDE = 0.15, (0.1, 0.35)


def colour_pictures(archive: Path, faces: Faces) -> dict[str, Pixels]:
    """The archive's pictures that are among `faces`, by path: RGB (H, W, 3), at their original size."""
    wanted = set(faces.paths.tolist())
    pictures = ((str(path), decode(encoded)) for path, encoded in members(archive) if str(path) in wanted)
    return {path: image if image.ndim == 3 else np.repeat(image[..., None], 3, 2) for path, image in pictures}


def training_view(image: Pixels, seed: int, index: int) -> Pixels:
    """A square picture moved, mirrored, shaded, blurred or partly covered: (160, 160, 3), determined by `seed` and
    `index` (the picture's number)."""
    drawn = np.random.default_rng([seed, index])
    span, stretch = drawn.uniform(*SPAN), drawn.uniform(-STRETCH, STRETCH)
    if drawn.random() < BLUR_CHANCE:
        small = int(drawn.integers(*BLUR_SIDES))
        shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(shrunk, image.shape[:2], interpolation=cv2.INTER_LINEAR), np.uint8)
    angle, right, down = drawn.uniform(-TURN, TURN), *(drawn.uniform(-SHIFT, SHIFT, 2) * span)
    moved = warped(image, angle, (span * (1 + stretch), span * (1 - stretch)), (right, down), bool(drawn.integers(2)))
    view = _lit(moved.astype(np.float32) / np.float32(255), drawn)
    if drawn.random() < ERASE_CHANCE:
        height, width = drawn.uniform(*ERASE_SIDE, 2) * SIDE
        top, left = drawn.uniform(0, 1, 2) * [SIDE - height, SIDE - width]
        view[int(top) : int(top + height), int(left) : int(left + width)] = view.mean((0, 1))
    view = view + NOISE * drawn.random() * drawn.standard_normal(view.shape, dtype=np.float32)
    return np.asarray(np.rint(np.clip(view, 0, 1) * 255), np.uint8)


def _lit(view: NDArray[np.float32], drawn: np.random.Generator) -> NDArray[np.float32]:
    """Changes the tone curve, adds light from one side, and changes brightness."""
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    curved = np.clip(view, 1e-3, 1) ** np.exp(drawn.uniform(-GAMMA, GAMMA))
    across, down = drawn.uniform(-SHADE, SHADE), drawn.uniform(-SHADE, SHADE)
    light = 1 + (across * ramp + down * ramp[:, None])[..., None]
    return np.asarray(curved * light * drawn.uniform(1 - GAIN, 1 + GAIN), np.float32)


def warped(image: Pixels, angle: float, spans: tuple[float, float], shift: tuple[float, float], mirror: bool) -> Pixels:
    """A square picture rotated by `angle` degrees, viewed at `spans` (x, y) times its side, and shifted by `shift`
    sides; replicates the border, like the server's crops."""
    side = image.shape[0]
    turn, step = np.deg2rad(angle), side / SIDE
    across = -spans[0] if mirror else spans[0]
    matrix = np.array(
        [[across * np.cos(turn), -spans[1] * np.sin(turn)], [across * np.sin(turn), spans[1] * np.cos(turn)]]
    )
    matrix *= step
    middle = (SIDE - 1) / 2
    origin = np.array([side / 2 - 0.5 + shift[0] * side, side / 2 - 0.5 + shift[1] * side]) - matrix @ [middle, middle]
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    whole = np.hstack([matrix, origin[:, None]])
    return np.asarray(cv2.warpAffine(image, whole, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE), np.uint8)
