"""What one server's metrics say, over HTTP, and that several servers in a process keep apart."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from facewire.client import FaceClient
from facewire.client.errors import InvalidImage
from facewire.protocol.errors import ErrorCode
from facewire.protocol.schema import REQUEST_OF
from facewire.server.app import build
from facewire.server.errors import StartError
from facewire.server.metrics import PrometheusMeasures
from facewire.server.metrics_page import serving_metrics
from facewire.server.settings import parse
from tests.support.servers import our_threads
from tests.support.synthetic_app import create, open_synthetic
from tests.support.synthetic_engine import portrait
from tests.support.waiting import eventually

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def read(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {(sample.name, frozenset(sample.labels.items())): sample.value for one in families for sample in one.samples}


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


@contextmanager
def served(room: Path) -> Iterator[tuple[FaceClient, int]]:
    """A client of a whole server with the synthetic engine, and the port of its metrics."""
    room.mkdir(exist_ok=True)
    port = free_port()
    settings = parse(["--db", str(create(room / "people.db")), "--port", "0", "--metrics-port", str(port)], {})
    with ExitStack() as open_things:
        listener = build(settings, open_things, opening=open_synthetic)
        open_things.callback(listener.stop)
        listener.start()
        yield open_things.enter_context(FaceClient(*listener.address)), port


def test_requests_are_counted_by_operation_and_outcome(tmp_path: Path) -> None:
    with served(tmp_path) as (client, port):
        client.enrol("Ada", portrait(1))
        client.identify(portrait(1))
        client.identify(portrait(2))
        with pytest.raises(InvalidImage):
            client.identify(b"no picture")
        samples = read(port)
    assert value(samples, "facewire_requests_total", op="identify", outcome="ok") == 2
    assert value(samples, "facewire_requests_total", op="identify", outcome="invalid_image") == 1
    assert value(samples, "facewire_request_seconds_count", op="identify") == 2
    assert value(samples, "facewire_step_seconds_count", step="queue") == 4
    assert value(samples, "facewire_step_seconds_count", step="search") == 2
    assert value(samples, "facewire_people") == 1
    assert value(samples, "facewire_templates") == 1
    assert value(samples, "facewire_connections") == 1
    assert value(samples, "facewire_healthy", part="gallery") == 1
    assert value(samples, "facewire_healthy", part="albums") == 1
    assert value(samples, "facewire_file_bytes", file="gallery") == (tmp_path / "people.db").stat().st_size
    assert value(samples, "facewire_decoder_processes") > 0
    assert value(samples, "facewire_decoder_memory_bytes") > 0
    assert value(samples, "process_resident_memory_bytes") > 0


def test_the_state_is_of_the_moment(tmp_path: Path) -> None:
    with served(tmp_path) as (client, port):
        client.enrol("Ada", portrait(1))
        before = read(port)
        client.erase("Ada")
        after = read(port)
    assert (value(before, "facewire_people"), value(after, "facewire_people")) == (1, 0)
    assert value(after, "facewire_index_version") > value(before, "facewire_index_version")


def test_a_database_that_was_replaced_is_not_healthy(tmp_path: Path) -> None:
    with served(tmp_path) as (client, port):
        client.ping()
        (tmp_path / "people.db").rename(tmp_path / "elsewhere.db")
        create(tmp_path / "people.db")
        assert eventually(lambda: value(read(port), "facewire_healthy", part="gallery") == 0)


def test_labels_are_words_of_the_protocol(tmp_path: Path) -> None:
    with served(tmp_path) as (client, port):
        for name in ("Ada", "Björk", "李雷"):
            client.enrol(name, portrait(len(name)))
        samples = read(port)
    seen: dict[str, set[str]] = {}
    for name, labels in samples:
        if name.startswith("facewire_request"):
            for label, said in labels:
                seen.setdefault(label, set()).add(said)
    assert seen["op"] <= {*REQUEST_OF, "-"}
    assert seen["outcome"] <= {*map(str, ErrorCode), "ok", "dropped"}


def test_two_servers_in_one_process_count_for_themselves(tmp_path: Path) -> None:
    with served(tmp_path / "one") as (one, port), served(tmp_path / "other") as (other, other_port):
        one.ping()
        one.ping()
        other.ping()
        counts = [value(read(each), "facewire_requests_total", op="ping", outcome="ok") for each in (port, other_port)]
    assert counts == [2, 1]


def test_no_thread_outlives_the_page_however_slow_its_reader(tmp_path: Path) -> None:
    before = our_threads()
    with serving_metrics(PrometheusMeasures().page(), "127.0.0.1", 0) as address:
        slow = socket.create_connection(address)
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert read(address[1])
    slow.close()
    assert our_threads() == before


def test_readers_over_the_limit_are_hung_up_on_and_others_are_served_again() -> None:
    with serving_metrics(PrometheusMeasures().page(), "127.0.0.1", 0) as address, ExitStack() as slow:
        held = [slow.enter_context(socket.create_connection(address)) for _ in range(4)]
        for one in held:
            one.sendall(b"GET")
        more = slow.enter_context(socket.create_connection(address, timeout=20))
        more.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert hung_up(more)
        for one in held:
            one.close()
        assert eventually(lambda: answers(address))


def test_a_byte_now_and_then_holds_no_place() -> None:
    with serving_metrics(PrometheusMeasures().page(), "127.0.0.1", 0, longest_s=0.3) as address:
        with socket.create_connection(address, timeout=20) as dripping:
            dripping.settimeout(0.05)
            assert eventually(lambda: drips(dripping))
        assert eventually(lambda: answers(address))


def drips(sock: socket.socket) -> bool:
    """Sends another byte; was the connection ended?"""
    try:
        sock.sendall(b"G")
        return sock.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def hung_up(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def answers(address: tuple[str, int]) -> bool:
    try:
        return bool(read(address[1]))
    except OSError:
        return False


def test_a_port_that_is_taken_is_one_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StartError, match=r"can't serve metrics on 127.0.0.1:\d+: .*--metrics-port"),
        serving_metrics(PrometheusMeasures().page(), "127.0.0.1", taken.getsockname()[1]),
    ):
        pass
    assert not [thread for thread in threading.enumerate() if thread.name == "facewire-metrics"]
