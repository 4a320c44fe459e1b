"""YuNet on OpenVINO: the boxes of OpenCV's own detector, small faces, large faces, none, and several threads."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facewire.server.vision import detector, runtime
from facewire.server.vision.detector import HEADS, MIN_SCORE, NMS_OVERLAP, STRIDES, Detection, YuNet
from facewire.server.vision.image import ImageLimits, Pixels, decode_image
from facewire.server.vision.models import YUNET_FILE
from facewire.server.vision.opening import VisionSettings, open_analyser
from facewire.server.vision.weights import WeightsFinder

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


def png(picture: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def enlarged(image: Pixels, side: int) -> Pixels:
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


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
    called = [next(iter(output.get_names())) for output in separate.outputs]  # compiling adds names
    said = dict(zip(called, plain.run(as_trained), strict=True))
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


def test_a_face_that_fills_the_picture_beside_a_small_one(yunet: YuNet, lfw: list[Pixels]) -> None:
    """Cut to 60 % of its box, and another of 90 px in the corner: both, and no third."""
    large = small = more = 0
    for one, other in zip(lfw[:12], lfw[12:24], strict=True):
        x, y, width, height = yunet.detect(one)[0].box
        half, middle = max(width, height) * 0.3, (x + width / 2, y + height / 2)
        left, top, right, bottom = (round(v) for v in (*(m - half for m in middle), *(m + half for m in middle)))
        picture = np.asarray(
            cv2.resize(one[top:bottom, left:right], (800, 800), interpolation=cv2.INTER_CUBIC), np.uint8
        )
        x, y, width, height = yunet.detect(other)[0].box
        corner = other[max(0, round(y - 30)) : round(y + height + 30), max(0, round(x - 30)) : round(x + width + 30)]
        small_one = cv2.resize(corner, None, fx=90 / height, fy=90 / height, interpolation=cv2.INTER_AREA)
        picture[: small_one.shape[0], : small_one.shape[1]] = small_one
        faces = yunet.detect(picture)
        large += faces[0].box[3] > 400
        small += any(face.box[3] < 150 and face.box[0] < 100 and face.box[1] < 100 for face in faces)
        more += len(faces) > 2
    assert (large >= 11, small >= 11, more <= 1) == (True, True, True), (large, small, more)


def test_a_large_picture_is_searched_in_tiles_that_find_the_same(
    yunet: YuNet, lfw: list[Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faces of 12 to 60 px, many of them where tiles meet."""
    for cell in (40, 80, 160):
        rows, columns = 1440 // cell, 1920 // cell
        shrunk = [cv2.resize(image, (cell, cell), interpolation=cv2.INTER_AREA) for image in lfw]
        lines = [np.hstack([shrunk[(columns * row + at) % len(lfw)] for at in range(columns)]) for row in range(rows)]
        picture = np.asarray(np.vstack(lines), np.uint8)
        tiled = yunet.detect(picture)
        with monkeypatch.context() as patched:
            patched.setattr(detector, "LARGEST", 1 << 40)
            whole = yunet.detect(picture)
        assert len(whole) > 60
        for some, others in ((whole, tiled), (tiled, whole)):  # one in 2,000 scores just below the limit in a tile
            assert sum(found_at(others, middle(face), within=2) for face in some) >= 0.998 * len(some)


def panorama(yunet: YuNet, lfw: list[Pixels], size: tuple[int, int], high: int) -> tuple[Pixels, list[np.ndarray]]:
    """Faces `high` pixels high, their middles 313 px apart so that some lie on seams; with their places."""
    width, height = size
    picture = np.full((height, width, 3), 110, np.uint8)
    picture += np.linspace(0, 60, width, dtype=np.uint8)[None, :, None]
    places = []
    for number in range(width // 313 - 1):
        image = lfw[number % len(lfw)]
        face = yunet.detect(image)[0]
        side = round(250 * high / face.box[3])
        left, top = 30 + number * 313, (number * 97) % (height - side)
        picture[top : top + side, left : left + side] = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        places.append(middle(face) * side / 250 + (left, top))
    return picture, places


@pytest.mark.parametrize("upright", [True, False])
def test_everybody_in_a_panorama_once(yunet: YuNet, lfw: list[Pixels], upright: bool) -> None:
    """Also where tiles meet; and lying on its side it has as many rows as columns before."""
    picture, places = panorama(yunet, lfw, (9000, 700), 40)
    if not upright:  # a tall picture: the tiles lie one below the other
        picture = np.concatenate(np.hsplit(picture[:, :8960], 8)[::1], axis=0)[:, :1120]
        places = [np.array([x % 1120, y + 700 * (x // 1120)]) for x, y in places if x < 8960 and 60 < x % 1120 < 1060]
    faces = yunet.detect(picture)
    found = [found_at(faces, place, within=15) for place in places]
    assert sum(found) >= 0.95 * len(places)
    for number, face in enumerate(faces):
        assert not found_at(faces[number + 1 :], middle(face), within=12)


def test_in_one_tile_a_panorama_is_searched_as_a_whole(weights: Path, yunet: YuNet, lfw: list[Pixels]) -> None:
    picture, places = panorama(yunet, lfw, (9000, 700), 40)
    assert len(YuNet(weights, 1920, tiles=1).detect(picture)) < len(places) / 2


def test_the_server_searches_in_as_many_tiles_as_it_is_told(weights_dir: Path, yunet: YuNet, lfw: list[Pixels]) -> None:
    picture, places = panorama(yunet, lfw, (9000, 700), 40)
    found = {}
    for tiles in (1, 16):
        settings = VisionSettings(weights_dir=weights_dir, downloads=False, tiles=tiles, emotion="off")
        with closing(open_analyser(settings)) as analyser:
            found[tiles] = len(analyser.faces(png(picture)).faces)
    assert found[1] < len(places) / 2
    assert found[16] >= 0.95 * len(places)


def test_a_picture_of_many_pixels_is_searched_as_a_smaller_one(yunet: YuNet, lfw: list[Pixels]) -> None:
    for image in lfw[:6]:
        small, large = (enlarged(image, side) for side in (1900, 5900))
        assert found_at(yunet.detect(large), middle(yunet.detect(small)[0]) * 5900 / 1900, within=60)


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
