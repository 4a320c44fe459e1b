"""The emotion network (2 M parameters, on pixels) and the emotion head (0.65 M, on FaceNet's feature maps), both built
of residual blocks with squeeze-excitation."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

WIDTHS = (32, 72, 160, 256)
BLOCKS = (1, 1, 2, 1)
"""Widths and blocks of the four stages: a view takes OpenVINO 0.96 ms on one AVX2 core at 40 px, in batches of 8. Half
the parameters, (32, 64, 112, 176), took 0.7 ms and underfit."""
STEM = 16
"""Channels at full resolution: it keeps wrinkles that a stride would fold away, for 6 % of the multiplications."""
SQUEEZE = 8
"""Squeeze-excitation reduces the channels by this much; 8 rather than 16, for stages this narrow."""
DROPOUT = 0.2


class SqueezeExcitation(nn.Module):
    """Scales each channel by a gate computed from the channels' means (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // SQUEEZE, 1)
        self.excite = nn.Conv2d(channels // SQUEEZE, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        means = features.mean((2, 3), keepdim=True)
        return features * torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, a gate and a shortcut; halves the resolution with `stride` 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(inputs, outputs, stride),
            *convolution(outputs, outputs)[:-1],
            SqueezeExcitation(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(*convolution(inputs, outputs, stride, kernel=1)[:-1])

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(self.body(features) + self.shortcut(features))


def convolution(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> list[nn.Module]:
    """Convolution, batch normalisation, ReLU."""
    weights = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    nn.init.kaiming_normal_(weights.weight, mode="fan_out", nonlinearity="relu")
    return [weights, nn.BatchNorm2d(outputs), nn.ReLU()]


def build_network(classes: int, widths: Sequence[int] = WIDTHS, blocks: Sequence[int] = BLOCKS) -> nn.Sequential:
    """Grey faces (N, 1, S, S) in 0..1 -> logits (N, classes), from random initialisation.

    The first layer normalises every picture to zero mean and unit variance, so that exposure and contrast are removed
    inside the network, without the server's help.
    """
    layers: list[nn.Module] = [nn.InstanceNorm2d(1), *convolution(1, STEM), *convolution(STEM, widths[0], stride=2)]
    inputs = widths[0]
    for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
        for block in range(count):
            layers.append(ResidualBlock(inputs, width, stride=2 if stage and not block else 1))
            inputs = width
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(inputs, classes))
    return nn.Sequential(*layers, *head)


HEAD_WIDTHS = (96, 160)
"""Of the head's block on the whole 8x8 maps, and of the one that halves them. Halving at once, at any width, cost two
to three points on FER2013: what a face expresses is in places."""
HEAD_DROPOUT = (0.1, 0.4)
"""Of whole channels of the maps, and of the means in the end."""


def build_head(classes: int, channels: int) -> nn.Sequential:
    """FaceNet's maps (N, channels, 8, 8) of unit deviation -> logits (N, classes), from random initialisation."""
    narrow, wide = HEAD_WIDTHS
    blocks = (ResidualBlock(narrow, narrow, stride=1), ResidualBlock(narrow, wide, stride=2))
    end = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(HEAD_DROPOUT[1]), nn.Linear(wide, classes))
    return nn.Sequential(nn.Dropout2d(HEAD_DROPOUT[0]), *convolution(channels, narrow, kernel=1), *blocks, *end)


class OnMaps(nn.Module):
    """The head as served: takes FaceNet's own maps, (n, 8, 8, channels), of any deviation.

    It averages over the maps and their mirror image. The maps of a mirrored face are not exactly the mirrored maps of
    the face, but so close that a head trained on both gains about as much as from a mirrored view, without a second
    pass of FaceNet.
    """

    def __init__(self, head: nn.Module, deviations: Tensor) -> None:
        super().__init__()
        self.head = head
        self.gains = nn.Buffer((1 / deviations)[:, None, None])

    def forward(self, maps: Tensor) -> Tensor:
        seen = maps.permute(0, 3, 1, 2) * self.gains
        logits: Tensor = (self.head(seen) + self.head(seen.flip(3))) / 2
        return logits
