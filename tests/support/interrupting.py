"""Sends a signal, $INTERRUPT_BY or Ctrl-C, at an exact moment of a Python process. Put on PYTHONPATH as sitecustomize.

$INTERRUPT_AT is the moment: a number of imports after launch.py's, or part of an audit event and its first arguments
("open emotion.json", "socket.connect"). The file named by $INTERRUPTED exists once it has happened.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

# A test runner in the background ignores Ctrl-C, and its children would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

_at = os.environ["INTERRUPT_AT"]
_imports = -1
_done = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    global _imports, _done
    if _done:
        return
    if event == "import" and arguments[0] == "protocol":
        return  # launch.py's package, before launch.py itself
    if event == "import" and (_imports >= 0 or arguments[0] in ("protocol.launch", "_launch")):
        _imports += 1
    if _at.isdigit():
        come = event == "import" and _imports == int(_at)
    else:
        wanted, _, argument = _at.partition(" ")
        come = _imports >= 0 and event == wanted and argument in str(arguments[:2])
    if come:
        _done = True
        Path(os.environ["INTERRUPTED"]).touch()
        os.kill(os.getpid(), signal.Signals[os.environ.get("INTERRUPT_BY", "SIGINT")])


sys.addaudithook(_watch)
