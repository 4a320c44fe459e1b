"""A server with somebody enrolled and an album, for tests that look at the page rather than fill it."""

from __future__ import annotations

from facewire.client import FaceClient
from tests.support.synthetic_engine import draw, portrait

ADA, BO = 7, 30
BOTH = draw((ADA, (4.0, 8.0, 22.0, 24.0)), (BO, (36.0, 8.0, 22.0, 24.0)))
PHOTOS = {"ada.png": portrait(ADA), "both.png": BOTH, "view.png": draw()}


def furnish(address: tuple[str, int], photos: dict[str, bytes] = PHOTOS) -> None:
    """Ada in the gallery, and an album of photos, by default three with Ada and Bo."""
    with FaceClient(*address, timeout=60) as client:
        client.enrol("Ada", portrait(ADA), label="ada.png")
        client.albums.create("Trip")
        for name, data in photos.items():
            client.albums.add("Trip", name, data)
        client.albums.process("Trip")
