"""How many connections there is room for: each needs an open file, and systems limit those (`ulimit -n`)."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from facewire.server.errors import StartError
from facewire.server.tcp.limits import TcpLimits

_log = logging.getLogger("facewire.tcp")

_OTHERS = 200  # databases, files being read, networks, decoders' pipes: about 60, and headroom
_FEWEST_OTHERS = 120
_FEWEST_LEAVING, _FEWEST_LINGERING, _FEWEST_STRANGERS = 16, 32, 8


@dataclass(frozen=True, slots=True)
class Room:
    """Connections at a time, by what they are doing."""

    members: int
    strangers: int  # without a request or the token yet
    leaving: int = 64  # evicted but not gone yet (last answer, scheduling): milliseconds each
    lingering: int = 256  # ended, but still reading our last answer; beyond that they are closed at once

    @property
    def files(self) -> int:
        """Open files that they need."""
        return self.members + self.strangers + self.leaving + self.lingering


def make_room_for(limits: TcpLimits) -> Room:
    """Raises the process's limit of open files to what these limits need.

    Where the system doesn't allow that, there is room for fewer, and a warning says so. Raises StartError (exit code 2)
    if that is fewer than what was asked for.
    """
    wanted = Room(limits.max_connections or limits.default_connections, limits.max_strangers)
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted.files + _OTHERS if hard == resource.RLIM_INFINITY else hard
    room = room_within(limits, wanted, allowed)
    needed = min(wanted.files + _OTHERS, allowed)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    if (room.members, room.strangers) != (wanted.members, wanted.strangers):
        _log.warning(
            "this system allows %d open files, so %d connections at a time instead of %d, and %d new ones instead of"
            " %d; raise the limit for more (ulimit -n; LimitNOFILE= of a systemd unit)",
            allowed, room.members, wanted.members, room.strangers, wanted.strangers,
        )  # fmt: skip
    return room


def room_within(limits: TcpLimits, wanted: Room, files: int) -> Room:
    """`wanted`, or what fits into so many open files: first fewer that leave and linger, then fewer strangers, then
    fewer members unless their number was asked for. Raises StartError."""
    if wanted.files + _OTHERS <= files:
        return wanted
    strangers = min(_FEWEST_STRANGERS, wanted.strangers)
    fewest = _FEWEST_OTHERS + _FEWEST_LEAVING + _FEWEST_LINGERING + strangers
    left = files - fewest + strangers  # for members and strangers
    asked, possible = limits.max_connections, files - fewest
    if possible < (asked or 1):
        what = "the server" if asked is None else f"--max-connections {asked}"
        advice = f"take {possible} at most, or raise the limit" if possible > 0 else "raise the limit"
        raise StartError(
            f"{what} needs {fewest + (asked or 1)} open files and this system allows {files}: {advice} (ulimit -n;"
            " LimitNOFILE= of a systemd unit)",
            exit_code=2,
        )
    members = asked or min(wanted.members, possible, max(1, left // 2))
    strangers = min(wanted.strangers, left - members)
    lingering = min(wanted.lingering, left - members - strangers + _FEWEST_LINGERING)
    return Room(members, strangers, _FEWEST_LEAVING, lingering)
