"""When a photo was taken: by its EXIF, else by its name, else by the time of its file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from facewire.protocol.albums.looking import TakenFrom
from facewire.server.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Taken:
    """`at`: ISO 8601, the clock's time at the place, with the offset from UTC if that is known; a date alone where the
    time of day isn't. None: nobody knows."""

    at: str | None
    source: TakenFrom | None


def when_taken(exif: str, name: str, modified: str) -> Taken:
    """`exif`: from `Header.taken`; `modified`: from `file_time`; either may be empty."""
    if exif:
        return Taken(exif, "exif")
    in_name = time_in(name)
    if in_name:
        return Taken(in_name, "name")
    return Taken(modified, "file") if modified else Taken(None, None)


def file_time(text: str) -> str:
    """A file's time as a client or a ZIP gives it, without fractions of seconds. Raises BadRequest."""
    if not text:
        return ""
    try:
        return datetime.fromisoformat(text).isoformat(timespec="seconds")
    except ValueError as error:
        raise BadRequest("the file's time must be ISO 8601, such as 2024-01-31T14:25:30+01:00") from error


# IMG_20240131_142530, PXL_20240131_142530123, 2024-01-31 14.25.30, IMG-20240131-WA0007, signal-2024-01-31-142530,
# Screenshot_2024-01-31-14-25-30, "2024-01-31 at 14.25.30"
_IN_NAME = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
    r"(?:[-_. T]{0,3}(?:at )?([01]\d|2[0-3])([-_.:]?)([0-5]\d)\6([0-5]\d)(?:\d{3})?)?(?!\d)"
)


def time_in(name: str) -> str:
    """The date, or date and time, that cameras and messengers write into a file's name; empty if there is none."""
    tomorrow = datetime.now().date() + timedelta(days=1)  # wherever on earth the camera was
    for found in _IN_NAME.finditer(name.rpartition("/")[2]):
        year, _, month, day, hour, _, minute, second = found.groups()
        try:
            time = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
        except ValueError:  # the 31st of April
            continue
        if time.date() <= tomorrow:
            return time.date().isoformat() if hour is None else time.isoformat()
    return ""
