"""Records a Python process's external effects. Put on PYTHONPATH as sitecustomize.

Every line of the file named by $WATCHED is an event with its arguments: connections, name lookups, variables set.
"""

from __future__ import annotations

import os
import sys

_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "os.putenv", "os.unsetenv")
_TOLD = os.open(os.environ["WATCHED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in _EVENTS:
        # The arguments are an address or a name lookup, which contain no line breaks
        os.write(_TOLD, f"{event} {arguments[1:] if event == 'socket.connect' else arguments}\n".encode())


sys.addaudithook(_watch)
