"""The formats that facewire reads, of pictures and of videos: their names, extensions, MIME types and signatures.

The only such table: server, clients and web page all use it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

HEAD_BYTES = 64
"""Number of leading bytes that `format_of` needs."""


@dataclass(frozen=True, slots=True)
class Magic:
    """Bytes found at `offset` in every file of a format."""

    offset: int
    value: bytes

    def fits(self, data: bytes) -> bool:
        """Does `data`, the beginning of a file, contain them?"""
        return data.startswith(self.value, self.offset)


@dataclass(frozen=True, slots=True)
class Format:
    """`key`: name in databases; `name`: name in messages; `extensions`: in lower case, the usual one first;
    `signatures`: a file of this format matches all parts of at least one of them."""

    key: str
    name: str
    mime: str
    extensions: tuple[str, ...]
    signatures: tuple[tuple[Magic, ...], ...]


def _starts(*values: bytes) -> tuple[tuple[Magic, ...], ...]:
    return tuple((Magic(0, value),) for value in values)


def _brands(*brands: bytes) -> tuple[tuple[Magic, ...], ...]:
    """Signatures of ISO base media files, by the brand of their first box."""
    return tuple((Magic(4, b"ftyp" + brand),) for brand in brands)


def _bitmaps(*header_sizes: int) -> tuple[tuple[Magic, ...], ...]:
    """Signatures of BMP: "BM" plus the header size, as many texts begin with these two letters, too."""
    return tuple((Magic(0, b"BM"), Magic(14, size.to_bytes(4, "little"))) for size in header_sizes)


FORMATS = (
    # An .mpo file is a JPEG followed by a second picture; viewers show the first.
    Format("JPEG", "JPEG", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), _starts(b"\xff\xd8\xff")),
    Format("PNG", "PNG", "image/png", (".png", ".apng"), _starts(b"\x89PNG\r\n\x1a\n")),
    Format("WEBP", "WebP", "image/webp", (".webp",), ((Magic(0, b"RIFF"), Magic(8, b"WEBP")),)),
    Format("BMP", "BMP", "image/bmp", (".bmp", ".dib"), _bitmaps(12, 16, 40, 52, 56, 64, 108, 124)),
    Format("TIFF", "TIFF", "image/tiff", (".tif", ".tiff"), _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    Format("GIF", "GIF", "image/gif", (".gif",), _starts(b"GIF87a", b"GIF89a")),
    # Before HEIF, because both may have the brands "mif1" and "msf1"; see _is_avif.
    Format("AVIF", "AVIF", "image/avif", (".avif", ".avifs"), _brands(b"avif", b"avis")),
    Format(
        "HEIF",
        "HEIC",
        "image/heic",
        (".heic", ".heif", ".hif", ".heics", ".heifs"),
        _brands(*(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")),
    ),
    # Used for faces in the chips of passports.
    Format(
        "JPEG2000",
        "JPEG 2000",
        "image/jp2",
        (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        _starts(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    ),
    # Many face data sets for research are PGM files. The text variants, P1 to P3, are not supported.
    Format(
        "PPM",
        "PGM",
        "image/x-portable-anymap",
        (".pgm", ".ppm", ".pnm"),
        _starts(*(kind + space for kind in (b"P5", b"P6") for space in (b"\n", b" ", b"\r", b"\t"))),
    ),
)

# Both are ISO base media files, which one demuxer reads. After HEIF and AVIF, as their brands may be listed, too.
VIDEO_FORMATS = (
    Format(
        "MP4",
        "MP4",
        "video/mp4",
        (".mp4", ".m4v"),
        _brands(
            *(b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9"),
            *(b"mp41", b"mp42", b"mp71", b"avc1", b"hvc1", b"av01", b"dash", b"M4V ", b"M4VH", b"M4VP", b"MSNV"),
            *(b"3gp4", b"3gp5", b"3gp6", b"3g2a", b"XAVC"),
        ),
    ),
    # QuickTime files from before 2001, and some cameras', begin without a brand.
    Format(
        "MOV",
        "MOV",
        "video/quicktime",
        (".mov", ".qt"),
        (*_brands(b"qt  "), *((Magic(4, box),) for box in (b"moov", b"mdat", b"wide"))),
    ),
)

EXTENSIONS = frozenset(extension for form in FORMATS for extension in form.extensions)
"""Extensions of files taken for pictures by name; in lower case."""

NAMES = ", ".join(form.name for form in FORMATS)
"""All format names for messages: "JPEG, PNG, WebP, ..."."""

VIDEO_EXTENSIONS = frozenset(extension for form in VIDEO_FORMATS for extension in form.extensions)
"""Extensions of files taken for videos by name; in lower case."""

VIDEO_NAMES = " and ".join(form.name for form in VIDEO_FORMATS)
"""The names of all video formats, for messages."""

UNSUPPORTED_VIDEO = f"unsupported video format (reads {VIDEO_NAMES})"
"""Error message for any other file where a video is wanted."""

WANTS_PICTURE = "a video, where a picture is wanted"

NEITHER = f"unsupported format (reads {NAMES}, and of videos {VIDEO_NAMES})"
"""Error message for any other file where both are taken."""

UNSUPPORTED = f"unsupported image format (reads {NAMES})"
"""Error message for any other format."""

_MPO = {"MPO": FORMATS[0]}  # used by albums from before 2027
_BY_KEY = {form.key: form for form in (*FORMATS, *VIDEO_FORMATS)} | _MPO


def unsupported(data: bytes) -> str:
    """The message about a file that is no picture."""
    return WANTS_PICTURE if video_format_of(data) is not None else UNSUPPORTED


def format_called(key: str) -> Format:
    """The format of that `key`. Raises KeyError."""
    return _BY_KEY[key]


def format_of(data: bytes) -> Format | None:
    """The format of a file that begins with `data` (at least HEAD_BYTES), or None."""
    form = next((form for form in FORMATS if any(_all_fit(magics, data) for magics in form.signatures)), None)
    if form is not None and form.key == "HEIF" and _is_avif(data):
        return _BY_KEY["AVIF"]
    return form


def video_format_of(data: bytes) -> Format | None:
    """The video format of a file that begins with `data` (at least HEAD_BYTES), or None."""
    return next((form for form in VIDEO_FORMATS if any(_all_fit(magics, data) for magics in form.signatures)), None)


def has_extension(name: str | PurePath) -> bool:
    """Does the name have a picture's extension, ignoring case?"""
    return PurePath(name).suffix.lower() in EXTENSIONS


def may_be_kept(name: str | PurePath, head: bytes) -> bool:
    """Is it a picture or a video, by its name or else by its first bytes (HEAD_BYTES): what albums keep?"""
    if PurePath(name).suffix.lower() in EXTENSIONS | VIDEO_EXTENSIONS:
        return True
    return format_of(head) is not None or video_format_of(head) is not None


def looks_like_a_picture(path: Path) -> bool:
    """Judged by the file's name, or else by its first bytes. Raises OSError if it must be opened but can't be."""
    if has_extension(path):
        return True
    with path.open("rb") as file:
        return format_of(file.read(HEAD_BYTES)) is not None


def looks_like_a_video(path: Path) -> bool:
    """Judged by the file's name, or else by its first bytes. Raises OSError if it must be opened but can't be."""
    if path.suffix.lower() in VIDEO_EXTENSIONS:
        return True
    with path.open("rb") as file:
        return video_format_of(file.read(HEAD_BYTES)) is not None


_LIVE_STILLS = (".heic", ".heif", ".jpg", ".jpeg")

FILM_OF_STILL = "the film of a Live Photo, which counts as its still"
"""Why a file was left out; see films_of_stills."""


def films_of_stills(names: Iterable[str]) -> set[str]:
    """Of files in folders, as names with forward slashes: the films of Live Photos, .mov beside a picture of that name.

    A Live Photo counts as its still.
    """
    paths = [(name, PurePath(name)) for name in names]
    stills = {_key(path) for _, path in paths if path.suffix.lower() in _LIVE_STILLS}
    return {name for name, path in paths if path.suffix.lower() == ".mov" and _key(path) in stills}


def _key(path: PurePath) -> str:
    return str(path.with_suffix("")).casefold()


def _all_fit(magics: tuple[Magic, ...], data: bytes) -> bool:
    return all(magic.fits(data) for magic in magics)


def _is_avif(data: bytes) -> bool:
    """Does a file with a generic main brand list AVIF among its compatible brands?"""
    end = min(int.from_bytes(data[:4], "big"), HEAD_BYTES)
    return data[8:12] in (b"mif1", b"msf1") and any(data[at : at + 4] in (b"avif", b"avis") for at in range(16, end, 4))
