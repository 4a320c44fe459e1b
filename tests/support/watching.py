"""Reports what a Python process does to the outside: it is put on PYTHONPATH under the name sitecustomize.

Every line of the file that $WATCHED names is an event and its arguments: connections, names looked up, variables set.
"""

from __future__ import annotations

import os
import sys

_EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.sendto", "os.putenv", "os.unsetenv")
_TOLD = os.open(os.environ["WATCHED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in _EVENTS:
        # The last argument is an address, or the rest of a name lookup: none of them holds a line break
        os.write(_TOLD, f"{event} {arguments[1:] if event == 'socket.connect' else arguments}\n".encode())


sys.addaudithook(_watch)
