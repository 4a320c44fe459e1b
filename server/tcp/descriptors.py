"""Raises the limit of open files: each connection needs one, and most systems allow 1,024 by default."""

from __future__ import annotations

from facewire.server.errors import StartError
from facewire.server.tcp.limits import TcpLimits
from facewire.server.tcp.lingering import MOST_LINGERING
from facewire.server.tcp.places import MOST_LEAVING

_OTHERS = 200  # databases, files being read, networks, decoders' pipes: about 60, and headroom


def make_room_for(limits: TcpLimits) -> None:
    """Raises the process's limit of open files to what these limits need. Raises StartError (exit code 2)."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    needed = limits.max_connections + limits.max_strangers + MOST_LEAVING + MOST_LINGERING + _OTHERS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        possible = limits.max_connections - (needed - hard)
        advice = f"take {possible} at most, or raise the limit" if possible > 0 else "raise the limit"
        raise StartError(
            f"--max-connections {limits.max_connections} needs {needed} open files and this system allows {hard}: "
            f"{advice} (ulimit -n; LimitNOFILE= of a systemd unit)",
            exit_code=2,
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
