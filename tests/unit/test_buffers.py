"""Memory for arriving frames: bounded over all connections, and nobody keeps it from others for long."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from facewire.server.tcp.buffers import Buffers, Room

PATIENCE_S = 20.0


def soon() -> float:
    return time.monotonic() + PATIENCE_S


def take(buffers: Buffers, size: int, given_up: threading.Event | None = None) -> Room | None:
    return buffers.take(size, until=soon(), wanted=lambda: True, give_up=(given_up or threading.Event()).set)


def given(room: Room | None) -> Room:
    assert room is not None
    return room


def test_room_is_held_until_it_is_given_back() -> None:
    buffers = Buffers(100)
    rooms = [given(take(buffers, 40)), given(take(buffers, 35))]
    assert buffers.held == 75
    for room in rooms:
        buffers.give_back(room)
    assert buffers.held == 0


def test_a_frame_larger_than_all_has_it_alone() -> None:
    buffers = Buffers(100)
    buffers.give_back(given(take(buffers, 1000)))
    assert buffers.held == 0


def test_who_needs_least_comes_first() -> None:
    buffers = Buffers(100, patience_s=PATIENCE_S)
    first = given(take(buffers, 75))
    with ThreadPoolExecutor(2) as pool:
        large = pool.submit(take, buffers, 74)
        while len(buffers._wanted) < 1:
            time.sleep(0.001)
        small = pool.submit(take, buffers, 50)
        while len(buffers._wanted) < 2:
            time.sleep(0.001)
        buffers.give_back(first)
        room = given(small.result(PATIENCE_S))
        assert not large.done()
        buffers.give_back(room)
        buffers.give_back(given(large.result(PATIENCE_S)))


def test_photos_have_room_whatever_larger_frames_hold() -> None:
    buffers = Buffers(320, patience_s=PATIENCE_S)
    large = [given(take(buffers, 80)) for _ in range(3)]
    photos = [given(take(buffers, 10)) for _ in range(8)]
    assert buffers.held == 320
    for room in large + photos:
        buffers.give_back(room)


def test_the_oldest_gives_up_when_others_have_waited_for_it() -> None:
    buffers = Buffers(100, patience_s=0.05)
    told = [threading.Event(), threading.Event()]
    old, newer = (given(take(buffers, 37, event)) for event in told)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, buffers, 30)
        assert told[0].wait(PATIENCE_S)
        assert not waiting.done()
        buffers.give_back(old)
        buffers.give_back(given(waiting.result(PATIENCE_S)))
        assert not told[1].is_set()  # one was enough
    buffers.give_back(newer)


def test_nobody_gives_up_while_nobody_waits() -> None:
    buffers = Buffers(100, patience_s=0.0)
    told = threading.Event()
    room = given(take(buffers, 100, told))
    assert buffers.take(10, until=0.0, wanted=lambda: False, give_up=told.set) is None
    assert not told.is_set()
    buffers.give_back(room)


def test_waiting_ends_in_time_and_when_nobody_wants_it_any_more() -> None:
    buffers = Buffers(100, patience_s=PATIENCE_S)
    room = given(take(buffers, 100))
    assert buffers.take(10, until=time.monotonic() + 0.05, wanted=lambda: True, give_up=lambda: None) is None
    wanted = threading.Event()
    wanted.set()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(buffers.take, 10, until=soon(), wanted=wanted.is_set, give_up=lambda: None)
        wanted.clear()
        buffers.look_again()
        assert waiting.result(PATIENCE_S) is None
    buffers.give_back(room)
    assert buffers.held == 0
