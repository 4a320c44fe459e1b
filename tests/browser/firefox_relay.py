#!/usr/bin/env python3
"""Starts Debian's Firefox for Playwright, and answers for it the one command that this Firefox does not know yet.

Playwright drives a stock Firefox by WebDriver BiDi, and sends `emulation.setMediaFeaturesOverride` for every profile,
asked for or not (1.65). Firefox 153 refuses it, and with it the profile. So Playwright starts this program in the
place of Firefox, and talks to it; everything else passes through as it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.sync.server import ServerConnection, serve

UNKNOWN = "emulation.setMediaFeaturesOverride"
LIFE_S = 900.0
"""After that Firefox is killed: a page that died leaves Playwright waiting for ever."""

_LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")


def relay(browser: str, playwright: ServerConnection) -> None:
    """Passes messages both ways until one side hangs up; `browser`: where Firefox listens."""
    assert playwright.request is not None
    with connect(browser + playwright.request.path, max_size=None, compression=None, ping_interval=None) as firefox:
        down = threading.Thread(target=_pass_on, args=(firefox, playwright))
        down.start()
        with contextlib.suppress(ConnectionClosed):
            for message in playwright:
                asked = json.loads(message) if UNKNOWN in message else {}
                if asked.get("method") == UNKNOWN:
                    playwright.send(json.dumps({"type": "success", "id": asked["id"], "result": {}}))
                else:
                    firefox.send(message)
        firefox.close()
        down.join()


def _pass_on(firefox: Connection, playwright: Connection) -> None:
    with contextlib.suppress(ConnectionClosed):
        for message in firefox:
            playwright.send(message)
    playwright.close()


def listen(browser: str) -> int:
    """Serves `relay` in the background. Returns the port."""
    server = serve(
        lambda playwright: relay(browser, playwright),
        "127.0.0.1",
        0,
        max_size=None,
        compression=None,
        ping_interval=None,
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return int(server.socket.getsockname()[1])


def main() -> int:
    firefox = subprocess.Popen([os.environ["FIREFOX"], *sys.argv[1:]], stderr=subprocess.PIPE, text=True)
    assert firefox.stderr is not None
    end = threading.Timer(LIFE_S, firefox.kill)
    end.daemon = True
    end.start()
    for line in firefox.stderr:
        if listening := _LISTENING.search(line):
            line = line.replace(listening[1], f"ws://127.0.0.1:{listen(listening[1])}")
        sys.stderr.write(line)
        sys.stderr.flush()
    return firefox.wait()


if __name__ == "__main__":
    sys.exit(main())
