"""Data augmentation of grey faces, for a whole batch at once, so that loading costs next to nothing."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

TURN = math.radians(10)
"""Heads tilt: YuNet's crops are not turned upright, and neither are FER2013's."""
SPAN = (0.84, 1.08)
"""The side of the view as a fraction of the picture's side. FER2013's pictures are 0.97 of YuNet's box (5 % to 95 %:
0.71 to 1.38), RAF-DB's 0.82 (0.70 to 0.98); the range makes the network take either for the other."""
SHIFT = 0.05
"""As a fraction of the picture's side: YuNet's own spread is 0.08 to either side (5 % to 95 %)."""
STRETCH = 0.06
"""Wider or narrower by this much: perspective, and heads half turned away."""
GAMMA = 0.35
"""Exposure itself is normalised away by the network's first layer; the tone curve is not."""
SHADE = 0.15
"""A light from one side, that much brighter there and darker opposite."""
NOISE = 0.015
"""As a fraction of full white; at 0.03, dark pictures visibly drowned in noise."""
BLUR_CHANCE, BLUR_SIDES = 0.05, (20, 36)
"""Some faces are seen as if only 20 to 36 px large, as distant people in real photographs are."""
ERASE_CHANCE, ERASE_SIDE = 0.1, (0.15, 0.4)


def augment(pixels: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """uint8 faces (N, S, S) -> float views (N, 1, size, size) in 0..1: moved, mirrored, shaded, blurred, erased."""
    faces = pixels[:, None].float() / 255
    views = warp(faces, size, generator)
    views = tone(views, generator)
    views = blur(views, generator)
    views = views + NOISE * uniform(len(views), 0, 1, generator) * torch.randn(views.shape, generator=generator)
    return erase(views, generator).clamp(0, 1)


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """(count, 1, 1, 1) numbers between low and high."""
    return torch.rand(count, 1, 1, 1, generator=generator) * (high - low) + low


def warp(faces: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Rotates, scales, stretches, shifts and mirrors; replicates the border, like the server's crops."""
    count = len(faces)
    angle, span, stretch, right, down = (
        uniform(count, low, high, generator).flatten()
        for low, high in ((-TURN, TURN), SPAN, (-STRETCH, STRETCH), (-2 * SHIFT, 2 * SHIFT), (-2 * SHIFT, 2 * SHIFT))
    )
    wide, high = span * (1 + stretch), span * (1 - stretch)
    mirror = torch.randint(0, 2, (count,), generator=generator) * 2 - 1
    rows = (
        torch.stack([wide * angle.cos() * mirror, -high * angle.sin(), right], 1),
        torch.stack([wide * angle.sin() * mirror, high * angle.cos(), down], 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), [count, 1, size, size], align_corners=False)
    return F.grid_sample(faces, grid, mode="bilinear", padding_mode="border", align_corners=False)


def tone(views: Tensor, generator: torch.Generator) -> Tensor:
    """Changes the tone curve and adds light from one side."""
    count, size = len(views), views.shape[-1]
    curve = torch.exp(uniform(count, -GAMMA, GAMMA, generator))
    ramp = torch.linspace(-1, 1, size)
    shade = uniform(count, -SHADE, SHADE, generator) * ramp + uniform(count, -SHADE, SHADE, generator) * ramp[:, None]
    return views.clamp(1e-3, 1) ** curve * (1 + shade)


def blur(views: Tensor, generator: torch.Generator) -> Tensor:
    """Downscales and upscales some views: one resolution per batch, which is enough over an epoch."""
    chosen = torch.rand(len(views), generator=generator) < BLUR_CHANCE
    if not chosen.any():
        return views
    side = int(torch.randint(BLUR_SIDES[0], BLUR_SIDES[1] + 1, (1,), generator=generator))
    small = F.interpolate(views[chosen], (side, side), mode="bilinear", antialias=True)
    views[chosen] = F.interpolate(small, views.shape[-2:], mode="bilinear")
    return views


def erase(views: Tensor, generator: torch.Generator) -> Tensor:
    """Cover a rectangle of some views with the view's mean (hands, hair, microphones)."""
    count, size = len(views), views.shape[-1]
    height, width = (uniform(count, *ERASE_SIDE, generator) * size for _ in range(2))
    top, left = (uniform(count, 0, 1, generator) * (size - side) for side in (height, width))
    rows = torch.arange(size).view(1, 1, size, 1)
    columns = torch.arange(size).view(1, 1, 1, size)
    inside = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
    chosen = inside & (uniform(count, 0, 1, generator) < ERASE_CHANCE)
    return torch.where(chosen, views.mean((2, 3), keepdim=True), views)


def mix(views: Tensor, targets: Tensor, alpha: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) with one proportion per batch, drawn from Beta(alpha, alpha)."""
    gammas = torch._standard_gamma(torch.full((2,), alpha), generator=generator)
    share = float(gammas[0] / gammas.sum().clamp_min(1e-9))
    partner = torch.randperm(len(views), generator=generator)
    return views * share + views[partner] * (1 - share), targets * share + targets[partner] * (1 - share)
