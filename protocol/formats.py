"""The picture formats that facewire reads: their names, extensions, MIME types and signatures.

The only such table: server, clients and web page all use it.
"""

from __future__ import annotations

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

EXTENSIONS = frozenset(extension for form in FORMATS for extension in form.extensions)
"""Extensions of files taken for pictures by name; in lower case."""

NAMES = ", ".join(form.name for form in FORMATS)
"""All format names for messages: "JPEG, PNG, WebP, ..."."""

UNSUPPORTED = f"unsupported image format (reads {NAMES})"
"""Error message for any other format."""

_BY_KEY = {form.key: form for form in FORMATS} | {"MPO": FORMATS[0]}  # used by albums from before 2027


def format_called(key: str) -> Format:
    """The format of that `key`. Raises KeyError."""
    return _BY_KEY[key]


def format_of(data: bytes) -> Format | None:
    """The format of a file that begins with `data` (at least HEAD_BYTES), or None."""
    form = next((form for form in FORMATS if any(_all_fit(magics, data) for magics in form.signatures)), None)
    if form is not None and form.key == "HEIF" and _is_avif(data):
        return _BY_KEY["AVIF"]
    return form


def has_extension(name: str | PurePath) -> bool:
    """Does the name have a picture's extension, ignoring case?"""
    return PurePath(name).suffix.lower() in EXTENSIONS


def looks_like_a_picture(path: Path) -> bool:
    """Judged by the file's name, or else by its first bytes. Raises OSError if it must be opened but can't be."""
    if has_extension(path):
        return True
    with path.open("rb") as file:
        return format_of(file.read(HEAD_BYTES)) is not None


def _all_fit(magics: tuple[Magic, ...], data: bytes) -> bool:
    return all(magic.fits(data) for magic in magics)


def _is_avif(data: bytes) -> bool:
    """Does a file with a generic main brand list AVIF among its compatible brands?"""
    end = min(int.from_bytes(data[:4], "big"), HEAD_BYTES)
    return data[8:12] in (b"mif1", b"msf1") and any(data[at : at + 4] in (b"avif", b"avis") for at in range(16, end, 4))
