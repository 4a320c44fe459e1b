"""Three servers of one gallery in the real Milvus, behind Debian's HAProxy: servers end and start, Milvus itself goes
and comes back, and what one server enrols the others find."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

# Where FACEWIRE_REQUIRE_MILVUS is set, tests/integration/test_milvus_server.py fails without it.
pytest.importorskip("pymilvus", reason="needs pymilvus (requirements-cluster.txt)")

from pymilvus import MilvusClient

from facewire.client import FaceClient, ServerRefused
from facewire.scripts.proxying import Proxy, proxying
from facewire.server.errors import StartError
from facewire.server.gallery.address import STALENESS_MS, TOKEN_VARIABLE, MilvusAddress
from facewire.server.gallery.milvus.gallery import MilvusGallery
from facewire.server.gallery.opening import open_gallery
from tests.support.fleets import (
    OTHERS,
    PEOPLE,
    PICTURES,
    RETRIES,
    Crowd,
    Fleet,
    free_ports,
    mishaps,
    need_haproxy,
    who,
)
from tests.support.milvus_server import TOKEN, OwnMilvus
from tests.support.server_process import PATIENCE_S
from tests.support.synthetic_engine import portrait
from tests.support.synthetic_server import SPEC, synthetic_serving
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

FEW = tuple(map(who, (PICTURES[0], PICTURES[PEOPLE], PICTURES[-1])))
"""Somebody, a stranger, and two people: each costs three requests to Milvus."""

TIMEOUT_S = 20
"""How long Milvus may take to answer, on a machine that others keep busy."""

NEWCOMER = 20
"""A face that nobody else has."""


@dataclass(frozen=True, slots=True)
class Site:
    """Servers behind a proxy, of which at least the first runs."""

    fleet: Fleet
    proxy: Proxy
    address: MilvusAddress

    def all_run(self) -> None:
        for port in self.fleet.ports:
            if port not in self.fleet.running():
                self.fleet.start(port)
        self.proxy.wait_until_up()

    def connect(self, retries: int = RETRIES) -> Callable[[], FaceClient]:
        return lambda: FaceClient("127.0.0.1", self.proxy.port, timeout=PATIENCE_S, retries=retries)


@contextmanager
def token_in_the_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TOKEN_VARIABLE, TOKEN)
        yield


@pytest.fixture(scope="module")
def site(own_milvus: OwnMilvus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server runs, with a gallery that was filled before it started (see test_fleet.fleet)."""
    need_haproxy()
    room = tmp_path_factory.mktemp("fleet")
    address = MilvusAddress("127.0.0.1", own_milvus.port, f"fleet_{uuid.uuid4().hex}", timeout_s=TIMEOUT_S)
    with (
        token_in_the_environment(),
        MilvusGallery.create(address, SPEC) as gallery,
        synthetic_serving(gallery, grain=0.15) as filling,
        FaceClient(*filling, timeout=PATIENCE_S) as client,
    ):
        for number in range(PEOPLE):
            client.enrol(f"Person {number}", portrait(number), accept=("all",))
    with ExitStack() as stack:
        fleet = Fleet(f"{address}?timeout_s={TIMEOUT_S}", room, free_ports(3), stack, {TOKEN_VARIABLE: TOKEN})
        fleet.start(fleet.ports[0])
        yield Site(fleet, stack.enter_context(proxying(room, fleet.ports)), address)


def test_clients_notice_nothing_of_servers_that_end_and_start(site: Site) -> None:
    mishaps(site.fleet, site.connect(), site.proxy.wait_until_up, (*FEW, *OTHERS))


def test_milvus_goes_and_comes_back_under_running_servers(site: Site, own_milvus: OwnMilvus) -> None:
    site.all_run()
    running = site.fleet.running()
    with site.connect()() as client:
        expected, people = [question(client) for question in FEW], client.people()
    with Crowd(site.connect(retries=0), FEW, expected, may_refuse=("busy", "storage")) as crowd:
        crowd.goes_on()
        own_milvus.stop()
        crowd.is_refused()
        with site.connect(retries=0)() as client, pytest.raises(ServerRefused) as refused:
            client.enrol("Nobody", portrait(NEWCOMER + 1), accept=("all",))
        assert refused.value.code in ("busy", "storage")
        own_milvus.start()
        crowd.goes_on()
    assert all(code == "storage" or wait_ms for code, wait_ms in crowd.refusals)
    assert site.fleet.running() == running
    with site.connect()() as client:
        assert client.people() == people  # "Nobody" is not among them


def test_who_is_enrolled_on_one_server_is_found_on_the_others_within_the_staleness(site: Site) -> None:
    site.all_run()
    one, *others = map(site.fleet.client, site.fleet.ports)
    with ExitStack() as stack:
        for client in (one, *others):
            assert stack.enter_context(client).identify(portrait(NEWCOMER)).faces[0].name != "Newcomer"
        one.enrol("Newcomer", portrait(NEWCOMER), accept=("all",))
        assert one.identify(portrait(NEWCOMER)).faces[0].name == "Newcomer"
        time.sleep(STALENESS_MS / 1000)  # what is promised; the first answer after it must be right
        assert [client.identify(portrait(NEWCOMER)).faces[0].name for client in others] == ["Newcomer"] * 2


def test_a_token_that_is_wrong_or_no_longer_right(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "root:wrong")
    with pytest.raises(StartError, match=f"refuses the connection: set {TOKEN_VARIABLE} to its USER:PASSWORD"):
        open_gallery(site.address)
    site.all_run()
    with site.fleet.client(site.fleet.ports[0]) as client:
        change_password(site.address, "Milvus", "another")
        assert eventually(lambda: "token" in refusal(client))
        change_password(site.address, "another", "Milvus")
        assert eventually(lambda: not refusal(client))


def change_password(address: MilvusAddress, old: str, new: str) -> None:
    admin = MilvusClient(f"http://{address.host}:{address.port}", token=f"root:{old}")
    admin.update_password("root", old, new)
    admin.close()


def refusal(client: FaceClient) -> str:
    """What it says where it has to refuse, for want of storage."""
    try:
        assert client.identify(PICTURES[0]).faces[0].decision == "match"
    except ServerRefused as error:
        assert error.code in ("busy", "storage")
        return error.message
    return ""
