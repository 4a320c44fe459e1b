"""Renders a look: the face on its canvas, cut out softly, and photographed in front of a background."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lab.sample_people.geometry import SIDE, Image, from_canvas
from lab.sample_people.model import FaceModel
from lab.sample_people.people import Look

Mask = NDArray[np.float32]

PICTURE = 250
"""Pixels a side of a portrait, as in LFW."""
OUTER_COMPONENTS = 24
"""Even components used outside of the face. More of them draw second outlines of hair that belong to nobody."""
OUTER_COLOUR = 0.65
"""Of the colour outside of the face: hair and clothes mix the colours of all backgrounds."""
SKIN_TINT = 0.5
"""Of a face's deviation from the mean face's colour that is kept: the rest is the light of press photographs."""
FACE_SHARPENING, HAIR_SHARPENING = (0.7, 1.6), (0.7, 5.0)
"""Amount and radius in pixels: components are means of many faces, softer than any of them, and softest at the hair."""


@dataclass(frozen=True, slots=True)
class Cutout:
    """`pixels` (SIDE, SIDE, 3) with `alpha` (SIDE, SIDE), 1 on the person."""

    pixels: Image
    alpha: Mask


@dataclass(frozen=True, slots=True)
class Shot:
    """How a portrait is photographed: `scale` picture pixels per canvas pixel, `turn` in degrees, `shift` in pixels,
    `light` and `tilt` (brightness, and how much more of it on the right), `blur` and `grain` as deviations."""

    scale: float
    turn: float
    shift: tuple[float, float]
    light: float
    tilt: float
    blur: float
    grain: float


def draw_shot(rng: np.random.Generator) -> Shot:
    """Random small differences, like between two pictures of an album."""
    return Shot(
        scale=rng.uniform(1.28, 1.5),
        turn=rng.normal(0, 3),
        shift=(rng.normal(0, 5), rng.uniform(0, 6)),
        light=rng.uniform(0.92, 1.1),
        tilt=rng.normal(0, 0.06),
        blur=rng.uniform(0, 0.6),
        grain=rng.uniform(0.8, 2.0),
    )


def cut_out(model: FaceModel, look: Look) -> Cutout:
    """The face on its canvas."""
    inner = _inside(0.54, 0.27, 0.34, softness=0.35)[..., None]
    plain = model.texture(look.even[:OUTER_COMPONENTS], look.odd[:0])
    pixels: Image = np.asarray(plain + inner * (model.texture(look.even, look.odd) - plain), np.float32)
    pixels = _tinted(pixels, model.mean_texture)
    silhouette = _silhouette()
    pixels = _sharpened(pixels, silhouette[..., None] * (1 - inner), *HAIR_SHARPENING)
    pixels = _sharpened(pixels, inner, *FACE_SHARPENING)
    layers = np.dstack([pixels, silhouette]).astype(np.float32)
    bent = from_canvas(layers, model.shape(look.even, look.odd))
    return Cutout(np.clip(bent[..., :3], 0, 255), np.clip(bent[..., 3], 0, 1))


def photograph(cutout: Cutout, shot: Shot, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(PICTURE, PICTURE, 3) RGB: the cutout in front of its own colours, out of focus."""
    background = cv2.GaussianBlur(cutout.pixels, (0, 0), 22)
    alpha = cutout.alpha[..., None]
    together = cutout.pixels * alpha + background * (1 - alpha)
    placed = cv2.warpAffine(
        together, placement(shot), (PICTURE, PICTURE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return developed(np.asarray(placed, np.float32), shot, rng)


def placement(shot: Shot) -> NDArray[np.float64]:
    """The 2x3 matrix canvas -> picture, about their centres."""
    matrix = np.asarray(cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), shot.turn, shot.scale), np.float64)
    matrix[:, 2] += PICTURE / 2 - SIDE / 2 + np.array(shot.shift)
    return matrix


def developed(picture: Image, shot: Shot, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Applies a shot's light, blur and grain to (h, w, 3) pixels."""
    across = np.linspace(-1, 1, picture.shape[1], dtype=np.float32)[None, :, None]
    lit = picture * shot.light * (1 + shot.tilt * across)
    if shot.blur > 0.3:  # below, the kernel is a single pixel
        lit = cv2.GaussianBlur(lit, (0, 0), shot.blur)
    grain = rng.normal(0, shot.grain, (*picture.shape[:2], 1))
    return np.clip(lit + grain + 0.5, 0, 255).astype(np.uint8)


def _tinted(pixels: Image, mean: Image) -> Image:
    """Reduces colour casts: of skin towards the mean face's colour, of everything around the face towards grey."""
    face = _inside(0.52, 0.30, 0.36, softness=0.2)[..., None]
    cast = _colour(pixels, face) - _colour(mean, face)
    pixels = pixels - (1 - SKIN_TINT) * cast
    grey = pixels.mean(axis=2, keepdims=True)
    return np.asarray(grey + (pixels - grey) * (OUTER_COLOUR + (1 - OUTER_COLOUR) * face), np.float32)


def _sharpened(pixels: Image, where: Mask, amount: float, radius: float) -> Image:
    return np.asarray(pixels + amount * where * (pixels - cv2.GaussianBlur(pixels, (0, 0), radius)), np.float32)


def _colour(pixels: Image, weights: Mask) -> NDArray[np.float32]:
    """(3,) the weighted mean colour minus its grey."""
    mean = (pixels * weights).sum(axis=(0, 1)) / weights.sum()
    return np.asarray(mean - mean.mean(), np.float32)


def _silhouette() -> Mask:
    """A mask of head and shoulders."""
    head = _inside(0.47, 0.36, 0.47, softness=0.25)
    shoulders = _inside(1.13, 0.62, 0.30, softness=0.25)
    return np.maximum(head, shoulders)


def _inside(centre: float, width: float, height: float, *, softness: float) -> Mask:
    """An upright ellipse in the middle column, in parts of SIDE: 1 inside, smoothly 0 at 1 + `softness` / 2 radii."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    radius = np.hypot((columns - SIDE / 2 + 0.5) / (SIDE * width), (rows - SIDE * centre) / (SIDE * height))
    ramp = np.clip((1 + softness / 2 - radius) / softness, 0, 1)
    return np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)
