"""The same photograph in other formats and sizes is recognised; another one of the same person is not."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facewire.server.errors import InvalidImage
from facewire.server.gallery.search.lookalikes import LENGTH, Lookalikes
from facewire.server.vision.analyser import fingerprint_of
from facewire.server.vision.image import ImageLimits
from tests.support.decoders import shared_decoder
from tests.support.pictures import opened, saved, turned

LIMITS = ImageLimits()


def of(data: bytes) -> bytes:
    return fingerprint_of(shared_decoder(), data, LIMITS)


def alike(one: bytes, other: bytes) -> bool:
    known = Lookalikes()
    known.add(of(one))
    return known.find(of(other)) == 0


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)))


def copies(data: bytes) -> Iterator[tuple[str, bytes]]:
    image = opened(data)
    for quality in (95, 60, 30):
        yield f"JPEG {quality}", saved(image, "JPEG", quality=quality)
    yield "PNG", saved(image, "PNG")
    yield "WebP", saved(image, "WEBP", quality=50)
    for factor in (0.3, 0.5, 1.7, 4):
        yield f"x{factor}", saved(scaled(image, factor), "JPEG", quality=80)
    yield "turned by EXIF", turned(data)


def test_copies_of_a_picture_are_the_same(sample: Path) -> None:
    paths = sorted((sample / "probes").glob("*.jpg"))[:6]
    assert len(paths) == 6
    for path in paths:
        original = saved(opened(path.read_bytes()), "JPEG", quality=92)
        for what, copy in copies(original):
            assert alike(original, copy), f"{path.name}: {what}"


def test_pictures_of_one_person_are_not(sample: Path) -> None:
    people = list((sample / "people").iterdir())
    assert len(people) == 12
    for person in people:
        pictures = [path.read_bytes() for path in sorted(person.iterdir())]
        assert not any(alike(one, other) for one, other in combinations(pictures, 2)), person.name


def test_photographs_of_lfw(shared: Path) -> None:
    """Of 20 people with many pictures; the measurement over all is in lookalikes.py."""
    people = [folder for folder in sorted((shared / "lfw").iterdir()) if len(list(folder.iterdir())) >= 8][:20]
    assert len(people) == 20
    for person in people:
        pictures = [path.read_bytes() for path in sorted(person.iterdir())[:8]]
        assert not any(alike(one, other) for one, other in combinations(pictures, 2)), person.name
        for what, copy in copies(pictures[0]):
            assert alike(pictures[0], copy), f"{person.name}: {what}"


def test_flat_pictures_differ_by_what_they_differ_in() -> None:
    def grey(level: int) -> bytes:
        return saved(Image.new("RGB", (64, 48), (level, level, level)), "PNG")

    assert alike(grey(100), grey(100))
    assert not alike(grey(100), grey(110))


def test_the_nearest_of_several() -> None:
    known = Lookalikes()
    assert known.find(bytes(LENGTH)) is None
    rng = np.random.default_rng(1)
    prints = [rng.integers(0, 256, LENGTH, dtype=np.uint8) for _ in range(20)]
    for one in prints:
        known.add(one.tobytes())
    assert [known.find((one // 2 * 2).tobytes()) for one in prints] == list(range(20))
    with pytest.raises(ValueError, match="192 bytes"):
        known.add(b"short")


def test_what_is_no_picture_has_no_fingerprint() -> None:
    with pytest.raises(InvalidImage):
        of(b"hello")
