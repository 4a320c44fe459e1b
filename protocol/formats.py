"""The picture formats that facewire reads: their names, extensions, MIME types, and first bytes.

The only such table. Server, clients, and the web page all take from here what a picture is called, and how it is
recognised.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath

HEAD_BYTES = 64
"""As many first bytes of a file as `format_of` looks at."""


@dataclass(frozen=True, slots=True)
class Magic:
    """Bytes that every file of a format has at `offset`."""

    offset: int
    value: bytes

    def fits(self, data: bytes) -> bool:
        """Does `data`, a file's beginning, have them?"""
        return data.startswith(self.value, self.offset)


@dataclass(frozen=True, slots=True)
class Format:
    """`key`: its name in databases; `name`: in messages; `extensions`: in lower case, the usual one first;
    `signatures`: a file of this format fits everything in one of them."""

    key: str
    name: str
    mime: str
    extensions: tuple[str, ...]
    signatures: tuple[tuple[Magic, ...], ...]


def _starts(*values: bytes) -> tuple[tuple[Magic, ...], ...]:
    return tuple((Magic(0, value),) for value in values)


def _brands(*brands: bytes) -> tuple[tuple[Magic, ...], ...]:
    """Of an ISO base media file: the brand of its first box."""
    return tuple((Magic(4, b"ftyp" + brand),) for brand in brands)


def _bitmaps(*header_sizes: int) -> tuple[tuple[Magic, ...], ...]:
    """Two letters begin many a text, too: the size of the header behind them has few values."""
    return tuple((Magic(0, b"BM"), Magic(14, size.to_bytes(4, "little"))) for size in header_sizes)


FORMATS = (
    # An .mpo file is a JPEG with a second picture behind it; the first is what viewers show.
    Format("JPEG", "JPEG", "image/jpeg", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"), _starts(b"\xff\xd8\xff")),
    Format("PNG", "PNG", "image/png", (".png", ".apng"), _starts(b"\x89PNG\r\n\x1a\n")),
    Format("WEBP", "WebP", "image/webp", (".webp",), ((Magic(0, b"RIFF"), Magic(8, b"WEBP")),)),
    Format("BMP", "BMP", "image/bmp", (".bmp", ".dib"), _bitmaps(12, 16, 40, 52, 56, 64, 108, 124)),
    Format("TIFF", "TIFF", "image/tiff", (".tif", ".tiff"), _starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    Format("GIF", "GIF", "image/gif", (".gif",), _starts(b"GIF87a", b"GIF89a")),
    # Before HEIF: files of both kinds begin with the brands "mif1" and "msf1", see _is_avif.
    Format("AVIF", "AVIF", "image/avif", (".avif", ".avifs"), _brands(b"avif", b"avis")),
    Format(
        "HEIF",
        "HEIC",
        "image/heic",
        (".heic", ".heif", ".hif", ".heics", ".heifs"),
        _brands(*(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")),
    ),
    # Faces in the chips of passports are stored so.
    Format(
        "JPEG2000",
        "JPEG 2000",
        "image/jp2",
        (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
        _starts(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    ),
    # Many collections of faces for research are PGM files. The kinds written as text, P1 to P3, are not read.
    Format(
        "PPM",
        "PGM",
        "image/x-portable-anymap",
        (".pgm", ".ppm", ".pnm"),
        _starts(*(kind + space for kind in (b"P5", b"P6") for space in (b"\n", b" ", b"\r", b"\t"))),
    ),
)

EXTENSIONS = frozenset(extension for form in FORMATS for extension in form.extensions)
"""Of files that are taken for pictures by their name; in lower case."""

NAMES = ", ".join(form.name for form in FORMATS)
"""For messages: "JPEG, PNG, WebP, ..."."""

UNSUPPORTED = f"unsupported image format (reads {NAMES})"
"""The message about a file that is in none of them."""

_BY_KEY = {form.key: form for form in FORMATS} | {"MPO": FORMATS[0]}  # albums of before 2027 have that word for some


def format_called(key: str) -> Format:
    """The format of that `key`. Raises KeyError."""
    return _BY_KEY[key]


def format_of(data: bytes) -> Format | None:
    """The format of a file that begins with `data`, HEAD_BYTES of it or more; None for any other."""
    form = next((form for form in FORMATS if any(_all_fit(magics, data) for magics in form.signatures)), None)
    if form is not None and form.key == "HEIF" and _is_avif(data):
        return _BY_KEY["AVIF"]
    return form


def has_extension(name: str | PurePath) -> bool:
    """Whether the file's name ends like a picture's, in either case."""
    return PurePath(name).suffix.lower() in EXTENSIONS


def looks_like_a_picture(path: Path) -> bool:
    """By the file's name, or else by its first bytes. Raises OSError if it has to be opened and can't be."""
    if has_extension(path):
        return True
    with path.open("rb") as file:
        return format_of(file.read(HEAD_BYTES)) is not None


def _all_fit(magics: tuple[Magic, ...], data: bytes) -> bool:
    return all(magic.fits(data) for magic in magics)


def _is_avif(data: bytes) -> bool:
    """Of a file whose main brand says only "pictures": does the list of brands, behind it, name AVIF?"""
    end = min(int.from_bytes(data[:4], "big"), HEAD_BYTES)
    return data[8:12] in (b"mif1", b"msf1") and any(data[at : at + 4] in (b"avif", b"avis") for at in range(16, end, 4))
