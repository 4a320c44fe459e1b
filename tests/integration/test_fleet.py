"""Several servers with one gallery: whatever ends or starts among them, no client's request fails, and every answer is
the one that a single server gives."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from facewire.client import FaceClient, ServerRefused
from facewire.scripts.proxying import CONFIGURATION, proxying
from tests.support.fleets import PEOPLE, RETRIES, Fleet, free_ports, mishaps, need_haproxy
from tests.support.server_process import PATIENCE_S
from tests.support.synthetic_engine import portrait
from tests.support.synthetic_server import synthetic_server
from tests.support.waiting import eventually


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """One server runs, with a gallery that was filled before it started: one that sees changes measures the gallery
    again in its own time, and may have other thresholds until then. The other two are not started yet."""
    with (
        synthetic_server(tmp_path / "people.db", grain=0.15) as address,
        FaceClient(*address, timeout=PATIENCE_S) as client,
    ):
        for number in range(PEOPLE):
            client.enrol(f"Person {number}", portrait(number), accept=("all",))
    with ExitStack() as stack:
        fleet = Fleet(str(tmp_path / "people.db"), tmp_path, free_ports(3), stack)
        fleet.start(fleet.ports[0])
        yield fleet


@pytest.mark.slow
def test_clients_with_three_addresses_notice_nothing(fleet: Fleet) -> None:
    addresses = [f"facewire://127.0.0.1:{port}" for port in fleet.ports]
    mishaps(fleet, lambda: FaceClient(addresses, timeout=PATIENCE_S))


# ---------------------------------------------------------------------------------------------- HAProxy


def test_haproxy_accepts_the_configuration() -> None:
    done = subprocess.run([need_haproxy(), "-c", "-f", CONFIGURATION], capture_output=True, text=True, check=False)
    assert (done.returncode, "warning" in done.stderr.lower()) == (0, False), done.stderr


@pytest.mark.slow
def test_clients_behind_haproxy_notice_nothing(fleet: Fleet, tmp_path: Path) -> None:
    need_haproxy()
    with proxying(tmp_path, fleet.ports) as proxy:
        mishaps(
            fleet,
            lambda: FaceClient("127.0.0.1", proxy.port, timeout=PATIENCE_S, retries=RETRIES),
            ready=proxy.wait_until_up,
        )
        assert eventually(lambda: proxy.up() == [True, False, False])


def test_a_server_without_albums_says_so_by_name(fleet: Fleet) -> None:
    with fleet.client(fleet.ports[0]) as client, pytest.raises(ServerRefused) as caught:
        client.albums.list()
    assert caught.value.code == "unsupported_op"
    assert "album.list" in caught.value.message
    assert "keeps no albums" in caught.value.message
