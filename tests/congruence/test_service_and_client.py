"""The service in process and a client over a socket give the same answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.protocol.gallery_messages import People
from facewire.protocol.messages import Detect, Embed, Identify, Verify
from facewire.server.app import Recognition, compose
from facewire.server.errors import RequestError
from facewire.server.gallery.records import NewPicture, NewTemplate
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.tcp.answers import code_of
from facewire.server.tcp.dispatch import Dispatcher
from facewire.server.tcp.listener import Listener
from facewire.server.vision.analyser import Analyser

PROBES = ("akira_monase.jpg", "group_of_five.jpg", "rotated_by_exif.jpg", "no_face.jpg", "stranger.jpg")


@pytest.fixture(scope="module")
def service(best_analyser: Analyser, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recognition]:
    """Three of the sample's people, one picture each."""
    analyser = best_analyser
    with SqliteGallery.create(tmp_path_factory.mktemp("congruence") / "g.db", analyser.spec) as gallery:
        for folder in sorted((sample / "people").iterdir())[:3]:
            path = sorted(folder.glob("*.jpg"))[0]
            picture = analyser.faces(path.read_bytes())
            face = picture.faces[0]
            template = NewTemplate(analyser.templates([face.crop])[0], face.box, face.landmarks, face.detection)
            gallery.enrol(
                folder.name, [NewPicture(path.name, 1, path.name, picture.width, picture.height, (template,))]
            )
        yield compose(analyser, gallery, 0.01, runtime="openvino")


@pytest.fixture(scope="module")
def client(service: Recognition) -> Iterator[FaceClient]:
    listener = Listener(Dispatcher(service), "127.0.0.1", 0)
    listener.start()
    try:
        with FaceClient(*listener.address, timeout=60) as client:
            yield client
    finally:
        listener.stop()


def without_timing(answer: Any) -> Any:
    """Everything but what a clock said."""
    return dataclasses.replace(answer, timing_ms={})


@pytest.mark.parametrize("probe", PROBES)
def test_pictures(service: Recognition, client: FaceClient, sample: Path, probe: str) -> None:
    data = (sample / "probes" / probe).read_bytes()
    assert without_timing(client.identify(data, k=3)) == without_timing(
        service.recogniser.identify(Identify(data, k=3))
    )
    assert without_timing(client.detect(data)) == without_timing(service.recogniser.detect(Detect(data)))
    assert without_timing(client.embed(data)) == without_timing(service.recogniser.embed(Embed(data)))


def test_pairs_and_people(service: Recognition, client: FaceClient, sample: Path) -> None:
    one, other = ((sample / "probes" / name).read_bytes() for name in ("akira_monase.jpg", "rotated_by_exif.jpg"))
    assert client.verify(one, other) == service.recogniser.verify(Verify(one, other))
    assert client.people(1, 2) == service.curator.people(People(1, 2))


@pytest.mark.parametrize("broken", [b"", b"not a picture", b"\xff\xd8\xff\xe0cut"])
def test_refusals(service: Recognition, client: FaceClient, broken: bytes) -> None:
    with pytest.raises(RequestError) as inside:
        service.recogniser.identify(Identify(broken))
    with pytest.raises(ServerRefused) as outside:
        client.identify(broken)
    assert (outside.value.code, outside.value.message) == (code_of(inside.value), str(inside.value))
    nobody = (Path(__file__).parents[2] / "data" / "sample" / "probes" / "no_face.jpg").read_bytes()
    with pytest.raises(RequestError) as inside:
        service.recogniser.verify(Verify(nobody, nobody))
    with pytest.raises(ServerRefused) as outside:
        client.verify(nobody, nobody)
    assert outside.value.code == code_of(inside.value)
