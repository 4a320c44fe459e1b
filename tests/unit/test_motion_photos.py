"""Motion photos, pictures with a film appended, count as their still: what the film adds changes no pixel."""

from __future__ import annotations

import numpy as np
import pytest

from facewire.protocol.formats import format_of
from facewire.server.vision.image import ImageLimits
from tests.support.decoders import shared_decoder
from tests.support.pictures import opened, saved
from tests.support.synthetic_engine import portrait

FILM = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\x10\x08mdat" + bytes(range(256)) * 16


@pytest.mark.parametrize("form", ["JPEG", "HEIF"])
@pytest.mark.parametrize("box", [b"", (8 + len(FILM)).to_bytes(4, "big") + b"mpvd"], ids=["bare", "in a box"])
def test_a_motion_photo_is_its_still(form: str, box: bytes) -> None:
    """Phones append the film as it is (JPEG), or in a box `mpvd` (HEIC)."""
    still = saved(opened(portrait(7)), form, quality=95)
    motion = still + box + FILM
    assert (kind := format_of(motion)) is not None and kind.key == form
    shown, alone = (shared_decoder().photo(data, ImageLimits()).pixels for data in (motion, still))
    assert np.array_equal(shown, alone)
