"""Hostile and odd videos: each is refused in words or read, within its limits, and the next one is read."""

from __future__ import annotations

import hashlib
import io
import struct
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from facewire.server.errors import InvalidImage
from facewire.server.vision.decoding.decoder import Decoder
from facewire.server.vision.decoding.films import Films
from facewire.server.vision.decoding.on_disk import on_disk
from facewire.server.vision.decoding.video_limits import VideoLimits
from facewire.server.vision.image import ImageLimits
from tests.support.decoders import shared_decoder
from tests.support.videos import LEFT, encoded, scene, visit

SHORT = encoded(scene([(5, LEFT)], 2))


@pytest.fixture
def films() -> Films:
    return shared_decoder().films


def times(films: Films, data: bytes) -> list[float]:
    return [round(frame.at, 2) for frame in films.frames(data)]


def test_a_frame_every_half_second_and_one_for_each_scene(films: Films) -> None:
    bright = [np.full((128, 192, 3), 250, np.uint8)] * 2
    flash = [*scene([(5, LEFT)], 1.2), *bright, *scene([(5, LEFT)], 1)]
    frames = list(films.frames(encoded(flash)))
    assert [round(frame.at, 2) for frame in frames] == [0.0, 0.5, 1.0, 1.2, 1.4, 1.9]
    assert [frame.at for frame in frames if frame.cut] == pytest.approx([0.0, 1.2, 1.4])
    assert all(frame.jpeg.startswith(b"\xff\xd8") for frame in frames)


def test_of_a_long_video_some_key_frames_are_decoded() -> None:
    """Or hours of 4K would take longer than any video may."""
    from facewire.server.vision.decoding.film import Film

    data = encoded(scene([(5, LEFT)], 6), codec="mpeg4", full_colour=False)  # with a key frame each 1.2 s

    def taken(frames: int) -> list[float]:
        limits = VideoLimits(max_decoded=frames * 192 * 128)
        return [round(frame.seconds, 1) for frame in Film(io.BytesIO(data), limits).frames()]

    assert len(taken(60)) == 12
    assert taken(59) == [0.0, 1.2, 2.4, 3.6, 4.8]
    assert taken(3 * 4) == [0.0, 2.4, 4.8]


def test_a_file_on_the_disk_is_read_there(films: Films, tmp_path: Path) -> None:
    path = tmp_path / "film"
    path.write_bytes(visit())
    with on_disk(path, hashlib.sha256(visit()).hexdigest()) as video:
        assert [frame.at for frame in films.frames(video)] == [frame.at for frame in films.frames(visit())]
        assert films.look(video) == films.look(visit())
        assert films.frame(video, 3.21).jpeg == films.frame(visit(), 3.21).jpeg
    path.write_bytes(b"no video at all")
    with on_disk(path, "00" * 32) as text, pytest.raises(InvalidImage, match="unsupported video format"):
        films.look(text)


def test_a_frame_of_any_second(films: Films) -> None:
    at = [films.frame(visit(), second).at for second in (0.0, 3.21, 99.0)]
    assert at == pytest.approx([0.0, 3.3, 5.9])


def test_what_is_left_of_a_video_that_nobody_watches_to_its_end() -> None:
    decoder = shared_decoder()
    with closing(decoder.films.frames(visit())) as frames:
        next(frames)
        assert decoder.memory_used > 0
    assert decoder.memory_used == 0


def patched(box: bytes, at: int, value: int, data: bytes = SHORT) -> bytes:
    """The file with four bytes of a box, `at` bytes behind its name, replaced."""
    place = data.index(box) + 4 + at
    return data[:place] + struct.pack(">I", value) + data[place + 4 :]


def with_tracks(count: int) -> bytes:
    """The same file, whose track is there so many times."""
    moov = SHORT.index(b"moov") - 4
    trak = SHORT.index(b"trak") - 4
    (size,) = struct.unpack_from(">I", SHORT, trak)
    (whole,) = struct.unpack_from(">I", SHORT, moov)
    grown = SHORT[: trak + size] + SHORT[trak : trak + size] * (count - 1) + SHORT[trak + size :]
    return grown[:moov] + struct.pack(">I", whole + size * (count - 1)) + grown[moov + 4 :]


@pytest.mark.parametrize(
    "hostile",
    [
        pytest.param(patched(b"stts", 8, 0x7FFFFFFF), id="two thousand million frames"),
        pytest.param(patched(b"stsz", 8, 0x7FFFFFFF), id="sizes of as many"),
        pytest.param(patched(b"stsz", 4, 0x7FFFFFFF), id="frames of two gigabytes"),
        pytest.param(patched(b"mdhd", 16, 0xFFFFFFF0), id="a length of years"),
        pytest.param(patched(b"mdhd", 12, 0), id="no unit of time"),
        pytest.param(with_tracks(3000), id="thousands of tracks"),
        pytest.param(patched(b"avc1", 24, 0xFFFFFFFF), id="a picture of 65,535 x 65,535"),
        pytest.param(patched(b"stco", 8, 0xFFFFFFF0), id="frames beyond the file"),
        pytest.param(SHORT[: len(SHORT) // 2], id="half of it"),
    ],
)
def test_hostile_videos_end_in_words(films: Films, hostile: bytes) -> None:
    try:
        assert len(times(films, hostile)) <= 300
    except InvalidImage as error:
        assert str(error)
    assert times(films, SHORT) == [0.0, 0.5, 1.0, 1.5]
    assert shared_decoder().memory_used == 0


def test_limits_of_pixels_and_of_time(films: Films) -> None:
    with pytest.raises(InvalidImage, match=r"pixels, the limit is 9\.4 megapixels"):
        films.look(encoded([np.zeros((3072, 3200, 3), np.uint8)]))
    with pytest.raises(InvalidImage, match=r"lasts \d+ s, the limit is 10800 s"):
        films.look(encoded([np.zeros((64, 64, 3), np.uint8)] * 2, rate=Fraction(1, 6000)))
    with pytest.raises(InvalidImage, match="longer than it claims"):
        times(films, patched(b"stts", 12, 50_000_000))


def test_large_frames_are_reduced(films: Films) -> None:
    """4K, as phones write it: faces are looked for at 1920, places are given in 4K."""
    ground = np.zeros((2160, 3840, 3), np.uint8)
    (frame,) = films.frames(encoded([ground] * 2, full_colour=False))
    assert (frame.width, frame.height) == (3840, 2160)
    header = shared_decoder().look(frame.jpeg, ImageLimits())
    assert (header.width, header.height) == (1920, 1080)


def test_a_server_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The children find no PyAV, as if it had never been installed."""
    hidden = tmp_path / "av.py"
    hidden.write_text("raise ModuleNotFoundError(\"No module named 'av'\", name='av')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with closing(Decoder()) as decoder, pytest.raises(InvalidImage, match=r"facewire\[video\]"):
        decoder.films.look(SHORT)
