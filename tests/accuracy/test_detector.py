"""YuNet on OpenVINO: the boxes of OpenCV's own detector, small faces, large faces, none, and several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from facewire.server.vision import runtime
from facewire.server.vision.detector import HEADS, MIN_SCORE, NMS_OVERLAP, STRIDES, Detection, YuNet
from facewire.server.vision.image import ImageLimits, Pixels, decode_image
from facewire.server.vision.models import YUNET_FILE
from facewire.server.vision.opening import VisionSettings
from facewire.server.vision.weights import WeightsFinder

pytestmark = pytest.mark.shared

LFW_PICTURES = 60
SMALL_FACES = 30


@pytest.fixture(scope="module")
def weights(weights_dir: Path) -> Path:
    return WeightsFinder(weights_dir, None).find(YUNET_FILE).path


@pytest.fixture(scope="module")
def yunet(weights: Path) -> YuNet:
    """As the server opens it."""
    return YuNet(weights, VisionSettings().canvas)


@pytest.fixture(scope="module")
def lfw(shared: Path) -> list[Pixels]:
    """One picture each of people spread over the alphabet, 250x250."""
    people = sorted((shared / "lfw").iterdir())
    chosen = people[:: len(people) // LFW_PICTURES][:LFW_PICTURES]
    return [read(min(person.iterdir())) for person in chosen]


def read(path: Path) -> Pixels:
    return decode_image(path.read_bytes(), ImageLimits())


def middle(face: Detection) -> np.ndarray:
    x, y, width, height = face.box
    return np.array([x + width / 2, y + height / 2])


def found_at(faces: list[Detection], place: np.ndarray, within: float) -> bool:
    return any(float(np.linalg.norm(middle(face) - place)) <= within for face in faces)


def test_the_boxes_are_opencvs(yunet: YuNet, weights: Path, lfw: list[Pixels]) -> None:
    """The oracle sees the picture on the canvas that ours rounds up to; box and landmarks agree within a pixel."""
    oracle = cv2.FaceDetectorYN.create(str(weights), "", (256, 256), MIN_SCORE, NMS_OVERLAP)
    for image in lfw:
        canvas = np.zeros((256, 256, 3), np.uint8)
        canvas[:250, :250] = image[:, :, ::-1]
        _, rows = oracle.detect(canvas)
        expected = sorted(rows.tolist(), key=lambda row: -row[2] * row[3])
        faces = yunet.detect(image)
        assert len(faces) == len(expected)
        for face, row in zip(faces, expected, strict=True):
            assert np.allclose(face.box, row[:4], atol=1)
            assert np.allclose(np.ravel(face.landmarks), row[4:14], atol=1)
            assert face.score == pytest.approx(row[14], abs=0.02)


@pytest.mark.parametrize("size", [(64, 64), (256, 192)])
def test_the_merged_heads_say_what_the_separate_ones_say(weights: Path, size: tuple[int, int]) -> None:
    names = [[f"{head}_{stride}" for head in HEADS] for stride in STRIDES]
    separate = runtime.reshape(runtime.read_model(weights), (1, 3, -1, -1))
    merged = runtime.fed_rgb_bytes(
        runtime.merge_heads(runtime.reshape(runtime.read_model(weights), (1, 3, -1, -1)), names, sigmoids=2)
    )
    image = np.random.default_rng(3).integers(0, 256, (*size, 3), dtype=np.uint8)
    as_trained = image[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    plain = runtime.OpenVinoGraph(separate, streams=1, threads=1)
    said = dict(zip(plain.output_names, plain.run(as_trained), strict=True))
    expected = np.concatenate([np.concatenate([said[name] for name in row], axis=2) for row in names], axis=1)
    assert np.allclose(runtime.OpenVinoGraph(merged, streams=1, threads=1).run(image[None])[0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("picture", "people"), [("bbt1", 4), ("bbt2", 3), ("bbt3", 5), ("bbt4", 6), ("bbt5", 5), ("couple", 2)]
)
def test_everybody_in_a_group_photo(yunet: YuNet, shared: Path, picture: str, people: int) -> None:
    faces = yunet.detect(read(shared / "groups" / f"{picture}.jpg"))
    assert len(faces) == people
    assert [face.area for face in faces] == sorted((face.area for face in faces), reverse=True)


def test_faces_of_20_pixels_in_a_large_photo(yunet: YuNet, lfw: list[Pixels]) -> None:
    """LFW pictures shrunk until the face is 20 to 24 px high, spread over a photo of 1200x800."""
    photo = np.full((800, 1200, 3), 110, np.uint8)
    photo += np.linspace(0, 60, 1200, dtype=np.uint8)[None, :, None]
    places = []
    for number, image in enumerate(lfw[:SMALL_FACES]):
        (face, *_) = yunet.detect(image)
        scale = (20 + number % 5) / face.box[3]
        side = round(250 * scale)
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        left, top = 30 + number % 6 * 195, 40 + number // 6 * 150
        photo[top : top + side, left : left + side] = small
        places.append(middle(face) * side / 250 + (left, top))
    faces = yunet.detect(photo)
    found = sum(found_at(faces, place, within=5) for place in places)
    assert found >= 0.9 * SMALL_FACES
    assert len(faces) <= SMALL_FACES + 2


@pytest.mark.parametrize("side", [160, 600, 2400])
def test_faces_that_fill_the_frame(yunet: YuNet, lfw: list[Pixels], side: int) -> None:
    """Cut along the detector's own box: no hair, no background, whatever the size."""
    found = 0
    for image in lfw[:10]:
        x, y, width, height = (round(value) for value in yunet.detect(image)[0].box)
        cut = image[max(0, y) : y + height, max(0, x) : x + width]
        cut = np.asarray(cv2.resize(cut, (round(side * width / height), side)), np.uint8)
        faces = yunet.detect(cut)
        centre = np.array([cut.shape[1] / 2, cut.shape[0] / 2])
        found += len(faces) == 1 and found_at(faces, centre, within=side / 5) and faces[0].box[3] > side / 2
    assert found >= 9


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (250, 250), (900, 1400)])
def test_a_picture_without_a_face_shows_none(yunet: YuNet, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    for image in (noise, np.full((*size, 3), 128, np.uint8), np.zeros((*size, 3), np.uint8)):
        assert yunet.detect(image) == []


def test_the_samples_landscape_shows_none(yunet: YuNet, sample: Path) -> None:
    assert yunet.detect(read(sample / "probes" / "no_face.jpg")) == []


def test_eight_threads_get_what_one_gets(yunet: YuNet, lfw: list[Pixels], shared: Path) -> None:
    images = [*lfw[:16], read(shared / "groups" / "bbt2.jpg"), read(shared / "groups" / "bbt5.jpg")]
    alone = [yunet.detect(image) for image in images]

    def detect_all(start: int) -> list[tuple[int, list[Detection]]]:
        order = [(start + step) % len(images) for step in range(len(images))]
        return [(number, yunet.detect(images[number])) for number in order]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(detect_all, range(8)):
            for number, faces in answers:
                assert faces == alone[number]
