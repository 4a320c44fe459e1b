"""Turned pictures through the real networks: found, named, enrolled upright, and nobody found where nobody is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.protocol.gallery_messages import Enrol, Show
from facewire.protocol.messages import Detect, Identify
from facewire.server.app import Recognition, compose
from facewire.server.gallery.sqlite import SqliteGallery
from facewire.server.maintenance.migrate.reembed import within_square_crop
from facewire.server.maintenance.migrate.respec import EnrolledFace
from facewire.server.vision.alignment import turn_of
from facewire.server.vision.analyser import Analyser
from facewire.server.vision.detector import Detection
from facewire.server.vision.image import ImageLimits, Pixels, decode_image

TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
"""By `turned`, which turns it back."""


def png(image: Pixels) -> bytes:
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()


def read(path: Path) -> Pixels:
    return decode_image(path.read_bytes(), ImageLimits())


def turned(image: Pixels, degrees: int) -> Pixels:
    """So that it must be turned clockwise by `degrees` to be upright; what comes from outside is the edge."""
    if degrees in TURNS:
        return np.asarray(cv2.rotate(image, TURNS[degrees]), np.uint8)
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


@pytest.fixture
def service(facenet: Analyser, sample: Path, tmp_path: Path) -> Recognition:
    """The sample's people, one picture each."""
    gallery = SqliteGallery.create(tmp_path / "sample.db", facenet.spec)
    recognition = compose(facenet, gallery, 0.01, runtime="openvino")
    for person in sorted((sample / "people").iterdir()):
        recognition.curator.enrol(Enrol(person.name.replace("_", " "), min(person.glob("*.jpg")).read_bytes()))
    return recognition


@pytest.mark.parametrize("degrees", [45, 90, 180, 270, 315])
def test_a_turned_picture_is_named_as_the_upright_one(service: Recognition, sample: Path, degrees: int) -> None:
    missed = []
    for person in sorted((sample / "people").iterdir()):
        image = read(sorted(person.glob("*.jpg"))[1])
        (face, *_) = service.recogniser.identify(Identify(png(turned(image, degrees)), emotion=False)).faces
        if (face.name, face.turned) != (person.name.replace("_", " "), degrees):
            missed.append((person.name, face.name, face.turned))
    assert len(missed) <= 1, missed


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_everybody_in_a_turned_group_is_where_the_answer_says(service: Recognition, sample: Path, degrees: int) -> None:
    image = read(sample / "probes" / "group_of_five.jpg")
    height, width = image.shape[:2]
    back = {
        90: lambda x, y: (width - y, x),
        180: lambda x, y: (width - x, height - y),
        270: lambda x, y: (y, height - x),
    }
    upright = service.recogniser.identify(Identify(png(image), emotion=False)).faces
    faces = service.recogniser.identify(Identify(png(turned(image, degrees)), emotion=False)).faces
    assert sorted(face.name or "" for face in faces) == sorted(face.name or "" for face in upright)
    assert {face.turned for face in upright} == {0}
    assert {face.turned for face in faces} == {degrees}
    eyes = {face.name: face.landmarks[0] for face in upright}
    for face in faces:
        there = back[degrees](*face.landmarks[0])
        assert np.allclose(there, eyes[face.name], atol=face.box[3] / 10)


def test_each_face_of_a_picture_is_turned_by_itself(service: Recognition, sample: Path) -> None:
    """Somebody lies beside somebody who sits."""
    one, other = (read(min((sample / "people" / name).glob("*.jpg"))) for name in ("Noor_Halvani", "Robin_Oakmere"))
    side = min(*one.shape[:2], *other.shape[:2])
    both = np.hstack([one[:side, :side], turned(other[:side, :side], 90)])
    faces = sorted(service.recogniser.identify(Identify(png(both), emotion=False)).faces, key=lambda face: face.box[0])
    assert [(face.name, face.turned) for face in faces] == [("Noor Halvani", 0), ("Robin Oakmere", 90)]


def test_a_turned_picture_is_enrolled_upright(service: Recognition, sample: Path) -> None:
    folder = sample / "people" / "Noor_Halvani"
    image = read(sorted(folder.glob("*.jpg"))[2])
    enrolled = service.curator.enrol(Enrol("Noor Halvani", png(turned(image, 180)), accept=("duplicate",)))
    assert [template.turned for template in enrolled.templates] == [180]
    crop = service.curator.show(Show("Noor Halvani")).templates[-1].crop
    assert crop is not None
    (face,) = service.recogniser.detect(Detect(crop)).faces
    assert face.turned == 0
    upright = service.analyser.faces(png(image)).faces[0].crop
    difference = upright.astype(int) - cv2.cvtColor(
        np.asarray(cv2.imdecode(np.frombuffer(crop, np.uint8), 1)), cv2.COLOR_BGR2RGB
    )
    assert np.abs(difference).mean() < 12


def test_what_was_found_before_is_cut_out_upright_again(facenet: Analyser, sample: Path) -> None:
    """As a gallery does that moves to another model."""
    data = png(turned(read(min((sample / "people" / "Noor_Halvani").glob("*.jpg"))), 90))
    (face,) = facenet.faces(data).faces
    again = facenet.cut(data, Detection(face.box, face.landmarks, face.detection))
    assert np.array_equal(again, face.crop)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_picture_without_a_face_has_none_whichever_way_up(service: Recognition, sample: Path, degrees: int) -> None:
    image = read(sample / "probes" / "no_face.jpg")
    assert service.recogniser.detect(Detect(png(turned(image, degrees) if degrees else image))).faces == ()
    noise = np.random.default_rng(degrees).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    assert service.recogniser.detect(Detect(png(noise))).faces == ()


def test_of_lfw_turned_nearly_all_are_found_and_know_it(facenet: Analyser, shared: Path) -> None:
    wrong = []
    paths = sorted((shared / "lfw").glob("*/*.jpg"))[::150]
    for number, path in enumerate(paths):
        degrees = (0, 90, 180, 270)[number % 4]
        image = read(path)
        faces = facenet.faces(png(turned(image, degrees) if degrees else image)).faces
        if not faces or turn_of(faces[0].landmarks) != degrees:
            wrong.append((path.name, degrees))
    assert len(wrong) <= 1, wrong


def test_a_kept_crop_of_a_turned_face_is_upright_already(facenet: Analyser, sample: Path) -> None:
    """Another model that finds no file looks at the crop: there the face stands, and is not turned again."""
    data = png(turned(read(min((sample / "people" / "Noor_Halvani").glob("*.jpg"))), 90))
    (face,) = facenet.faces(data).faces
    kept = EnrolledFace(1, "Noor", None, "a.png", "", face.box, face.landmarks, face.detection, png(face.crop))
    there = within_square_crop(kept, facenet.spec)
    assert turn_of(there.landmarks) == 0
    (found,) = facenet.faces(png(face.crop)).faces
    assert np.allclose(there.landmarks, found.landmarks, atol=8)
