from __future__ import annotations

import resource
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.server.errors import StartError
from facewire.server.tcp.descriptors import Room, make_room_for, room_within
from facewire.server.tcp.limits import TcpLimits
from lab.proof.served import served

OTHERS = 120
WANTED = Room(members=64, strangers=64)


@pytest.mark.parametrize("files", [648, 1024, 1_000_000])
def test_where_files_suffice_nothing_changes(files: int) -> None:
    assert room_within(TcpLimits(), WANTED, files) == WANTED


def test_else_there_is_room_for_fewer() -> None:
    for files in range(177, 648):
        room = room_within(TcpLimits(), WANTED, files)
        assert room.files + OTHERS <= files
        assert 0 < room.members <= 64 and 0 < room.strangers <= 64
        assert room.leaving > 0 and room.lingering >= 32


def test_those_that_have_ended_give_way_first() -> None:
    room = room_within(TcpLimits(), WANTED, 400)
    assert (room.members, room.strangers) == (64, 64)
    assert room.lingering < WANTED.lingering


@pytest.mark.parametrize(("asked", "files"), [(64, 256), (80, 256), (81, 257), (1, 177)])
def test_a_number_that_was_asked_for_is_kept(asked: int, files: int) -> None:
    room = room_within(TcpLimits(max_connections=asked), Room(asked, 64), files)
    assert room.members == asked
    assert room.strangers >= 8
    assert room.files + OTHERS <= files


def test_or_refused_with_the_number_that_is_possible() -> None:
    with pytest.raises(
        StartError, match=r"--max-connections 81 needs 257 .* allows 256: take 80 at most, or"
    ) as caught:
        room_within(TcpLimits(max_connections=81), Room(81, 64), 256)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("files", [0, 100, 176])
def test_too_few_for_any(files: int) -> None:
    with pytest.raises(StartError, match=f"the server needs 177 open files and this system allows {files}: raise"):
        room_within(TcpLimits(), WANTED, files)


def test_a_soft_limit_is_raised() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    soft = max(256, open_now + 100)
    if before[1] != resource.RLIM_INFINITY and before[1] < soft + 500:
        pytest.skip("the hard limit here is too low to tell")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
        room = make_room_for(TcpLimits(max_connections=soft))
        assert room.members == soft
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= room.files
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_server_says_that_it_serves_fewer(tmp_path: Path) -> None:
    with served(tmp_path, "--log-level", "warning", descriptors=256) as server:
        with FaceClient("127.0.0.1", server.port) as client:
            client.ping()
        (line,) = server.log.read_text().splitlines()
    assert "allows 256 open files, so 44 connections at a time instead of 64, and 44 new ones instead of 64" in line


def test_but_not_fewer_than_asked_for(tmp_path: Path) -> None:
    with (
        pytest.raises(StartError, match="--max-connections 200 needs 376 open files and this system allows 256: take"),
        served(tmp_path, "--max-connections", "200", descriptors=256),
    ):
        pass
