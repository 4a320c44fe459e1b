"""What the emotion head's training shows FaceNet, and the files that keep what FaceNet makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lab.emotion_training.maps import WHOLE, whole_view, write_maps
from lab.emotion_training.views import SIDE, Pixels, training_view, warped


def face(side: int = 48) -> Pixels:
    """A gradient to the right in red, downwards in green."""
    ramp = np.linspace(0, 255, side).astype(np.uint8)
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 0], image[..., 1] = ramp, ramp[:, None]
    return image


def test_a_view_depends_on_its_seed_and_the_pictures_number_only() -> None:
    view = training_view(face(), 3, 17)
    assert view.shape == (SIDE, SIDE, 3) and view.dtype == np.uint8
    assert np.array_equal(view, training_view(face(), 3, 17))
    assert not np.array_equal(view, training_view(face(), 4, 17))
    assert not np.array_equal(view, training_view(face(), 3, 18))


def test_half_of_the_views_are_mirrored() -> None:
    """Red grows to the right, in a mirrored view to the left; brightness and angle are drawn too small to hide it."""
    views = [training_view(face(100), 0, number)[..., 0].astype(float) for number in range(60)]
    rightwards = sum(view[:, 100:].mean() > view[:, :60].mean() for view in views)
    assert 15 <= rightwards <= 45


def test_warping_keeps_turns_mirrors_and_goes_on_beyond_the_edge() -> None:
    image = face(SIDE)
    assert np.abs(warped(image, 0, (1, 1), (0, 0), mirror=False).astype(int) - image).max() <= 1
    assert np.abs(warped(image, 0, (1, 1), (0, 0), mirror=True).astype(int) - image[:, ::-1]).max() <= 1
    wide = warped(image, 0, (2, 2), (0, 0), mirror=False)
    assert (wide[:, :30, 0] <= 1).all() and (wide[:, -30:, 0] >= 254).all()
    quarter = warped(image, 90, (1, 1), (0, 0), mirror=False)  # what grew to the right grows along the other axis
    assert np.abs(np.diff(quarter[:, 80, 0].astype(int))).max() <= 3 and np.ptp(quarter[80, :, 0]) <= 4


def test_a_whole_picture_is_framed_as_the_server_would_frame_the_face_on_it() -> None:
    view = whole_view(face(100), 0)
    beyond = round(SIDE * (1 - 1 / WHOLE) / 2)  # what the margin adds on either side repeats the edge
    assert view.shape == (SIDE, SIDE, 3)
    assert np.ptp(view[:, : beyond - 1, 0]) <= 1 and np.ptp(view[:, beyond + 1 : -beyond - 1, 0]) > 240


class Meter:
    """Sees of a view its mean in every channel; in place of FaceNet, whose maps have more."""

    def maps(self, views: Sequence[Pixels]) -> NDArray[np.float32]:
        return np.tile(np.stack(views).mean((1, 2))[:, None, None], (1, 8, 8, 1)).astype(np.float32)


def test_maps_are_kept_in_steps_of_their_scale_and_made_once(tmp_path: Path) -> None:
    pictures = [np.full((10, 10, 3), [number, 2 * number, 255], np.uint8) for number in range(21)]
    scales = np.array([0.5, 1, 0.25], np.float32)
    path = tmp_path / "maps.npy"
    maps = write_maps(path, Meter(), pictures, whole_view, scales)
    assert maps.shape == (21, 8, 8, 3)
    assert maps[:, 0, 0, 0].tolist() == [2 * number for number in range(21)]
    assert maps[:, 7, 7, 1].tolist() == [2 * number for number in range(21)]
    assert (maps[..., 2] == 255).all()  # 255 / 0.25 is more than a byte holds
    again = write_maps(path, Meter(), [], whole_view, scales)
    assert np.array_equal(again, maps)


def test_maps_that_were_not_finished_are_made_anew(tmp_path: Path) -> None:
    class Interrupted(Meter):
        def maps(self, views: Sequence[Pixels]) -> NDArray[np.float32]:
            raise KeyboardInterrupt

    pictures, scales = [np.full((10, 10, 3), 9, np.uint8)], np.ones(3, np.float32)
    with pytest.raises(KeyboardInterrupt):
        write_maps(tmp_path / "maps.npy", Interrupted(), pictures, whole_view, scales)
    assert not (tmp_path / "maps.npy").exists()
    assert (write_maps(tmp_path / "maps.npy", Meter(), pictures, whole_view, scales) == 9).all()
