"""TLS between client and server: who is admitted, what either says to a peer without it, and what new files change."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facewire.client import FaceClient
from facewire.client.cli import main
from facewire.client.errors import BadCertificate, ConnectionLost, ServerRefused, TlsProblem
from facewire.client.tls import Tls
from facewire.protocol.framing import encode_frame
from facewire.protocol.messages import EMOTIONS
from facewire.server.errors import StartError
from facewire.server.tcp.certificates import Certificates, TlsFiles, open_certificates
from tests.support.authorities import Authority, Files
from tests.support.fake_service import PATIENCE_S
from tests.support.msgpacked import pack, unpacked
from tests.support.servers import RawClient, Served, misbehaving, serving
from tests.support.waiting import eventually

TOKEN = "open sesame"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def own(authority: Authority) -> Files:
    return authority.sign("localhost", "127.0.0.1")


@pytest.fixture
def served(own: Files) -> Iterator[Served]:
    with serving(token=TOKEN, certificates=own.serve(), hello_timeout_s=PATIENCE_S) as served:
        yield served


def client_of(served: Served, tls: Tls | None) -> FaceClient:
    return FaceClient(*served.address, tls=tls, timeout=PATIENCE_S, token=TOKEN)


def tls_socket(served: Served, own: Files) -> ssl.SSLSocket:
    """Somebody else's client: Python's own TLS socket."""
    context = ssl.create_default_context(cafile=own.ca)
    sock = socket.create_connection(served.address, timeout=PATIENCE_S)
    # An end without TLS's own goodbye raises.
    return context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)


def said_by(sock: socket.socket) -> bytes:
    """Everything until the end of the stream."""
    return b"".join(iter(lambda: sock.recv(65536), b""))


class TestEncrypted:
    def test_requests_and_answers_of_every_size_go_over_it(self, served: Served, own: Files) -> None:
        with client_of(served, Tls(own.ca)) as client:
            (face, *_) = client.identify(b"a picture").faces
            assert face.emotion is not None and set(face.emotion.scores) == set(EMOTIONS)
            large = bytes(9 * 2**20)
            answers = list(client.identify_many([large, b"b", large[:-1], b"c" * 16384], window=4))
            assert not [answer for answer in answers if isinstance(answer, ServerRefused)]

    def test_one_string_says_it_all(self, served: Served, own: Files) -> None:
        address = f"facewires://localhost:{served.address[1]}"
        with FaceClient(address, tls=Tls(own.ca), token=TOKEN, timeout=PATIENCE_S) as client:
            client.ping()

    def test_any_client_that_speaks_tls_will_do_and_is_told_of_the_end(self, served: Served, own: Files) -> None:
        with tls_socket(served, own) as sock:
            assert sock.version() in ("TLSv1.2", "TLSv1.3")
            sock.sendall(encode_frame(pack({"op": "hello", "token": "a wrong one"})))
            answer = unpacked(said_by(sock)[4:])
        assert answer["error"]["code"] == "unauthorized"

    def test_an_older_tls_is_refused(self, served: Served, own: Files) -> None:
        context = ssl.create_default_context(cafile=own.ca)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        with pytest.warns(DeprecationWarning):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with socket.create_connection(served.address, timeout=PATIENCE_S) as sock, pytest.raises(ssl.SSLError):
            context.wrap_socket(sock, server_hostname="localhost")

    def test_the_last_answer_of_a_closing_connection_arrives_whatever_is_still_sent(self, own: Files) -> None:
        with serving(certificates=own.serve(), max_frame=2**20) as served, tls_socket(served, own) as sock:
            sock.sendall(encode_frame(pack({"image": bytes(2**20)})))
            answer = unpacked(said_by(sock)[4:])
        assert answer["error"]["code"] == "too_large"

    def test_a_half_closed_connection_is_still_answered(self, own: Files) -> None:
        with serving(certificates=own.serve()) as served, tls_socket(served, own) as sock:
            sock.sendall(encode_frame(pack({"id": 3, "image": b"hold"})))
            assert served.service.begun.acquire(timeout=PATIENCE_S)
            socket.socket.shutdown(sock, socket.SHUT_WR)
            served.service.release.set()
            assert unpacked(said_by(sock)[4:])["id"] == 3


class TestTrust:
    def refused(self, served: Served, tls: Tls, host: str = "127.0.0.1") -> str:
        client = FaceClient(host, served.address[1], tls=tls, token=TOKEN, timeout=PATIENCE_S)
        with pytest.raises(TlsProblem) as caught:
            client.connect()
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_a_certificate_of_an_unknown_authority(self, served: Served) -> None:
        assert "certificate is not accepted" in self.refused(served, Tls())

    def test_a_certificate_of_another_name(self, authority: Authority) -> None:
        other = authority.sign("photos.example", called="photos")
        with serving(certificates=other.serve()) as served:
            assert "not valid for '127.0.0.1'" in self.refused(served, Tls(other.ca))

    def test_clients_show_theirs_where_the_server_asks(self, own: Files, authority: Authority, tmp_path: Path) -> None:
        mine = authority.sign("somebody", called="client")
        stranger = Authority(tmp_path).sign("somebody", called="stranger")
        with serving(certificates=own.serve(client_ca=authority.file)) as served:
            with client_of(served, Tls(own.ca, mine.cert, mine.key)) as client:
                client.ping()
            for tls in (Tls(own.ca), Tls(own.ca, stranger.cert, stranger.key)):
                with pytest.raises(ConnectionLost, match=r"refused TLS: (certificate required|unknown ca)"):
                    client_of(served, tls).ping()

    def test_an_expired_certificate_on_either_side(self, own: Files, authority: Authority) -> None:
        past = datetime.now(UTC) - timedelta(days=1)
        over = authority.sign("localhost", "127.0.0.1", called="over", until=past)
        with serving(certificates=over.serve()) as served:
            assert "expired" in self.refused(served, Tls(over.ca))
        asks = own.serve(client_ca=authority.file)
        with (
            serving(certificates=asks) as served,
            pytest.raises(ConnectionLost, match="refused TLS: certificate expired"),
        ):
            client_of(served, Tls(own.ca, over.cert, over.key)).ping()

    def test_files_that_are_no_certificate(self, served: Served, tmp_path: Path) -> None:
        (tmp_path / "no.pem").write_text("nothing")
        for missing in (tmp_path / "absent.pem", tmp_path / "no.pem"):
            with pytest.raises(BadCertificate, match=missing.name):
                client_of(served, Tls(missing)).connect()


class TestOneSideWithout:
    def test_a_plain_client_is_told(self, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(ServerRefused, match="this port speaks TLS only"):
            client_of(served, None).connect()
        assert main(["people", "--port", str(served.address[1]), "--token", TOKEN]) == 3
        error = capsys.readouterr().err
        assert "facewires://" in error and error.count("\n") == 1

    def test_a_client_with_tls_is_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        with serving() as served:
            with pytest.raises(TlsProblem, match="does not speak TLS"):
                client_of(served, Tls()).connect()
            assert main(["people", "--port", str(served.address[1]), "--tls"]) == 3
            error = capsys.readouterr().err
            assert "facewire://" in error and error.count("\n") == 1

    def test_where_nobody_listens_the_hint_has_the_right_port(self, capsys: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        assert main(["people", "--host", f"facewires://127.0.0.1:{port}"]) == 3
        assert f"--port {port}" in capsys.readouterr().err

    def test_a_plain_client_at_some_other_server_with_tls(self) -> None:
        def alert(sock: socket.socket) -> None:
            sock.recv(65536)
            sock.sendall(bytes((0x15, 3, 3, 0, 2, 2, 80)))

        with misbehaving(alert) as address, pytest.raises(ConnectionLost, match=r"speaks TLS.*--tls"):
            FaceClient(*address, timeout=PATIENCE_S).ping()

    def test_what_is_no_protocol_at_all(self, served: Served) -> None:
        with RawClient(served.address) as raw:
            raw.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
            assert "speaks TLS only" in raw.receive()["error"]["message"]
            assert raw.at_end()

    def test_a_server_that_ends_in_the_handshake(self) -> None:
        with misbehaving(lambda sock: None) as address, pytest.raises(TlsProblem):
            FaceClient(*address, tls=Tls(), timeout=PATIENCE_S).ping()


class TestSlow:
    def test_slow_handshakes_cost_nobody_else_anything_and_hold_strangers_places(self, own: Files) -> None:
        with serving(certificates=own.serve(), token=TOKEN, max_strangers=4, max_connections=2) as served:
            slow = [socket.create_connection(served.address) for _ in range(20)]
            for sock in slow:
                sock.sendall(b"\x16\x03\x01\x02\x00\x01")  # a hello that goes no further
            with client_of(served, Tls(own.ca)) as client:
                client.identify(b"a picture")
            assert served.dispatcher.metrics.report(served.service.counts()).connections <= 4 + 2
            for sock in slow:
                sock.close()

    def test_a_handshake_has_the_time_of_a_token(self, own: Files) -> None:
        with (
            serving(certificates=own.serve(), hello_timeout_s=0.2) as served,
            socket.create_connection(served.address, timeout=PATIENCE_S) as silent,
        ):
            silent.sendall(b"\x16")
            assert silent.recv(1) == b""

    def test_a_server_stops_in_the_middle_of_one(self, own: Files) -> None:
        with serving(certificates=own.serve(), hello_timeout_s=PATIENCE_S) as served:
            silent = socket.create_connection(served.address)
            assert eventually(lambda: served.dispatcher.metrics.report(served.service.counts()).connections == 1)
            assert served.listener.stop()
            silent.close()

    def test_both_directions_at_once(self, own: Files) -> None:
        """OpenSSL's state is not made for two threads: without a lock this breaks."""
        with serving(certificates=own.serve(), max_connections=4) as served, client_of(served, Tls(own.ca)) as client:
            failures: list[BaseException] = []

            def ask(size: int) -> None:
                try:
                    for _ in range(30):
                        client.identify(bytes(size))
                except BaseException as error:  # noqa: BLE001 - told to the test's own thread
                    failures.append(error)

            threads = [threading.Thread(target=ask, args=(size,)) for size in (1, 100_000, 300_000, 16_384)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert failures == []


class TestNewFiles:
    def serial(self, served: Served, ca: Path) -> object:
        context = ssl.create_default_context(cafile=ca)
        with (
            socket.create_connection(served.address, timeout=PATIENCE_S) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            about = tls.getpeercert()
            assert about is not None
            return about["serialNumber"]

    def test_a_renewed_certificate_is_for_new_connections_and_old_ones_live_on(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        files = authority.sign("localhost", "127.0.0.1")
        certificates = files.serve()
        with serving(certificates=certificates) as served, client_of(served, Tls(files.ca)) as client:
            client.ping()
            before = self.serial(served, files.ca)
            authority.sign("localhost", "127.0.0.1")
            certificates.read_again()
            assert self.serial(served, files.ca) != before
            client.ping()
            assert served.dispatcher.metrics.report(served.service.counts()).requests["ping"] == 2

    def test_a_change_is_seen_without_being_told(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        files = authority.sign("localhost")
        now = [0.0]
        with serving(certificates=Certificates(files.cert, files.key, None, clock=lambda: now[0])) as served:
            before = self.serial(served, files.ca)
            authority.sign("localhost")
            assert self.serial(served, files.ca) == before  # not looked at for every connection
            now[0] = 1.0
            assert self.serial(served, files.ca) != before

    def test_half_a_renewal_changes_nothing(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        authority = Authority(tmp_path)
        files = authority.sign("localhost")
        certificates = files.serve()
        with serving(certificates=certificates) as served:
            before = self.serial(served, files.ca)
            key = files.key.read_bytes()
            files.key.write_bytes(authority.sign("localhost", called="other").key.read_bytes())
            certificates.read_again()
            assert self.serial(served, files.ca) == before
            assert "new connections still get the certificate from before" in caplog.text
            files.key.write_bytes(key)
            certificates.read_again()
            assert self.serial(served, files.ca) == before

    @pytest.mark.parametrize("given", [("tls_cert",), ("tls_key",), ("client_ca",)])
    def test_files_that_go_together(self, own: Files, given: tuple[str, ...]) -> None:
        with pytest.raises(StartError, match="--tls-cert and --tls-key"):
            open_certificates(TlsFiles(**dict.fromkeys(given, own.cert)))

    def test_a_key_of_another_certificate_ends_the_start(self, own: Files, tmp_path: Path) -> None:
        other = Authority(tmp_path).sign("localhost", called="other")
        with pytest.raises(StartError, match="key values mismatch"):
            Certificates(own.cert, other.key, None)
