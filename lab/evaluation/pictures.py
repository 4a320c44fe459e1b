"""Finds pictures: in one sub-folder per person or group, or labelled by class folders in a directory or tar."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from facewire.protocol.formats import has_extension
from facewire.server.errors import StartError


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """`content` is the image file's bytes."""

    path: PurePosixPath
    label: str
    content: bytes


def labelled_pictures(source: Path, classes: Mapping[str, str]) -> Iterator[LabelledPicture]:
    """All pictures below `source` (a directory or a .tar, .tar.gz, .tar.xz), labelled by the class folder they are in.

    `classes` maps folder names, in lower case, to labels; the innermost such folder counts, at any depth. Raises
    StartError if `source` can't be read, or if a picture is in no such folder, as a missing class would go unnoticed.
    """
    for path, content in pictures_below(source):
        named = [classes[part.lower()] for part in path.parts[:-1] if part.lower() in classes]
        if not named:
            raise StartError(f"{path} lies in no folder named after a class ({', '.join(classes)})", exit_code=2)
        yield LabelledPicture(path, named[-1], content)


def pictures_below(source: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Path and content of all pictures below `source`, a directory or a tar archive. Raises StartError."""
    return ((path, content) for path, content in _files(source) if has_extension(path))


def _files(source: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    try:
        if source.is_dir():
            for file in sorted(path for path in source.rglob("*") if path.is_file()):
                yield PurePosixPath(file.relative_to(source)), file.read_bytes()
            return
        with tarfile.open(source) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield PurePosixPath(member.name), content.read()
    except (OSError, tarfile.TarError) as error:
        raise StartError(f"{source} is neither a readable folder nor a tar archive: {error}", exit_code=2) from error


def image_files(folder: Path) -> list[Path]:
    """All pictures in sub-folders. Raises StartError if there are none."""
    found = sorted(path for path in folder.glob("*/**/*") if has_extension(path) and path.is_file())
    if not found:
        raise StartError(f"{folder} has no sub-folders with pictures", exit_code=2)
    return found
