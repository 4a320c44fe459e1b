"""Albums behind a real socket, alone or with the album called Trip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.client.album_client import AlbumClient
from facewire.server.albums.service import AlbumService
from tests.support.albums import album_service, serving_albums
from tests.support.trip import fill_trip


@pytest.fixture
def service(tmp_path: Path) -> Iterator[AlbumService]:
    with album_service(tmp_path) as service:
        yield service


@pytest.fixture
def client(service: AlbumService) -> Iterator[FaceClient]:
    with serving_albums(service) as client:
        yield client


@pytest.fixture
def albums(client: FaceClient) -> AlbumClient:
    return client.albums


@pytest.fixture
def trip(albums: AlbumClient) -> AlbumClient:
    fill_trip(albums)
    return albums
