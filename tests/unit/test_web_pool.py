"""The page's pools of clients: what nobody waits for is not asked, and nobody's pool is closed under him."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from facewire.client.face_client import FaceClient
from facewire.client.web.gateway import Gateway
from facewire.client.web.pool import THREADS, ClientPool, Overloaded
from facewire.client.web.sessions import Session, Sessions
from facewire.client.web.settings import WebSettings
from tests.support.coroutines import run


class Asked:
    """Questions that are answered when `release` is called, which must be before the end."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._may_answer = threading.Event()
        self.release = self._may_answer.set

    def question(self, name: str) -> Callable[[FaceClient], str]:
        def ask(_: FaceClient) -> str:
            self.names.append(name)
            self._may_answer.wait()
            return name

        return ask


async def all_threads_busy(asked: Asked) -> None:
    while len(asked.names) < THREADS:
        await asyncio.sleep(0.01)


def test_what_nobody_waits_for_is_not_asked_but_a_change_is_made() -> None:
    asked = Asked()

    async def scenario() -> None:
        pool = ClientPool(FaceClient)
        begun = [asyncio.ensure_future(pool.call(asked.question("begun"))) for _ in range(THREADS)]
        await all_threads_busy(asked)
        waiting = [
            asyncio.ensure_future(pool.call(asked.question("look"))),
            asyncio.ensure_future(pool.call(asked.question("change"), changes=True)),
            asyncio.ensure_future(pool.call(asked.question("wanted"))),
        ]
        await asyncio.sleep(0)  # they stand in the queue
        for left in waiting[:2]:
            left.cancel()
        asked.release()
        await asyncio.gather(*begun, *waiting, return_exceptions=True)
        while not pool.is_idle:
            await asyncio.sleep(0.01)
        pool.close()

    run(scenario)
    assert asked.names[THREADS:] == ["change", "wanted"]


def test_a_pool_is_closed_only_when_nobody_waits_for_its_answers() -> None:
    asked = Asked()

    async def scenario() -> None:
        gateway = Gateway(WebSettings())
        sessions = [Session(str(number), "", f"token{number}") for number in range(18)]
        looks = [asyncio.ensure_future(gateway.ask(one, asked.question("look"))) for one in sessions[:16]]
        while len(asked.names) < 16:
            await asyncio.sleep(0.01)
        with pytest.raises(Overloaded):
            await gateway.ask(sessions[16], asked.question("too much"))
        asked.release()
        assert await asyncio.gather(*looks) == ["look"] * 16
        assert await gateway.ask(sessions[17], asked.question("later")) == "later"
        gateway.close()

    run(scenario)


def test_of_too_many_logins_those_that_ask_are_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facewire.client.web.sessions.MAX_LOGINS", 3)
    sessions = Sessions()
    active, silent = sessions.log_in("a"), sessions.log_in("b")
    for _ in range(5):
        assert sessions.find(active.id).token == "a"
        sessions.log_in("c")
    assert sessions.find(active.id).token == "a"
    assert sessions.find(silent.id).token is None
