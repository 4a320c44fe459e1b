"""The one table of picture formats, and that whatever is in it is read, by any name and after anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facewire.protocol.formats import (
    EXTENSIONS,
    FORMATS,
    HEAD_BYTES,
    NAMES,
    UNSUPPORTED,
    format_called,
    format_of,
    has_extension,
    looks_like_a_picture,
    looks_like_a_video,
    may_be_kept,
    unsupported,
    video_format_of,
)
from facewire.server.errors import InvalidImage
from facewire.server.vision.image import ImageLimits, decode_image, read_header
from tests.support.orientations import looks_upright, upright
from tests.support.pictures import saved
from tests.unit.test_architecture import ROOT

LIMITS = ImageLimits()

FILES = {form.key: saved(upright(), form.key) for form in FORMATS}
NO_PICTURES = {
    "text": b"BM, he said, and II* times more, GIF what you can",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(60),
    "film": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(60),
    "quicktime": b"\0\0\0\x14ftypqt  \0\0\2\0qt  " + bytes(60),
    "sound": b"RIFF\x24\0\0\0WAVEfmt " + bytes(60),
    "zip": b"PK\x03\x04" + bytes(60),
    "photoshop": b"8BPS\0\1" + bytes(60),
    "icon": b"\0\0\1\0\1\0\x10\x10" + bytes(60),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n" + bytes(60),
    "direct draw": b"DDS |\0\0\0\x07\x10\x0a\0" + bytes(120),
    "jpeg xl": b"\xff\x0a" + bytes(60),
    "plain text anymap": b"P3\n2 2\n255\n" + b"1 " * 60,
    "raw header of a bitmap": b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x29\0\0\0" + bytes(60),
}


_FILMS = ("film", "quicktime")


def test_every_format_is_recognised_by_its_first_bytes_and_decoded() -> None:
    for key, data in FILES.items():
        form = format_of(data[:HEAD_BYTES])
        assert form is not None, key
        assert form.key == key
        assert read_header(data, LIMITS).format == key
        assert looks_upright(decode_image(data, LIMITS)), key


def test_no_format_is_taken_for_another_and_no_extension_is_two_formats() -> None:
    for data in FILES.values():
        fitting = [f.key for f in FORMATS if any(all(m.fits(data) for m in s) for s in f.signatures)]
        assert len(fitting) == 1
    assert sum(len(form.extensions) for form in FORMATS) == len(EXTENSIONS)
    assert all(extension == extension.lower() for extension in EXTENSIONS)
    assert all(magic.offset + len(magic.value) <= HEAD_BYTES for f in FORMATS for s in f.signatures for magic in s)


def test_avif_that_calls_itself_just_a_picture() -> None:
    avif = FILES["AVIF"]
    assert avif[4:12] == b"ftypavif"
    general = avif[:8] + b"mif1" + avif[12:]
    assert b"avif" in general[16:64]
    form = format_of(general)
    assert form is not None
    assert form.key == "AVIF"
    assert looks_upright(decode_image(general, LIMITS))


@pytest.mark.parametrize("what", NO_PICTURES)
def test_anything_else_is_refused_in_the_same_words(what: str) -> None:
    """But for videos, which are called so."""
    assert format_of(NO_PICTURES[what]) is None
    with pytest.raises(InvalidImage) as refused:
        decode_image(NO_PICTURES[what], LIMITS)
    assert f"unsupported image format (reads {NAMES})" == UNSUPPORTED
    assert str(refused.value) == ("a video, where a picture is wanted" if what in _FILMS else UNSUPPORTED)


def test_names_in_any_case() -> None:
    for name in ("a.JPG", "a.b.jpeg", "x.JPE", "x.jfif", "x.MPO", "x.Heic", "x.HIF", "x.avif", "x.tiff", "deep/x.GIF"):
        assert has_extension(name)
    for name in ("a", "a.txt", "jpg", ".jpg.part", "a.jpg ", "a.mp4"):
        assert not has_extension(name)


def test_a_file_without_a_name_of_a_picture_is_looked_into(tmp_path: Path) -> None:
    for key, data in FILES.items():
        (tmp_path / key).write_bytes(data)
        assert looks_like_a_picture(tmp_path / key)
    for what, data in NO_PICTURES.items():
        (tmp_path / what).write_bytes(data)
        assert not looks_like_a_picture(tmp_path / what)
    with pytest.raises(FileNotFoundError):
        looks_like_a_picture(tmp_path / "gone")
    assert looks_like_a_picture(tmp_path / "gone.jpg")  # which its reader will find out


def test_albums_of_before_know_the_word_of_their_time() -> None:
    assert format_called("MPO") is format_called("JPEG")
    assert format_called("HEIF").mime == "image/heic"


def test_a_raw_file_of_a_camera_is_not_taken_for_its_preview() -> None:
    for raw in (saved(upright(), "TIFF", tiffinfo={254: 1}), FILES["TIFF"][:8] + b"CR" + FILES["TIFF"][10:]):
        with pytest.raises(InvalidImage, match="raw file"):
            decode_image(raw, LIMITS)


def test_of_several_pictures_the_first_is_taken() -> None:
    for form, options in (
        ("MPO", {}),
        ("GIF", {}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("AVIF", {"quality": 95}),
        ("HEIF", {"quality": 95}),
    ):
        second = upright().transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        data = saved(upright(), form, save_all=True, append_images=[second], **options)
        assert looks_upright(decode_image(data, LIMITS)), form


def test_the_main_picture_of_a_heif_is_taken() -> None:
    second = upright()
    data = saved(
        upright().transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        "HEIF",
        save_all=True,
        append_images=[second],
        primary_index=1,
        quality=95,
    )
    assert looks_upright(decode_image(data, LIMITS))


def test_sixteen_bits_and_numbers_of_any_range_become_eight() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64)
    for form, kind in (("PNG", np.uint16), ("TIFF", np.uint16), ("TIFF", np.int32), ("TIFF", np.float32)):
        pixels = decode_image(saved(Image.fromarray(ramp.astype(kind)), form), LIMITS)
        assert pixels.shape == (64, 64, 3)
        assert abs(int(pixels[32, 0, 0]) - 128) <= 2
        assert (int(pixels[0, 0, 0]), int(pixels[-1, -1, 0])) == (0, 255)


def test_the_words_do_not_depend_on_what_was_asked_before() -> None:
    """A fresh process each: what another module registers with Pillow changes nothing."""
    code = """
import sys
from facewire.server.vision.image import ImageLimits, decode_image
from facewire.server.errors import InvalidImage
if sys.argv[1] == "late":
    from PIL import Image
    import pillow_heif
    Image.init()
    pillow_heif.register_heif_opener()
for data in (bytes.fromhex(argument) for argument in sys.argv[2:]):
    try:
        print(decode_image(data, ImageLimits()).shape)
    except InvalidImage as error:
        print(error)
"""
    asked = [FILES["HEIF"][:200], FILES["HEIF"], FILES["AVIF"][:100], FILES["PNG"][:40], NO_PICTURES["direct draw"]]
    said = {
        when: subprocess.run(
            [sys.executable, "-c", code, when, *(data.hex() for data in asked)],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout
        for when in ("early", "late")
    }  # fmt: skip
    assert said["early"] == said["late"]
    assert len(said["early"].splitlines()) == len(asked)


def test_the_protocol_lists_the_formats_once() -> None:
    text = (ROOT / "protocol" / "README.md").read_text(encoding="utf-8")
    assert text.count(f"These formats are read: {NAMES}.") == 1
    assert text.count("BMP") == 1


VIDEOS = {
    "MP4": b"\0\0\0\x18ftypisom\0\0\2\0" + bytes(60),
    "MOV": NO_PICTURES["quicktime"],
}


def test_videos_are_told_from_pictures_and_from_each_other(tmp_path: Path) -> None:
    for key, data in VIDEOS.items():
        form = video_format_of(data)
        assert form is not None
        assert form == format_called(key)
        assert format_of(data) is None
        assert unsupported(data) == "a video, where a picture is wanted"
        assert may_be_kept("without an extension", data)
        (path := tmp_path / key).write_bytes(data)
        assert looks_like_a_video(path)
        assert not looks_like_a_picture(path)
    for data in FILES.values():
        assert video_format_of(data) is None
        assert may_be_kept("x", data)
    assert not may_be_kept("x.wav", NO_PICTURES["sound"])
    assert video_format_of(b"\0\0\0\x08moov" + bytes(60)) == format_called("MOV")
