"""Coroutines in tests that are functions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run(what: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On a thread of its own: the browser tests leave their event loop running on this one."""
    with ThreadPoolExecutor(1) as elsewhere:
        elsewhere.submit(lambda: asyncio.run(what())).result()
