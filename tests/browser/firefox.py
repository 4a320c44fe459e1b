"""Debian's Firefox, as Playwright drives it: by WebDriver BiDi, with a relay in between (firefox_relay.py)."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

PREFERENCES: dict[str, bool | float | str] = {
    "ui.prefersReducedMotion": 1,  # BiDi can't say it for one profile
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    # No processes ahead of need, and none of the services that ask Mozilla for news
    "dom.ipc.processPrelaunch.enabled": False,
    "services.settings.server": "data:,#nowhere",
    "app.normandy.enabled": False,
    "messaging-system.rsexperimentloader.enabled": False,
    "browser.region.network.url": "",
    "browser.search.suggest.enabled": False,
    "browser.ml.enable": False,
    "extensions.webcompat.enabled": False,
}


def launch(playwright: Playwright, firefox: str, room: Path) -> Browser:
    """`room`: an empty folder for what it writes; `firefox`: its program."""
    started = room / "firefox"
    relay = Path(__file__).with_name("firefox_relay.py")
    started.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(relay)])} "$@"\n', encoding="utf-8")
    started.chmod(0o755)
    return playwright.firefox.launch(
        channel="moz-firefox",
        executable_path=started,
        headless=True,
        firefox_user_prefs=PREFERENCES,
        env={**os.environ, "HOME": str(room), "FIREFOX": firefox},
    )
