"""What files are made of, before a decoder sees them: honest ones pass as they are, hostile ones don't."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from facewire.server.errors import InvalidImage
from facewire.server.vision.decoding.exchange import HostileFiles
from facewire.server.vision.decoding.guards import MOST_SCANS, checked
from facewire.server.vision.image import ImageLimits, read_header
from facewire.server.vision.readers import webp_size
from tests.support.pictures import saved

NOISE = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)
PICTURE = Image.fromarray(cv2.resize(NOISE, (320, 240)))
OTHER = Image.new("RGB", PICTURE.size, "grey")

STILL = [
    *(("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"})),
    *(("PNG", {}), ("GIF", {}), ("BMP", {}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("HEIF", {})),
    *(("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"big_tiff": True})),
]
MOVING = ["PNG", "GIF", "WEBP"]


def animated(form: str) -> bytes:
    options = {"lossless": True} if form == "WEBP" else {}
    return saved(PICTURE, form, save_all=True, append_images=[OTHER], duration=100, **options)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png: bytes, extra: bytes) -> bytes:
    """Behind the header, which takes 33 bytes with the signature."""
    return png[:33] + extra + png[33:]


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def scans(data: bytes) -> list[bytes]:
    """A progressive JPEG's last scan, and what comes before it."""
    at = data.rindex(b"\xff\xda")
    return [data[:at], data[at:-2]]


@pytest.mark.parametrize(("form", "options"), STILL)
def test_a_still_picture_passes_as_it_is(form: str, options: dict[str, object]) -> None:
    data = saved(PICTURE, form, **options)
    assert checked(data).data == data


@pytest.mark.parametrize("form", MOVING)
def test_of_an_animation_the_first_frame_is_left(form: str) -> None:
    data = animated(form)
    left = checked(data).data
    assert len(left) < len(data)
    with Image.open(io.BytesIO(left)) as image:
        assert getattr(image, "n_frames", 1) == 1
    assert np.array_equal(pixels(left), pixels(data))


def test_text_and_profiles_of_a_png_are_left_out_and_its_orientation_is_not() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(PICTURE, "PNG", exif=exif.tobytes())
    bomb = zlib.compress(bytes(10_000_000))
    for extra in (chunk(b"zTXt", b"a\0\0" + bomb), chunk(b"iCCP", b"a\0\0" + bomb), chunk(b"acTL", bytes(8))):
        assert checked(with_chunk(data, extra)).data == data
    with Image.open(io.BytesIO(checked(data).data)) as image:
        assert image.getexif()[0x0112] == 6


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF, 200_000_000])
def test_lengths_far_beyond_the_file_are_refused(length: int) -> None:
    png = saved(PICTURE, "PNG")
    webp = saved(PICTURE, "WEBP")
    tiff = bytearray(saved(PICTURE, "TIFF"))
    (directory,) = struct.unpack_from("<I", tiff, 4)
    struct.pack_into("<I", tiff, directory + 2 + 4, length)  # the first entry's count
    for data in (
        png[:33] + struct.pack(">I", length) + b"IDAT\0",
        webp[:4] + struct.pack("<I", length) + webp[8:],
        webp[:16] + struct.pack("<I", length) + webp[20:],
        bytes(tiff),
    ):
        with pytest.raises(InvalidImage, match="more bytes than the file"):
            checked(data)


@pytest.mark.parametrize(("form", "options"), STILL)
def test_a_file_cut_off_is_for_its_decoder_to_judge(form: str, options: dict[str, object]) -> None:
    data = saved(PICTURE, form, **options)
    for kept in (4, 12, 30, len(data) // 3, len(data) - 3):
        assert checked(data[:kept]).data[:kept] == data[:kept]


def test_an_offset_that_no_number_of_this_machine_holds() -> None:
    """Found by python -m lab.proof.fuzz headers; the decoder judges such a file, too."""
    data = b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(16)
    assert checked(data).data == data


def test_a_gif_is_not_opened_if_its_screen_is_too_large() -> None:
    """Found by python -m lab.proof.fuzz headers: opening it took seconds, and four gigabytes."""
    data = b"GIF89a" + b"\xff" * 4 + saved(PICTURE, "GIF")[10:]
    with pytest.raises(InvalidImage, match="claims 65535x65535 pixels"):
        read_header(data, ImageLimits())


def test_nor_if_its_first_frame_makes_it_so() -> None:
    """Found by python -m lab.proof.fuzz headers: a frame beyond the screen enlarges it."""
    data = saved(PICTURE, "GIF")
    frame = data.index(b",", 13 + (3 << ((data[10] & 7) + 1)))
    comment = b"!\xfe\x03a,b\0"  # with what looks like the beginning of a frame
    data = data[:frame] + comment + b"," + b"\xff" * 8 + data[frame + 9 :]
    with pytest.raises(InvalidImage, match="claims 131070x131070 pixels"):
        read_header(data, ImageLimits())


def test_scans_of_a_progressive_jpeg_are_counted() -> None:
    data = saved(PICTURE, "JPEG", progressive=True)
    head, last = scans(data)
    there = data.count(b"\xff\xda")
    most = head + last * (MOST_SCANS - there + 1) + b"\xff\xd9"
    assert checked(most).data == most
    with pytest.raises(InvalidImage, match="more than 100 progressive scans"):
        checked(head + last * (MOST_SCANS - there + 2) + b"\xff\xd9")


def test_what_looks_like_scans_elsewhere_is_none() -> None:
    data = saved(PICTURE, "JPEG", progressive=True)
    head, last = scans(data)
    comment = b"\xff\xda" * 500
    behind = data + comment  # a film that a phone put there
    within = head + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + last + b"\xff\xd9"
    for honest in (behind, within):
        assert checked(honest).data == honest


def test_the_larger_the_picture_the_fewer_scans() -> None:
    data = bytearray(saved(PICTURE, "JPEG", progressive=True))
    at = data.index(b"\xff\xc2")
    struct.pack_into(">HH", data, at + 5, 10_000, 10_000)
    head, last = scans(bytes(data))
    with pytest.raises(InvalidImage, match="more than 30 progressive scans"):
        checked(head + last * 30 + b"\xff\xd9")


def test_coefficients_are_reckoned() -> None:
    assert checked(saved(PICTURE, "JPEG")).coefficients == 0
    whole = checked(saved(PICTURE, "JPEG", progressive=True, subsampling=0)).coefficients
    halved = checked(saved(PICTURE, "JPEG", progressive=True, subsampling=2)).coefficients
    assert (whole, halved) == (320 * 240 * 6, 320 * 240 * 3)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}])
def test_the_size_of_a_webp(options: dict[str, object]) -> None:
    assert webp_size(saved(PICTURE, "WEBP", **options)) == (320, 240)


def test_hostile_are_known_by_their_bytes_and_the_latest_are_kept() -> None:
    hostile = HostileFiles(remembered=3)
    for number in range(5):
        hostile.add(b"culprit %d" % number, f"reason {number}")
    assert [hostile.reason(b"culprit %d" % number) for number in range(5)] == [
        *(None, None),
        *("reason 2", "reason 3", "reason 4"),
    ]
    assert hostile.reason(b"another 2") is None
